//! How often a rollout with the default settings errs: seeded traffic through the whole of it.
//!
//! `docs/rollouts.md` has the table. `TIDEGATE_BLESS=1 cargo test --release -p tidegate-core
//! rollouts_err` writes it anew.

mod page;
mod traffic;

use std::time::Duration;

use http::HeaderMap;

use crate::rollout::course::Course;
use crate::rollout::course::Steps;
use crate::rollout::judge::Criterion;
use crate::rollout::judge::Limits;
use crate::rollout::machine::Event;
use crate::rollout::machine::Rollout;
use crate::rollout::machine::VersionId;
use crate::rollout::machine::Wanted;
use crate::rollout::split::BUCKETS;
use crate::rollout::split::Bucket;
use crate::rollout::split::Split;
use crate::rollout::split::Version;
use traffic::Behaviour;
use traffic::Random;

/// The bucket with a number.
pub(super) fn bucket(number: u16) -> Bucket {
    let client = [127, 0, 0, 1].into();
    Split::new("", None).bucket(&HeaderMap::new(), client, u64::from(number % BUCKETS))
}

/// How often counts are looked at: a block of the criteria.
const LOOK: Duration = Duration::from_secs(5);
/// When a trial is given up: a day.
const LONGEST: u32 = 17_280;
/// Requests a second.
const VOLUMES: [u32; 4] = [1, 10, 100, 1_000];

/// What the stable version's streams are like.
const USUAL: Behaviour = Behaviour {
    denied: 0.05,
    errors: 0.01,
    faults: 0.0,
    slowness: 1.0,
    heavy: 0.0,
};

/// A canary, and whether it keeps to the default limits.
struct Scenario {
    name: &'static str,
    canary: Behaviour,
    keeps_limits: bool,
}

const fn scenario(name: &'static str, canary: Behaviour, keeps_limits: bool) -> Scenario {
    Scenario {
        name,
        canary,
        keeps_limits,
    }
}

const SCENARIOS: [Scenario; 11] = [
    scenario("no difference", USUAL, true),
    scenario(
        "no difference, but one client of the canary sends as much as a tenth of all, all denied",
        Behaviour {
            heavy: 0.1,
            ..USUAL
        },
        true,
    ),
    scenario(
        "p99 × 1.2",
        Behaviour {
            slowness: 1.2,
            ..USUAL
        },
        true,
    ),
    scenario(
        "faults in 0.1 %",
        Behaviour {
            faults: 0.001,
            ..USUAL
        },
        true,
    ),
    scenario(
        "denials + 1 point",
        Behaviour {
            denied: 0.06,
            ..USUAL
        },
        false,
    ),
    scenario(
        "denials + 5 points",
        Behaviour {
            denied: 0.10,
            ..USUAL
        },
        false,
    ),
    scenario(
        "errors + 0.5 points",
        Behaviour {
            errors: 0.015,
            ..USUAL
        },
        false,
    ),
    scenario(
        "errors + 2 points",
        Behaviour {
            errors: 0.03,
            ..USUAL
        },
        false,
    ),
    scenario(
        "p99 × 1.5",
        Behaviour {
            slowness: 1.5,
            ..USUAL
        },
        false,
    ),
    scenario(
        "p99 × 2",
        Behaviour {
            slowness: 2.0,
            ..USUAL
        },
        false,
    ),
    scenario(
        "faults in 1 %",
        Behaviour {
            faults: 0.01,
            ..USUAL
        },
        false,
    ),
];

/// How a trial ended, and after how many looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Trial {
    aborted_by: Option<Criterion>,
    looks: u32,
}

/// One rollout from its first share to its end.
fn trial(scenario: &Scenario, volume: u32, seed: u64) -> Trial {
    let mut random = Random::new(seed);
    let (mut rollout, _) = Rollout::begin(Wanted {
        stable: VersionId("v1".into()),
        canary: VersionId("v2".into()),
        course: Course::Steps(Steps::default()),
        limits: Limits::default(),
    });
    for looks in 1..=LONGEST {
        let share = f64::from(rollout.share().buckets()) / f64::from(BUCKETS);
        let streams = f64::from(volume) * LOOK.as_secs_f64();
        let stable = USUAL.counts(
            Version::Stable,
            streams * (1.0 - share),
            streams,
            &mut random,
        );
        let canary = scenario
            .canary
            .counts(Version::Canary, streams * share, streams, &mut random);
        match rollout.on_counts(&stable, &canary, LOOK) {
            Some(Event::Aborted(_)) => {
                let aborted_by = rollout.judge().abort().map(|finding| finding.criterion);
                return Trial { aborted_by, looks };
            }
            Some(Event::Promoted { .. }) => {
                return Trial {
                    aborted_by: None,
                    looks,
                };
            }
            _ => {}
        }
    }
    Trial {
        aborted_by: None,
        looks: LONGEST,
    }
}

/// The seed of a trial.
fn seed(scenario: usize, volume: usize, number: u32) -> u64 {
    ((scenario * VOLUMES.len() + volume) as u64) << 32 | u64::from(number)
}

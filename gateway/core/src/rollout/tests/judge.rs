//! Each criterion: what trips it, and what must not.

use std::time::Duration;

use crate::rollout::counts::Counts;
use crate::rollout::counts::Ending;
use crate::rollout::judge::Criterion;
use crate::rollout::judge::Judge;
use crate::rollout::judge::Limits;
use crate::rollout::judge::Verdict;
use crate::rollout::split::BUCKETS;
use crate::rollout::split::Share;

use super::simulation::bucket;

const SECOND: Duration = Duration::from_secs(1);

/// How 10,000 streams of a version end, spread over all clients.
#[derive(Clone, Copy)]
struct Mix {
    denied: u16,
    errors: u16,
    faults: u16,
    /// How long the slowest of 50 take.
    slow: Duration,
}

const USUAL: Mix = Mix {
    denied: 500,
    errors: 100,
    faults: 0,
    slow: Duration::from_millis(80),
};

/// So many streams, as the mix says, in every group alike.
fn counts(mix: Mix, streams: u16) -> Counts {
    let mut counts = Counts::default();
    for at in 0..streams {
        // Spread evenly over what is left of the period, and over groups independently of it.
        let place = u16::try_from(u32::from(at) * 7_919 % u32::from(BUCKETS)).unwrap();
        let ending = match place {
            p if p < mix.denied => Ending::Denied,
            p if p < mix.denied + mix.errors => Ending::Error,
            p if p < mix.denied + mix.errors + mix.faults => Ending::Fault,
            _ => Ending::Good,
        };
        let latency = match at % 50 {
            7 => mix.slow,
            _ => Duration::from_millis(10),
        };
        let passed = matches!(ending, Ending::Good | Ending::Error);
        counts.add(bucket(at / 3), ending, passed.then_some(latency));
    }
    counts
}

/// What is said of a canary with such streams after so many seconds of 2,000 and 1,000.
fn judged(canary: Mix, seconds: u32) -> Judge {
    let mut judge = Judge::new(Limits::default(), Share::percent(25));
    let (stable, canary) = (counts(USUAL, 10_000), counts(canary, 10_000));
    for _ in 0..seconds {
        judge.add(&stable, &canary, SECOND);
    }
    judge
}

fn verdict(judge: &Judge, criterion: Criterion) -> Verdict {
    let findings = judge.findings();
    let finding = findings
        .iter()
        .find(|it| it.criterion == criterion)
        .unwrap();
    finding.verdict
}

#[test]
fn each_criterion_is_tripped_by_what_it_is_for_and_by_nothing_else() {
    let slow = Duration::from_millis(200);
    for (bad, criterion) in [
        (
            Mix {
                faults: 100,
                ..USUAL
            },
            Criterion::TrapRate,
        ),
        (
            Mix {
                denied: 1_000,
                ..USUAL
            },
            Criterion::DenyRate,
        ),
        (
            Mix {
                errors: 300,
                ..USUAL
            },
            Criterion::ErrorRate,
        ),
        (Mix { slow, ..USUAL }, Criterion::P99),
    ] {
        let judge = judged(bad, 60);
        for other in Criterion::ALL {
            let expected = if other == criterion {
                Verdict::Abort
            } else {
                Verdict::Pass
            };
            assert_eq!(verdict(&judge, other), expected, "{:#?}", judge.findings());
        }
        assert_eq!(judge.abort().unwrap().criterion, criterion);
        assert!(!judge.passes());
    }
}

#[test]
fn what_is_allowed_trips_nothing() {
    for (name, allowed) in [
        ("the same", USUAL),
        (
            "better",
            Mix {
                denied: 0,
                errors: 0,
                faults: 0,
                slow: Duration::from_millis(10),
            },
        ),
        (
            "faults",
            Mix {
                faults: 10,
                ..USUAL
            },
        ),
        (
            "denials",
            Mix {
                denied: 545,
                ..USUAL
            },
        ),
        (
            "errors",
            Mix {
                errors: 120,
                ..USUAL
            },
        ),
        (
            "time",
            Mix {
                slow: Duration::from_millis(94),
                ..USUAL
            },
        ),
    ] {
        let judge = judged(allowed, 600);
        assert!(judge.passes(), "{name}: {:#?}", judge.findings());
        for finding in judge.findings() {
            assert_eq!(finding.verdict, Verdict::Pass, "{name}: {finding:#?}");
        }
    }
}

#[test]
fn a_filter_that_traps_is_stopped_within_seconds() {
    let mut judge = Judge::new(Limits::default(), Share::percent(5));
    let trapping = Mix {
        faults: 500,
        ..USUAL
    };
    judge.add(&counts(USUAL, 950), &counts(trapping, 50), SECOND);
    judge.add(&counts(USUAL, 950), &counts(trapping, 50), SECOND);
    assert_eq!(
        verdict(&judge, Criterion::TrapRate),
        Verdict::Abort,
        "{:#?}",
        judge.findings()
    );
}

#[test]
fn too_few_streams_say_nothing() {
    let mut judge = Judge::new(Limits::default(), Share::percent(5));
    let denying = Mix {
        denied: 10_000,
        ..USUAL
    };
    for _ in 0..10 {
        judge.add(&counts(USUAL, 100), &counts(denying, 4), SECOND);
    }
    for criterion in Criterion::ALL {
        assert_eq!(verdict(&judge, criterion), Verdict::NotEnough);
    }
    assert!(!judge.passes());
    for finding in judge.findings() {
        assert!(
            finding.words.contains("40 of 200 streams of the canary"),
            "{finding:?}"
        );
    }
}

#[test]
fn a_step_needs_its_own_streams_and_keeps_what_is_known() {
    let mut judge = judged(USUAL, 10);
    assert!(judge.passes());
    judge.on_step(Share::percent(50));
    assert!(!judge.passes(), "nobody was seen with that share");
    judge.add(&counts(USUAL, 150), &counts(USUAL, 250), SECOND);
    let findings = judge.findings();
    let words = &findings.first().unwrap().words;
    assert!(
        words.contains("150 of 200 streams of the stable version"),
        "{words}"
    );
    judge.on_step(Share::ALL);
    judge.add(&counts(USUAL, 0), &counts(USUAL, 250), SECOND);
    assert!(judge.passes(), "there is nothing left to compare with");
}

#[test]
fn what_is_off_is_not_looked_at() {
    let limits = Limits {
        trap_rate: None,
        p99_delta: None,
        ..Limits::default()
    };
    let mut judge = Judge::new(limits, Share::percent(50));
    let trapping = Mix {
        faults: 300,
        slow: Duration::from_secs(9),
        ..USUAL
    };
    for _ in 0..60 {
        judge.add(&counts(USUAL, 1_000), &counts(trapping, 1_000), SECOND);
    }
    let criteria: Vec<_> = judge
        .findings()
        .into_iter()
        .map(|it| it.criterion)
        .collect();
    assert_eq!(criteria, [Criterion::DenyRate, Criterion::ErrorRate]);
    assert!(judge.passes(), "{:#?}", judge.findings());
}

#[test]
fn no_fault_at_all_means_not_one() {
    let limits = Limits {
        trap_rate: Some(0.0),
        ..Limits::default()
    };
    let mut judge = Judge::new(limits, Share::percent(5));
    judge.add(&counts(USUAL, 100), &counts(USUAL, 100), SECOND);
    assert!(judge.abort().is_none());
    let mut one = Counts::default();
    one.add(bucket(0), Ending::Fault, None);
    judge.add(&Counts::default(), &one, SECOND);
    assert_eq!(judge.abort().unwrap().criterion, Criterion::TrapRate);
}

#[test]
fn findings_tell_their_numbers() {
    let findings = judged(
        Mix {
            denied: 1_000,
            ..USUAL
        },
        60,
    )
    .findings();
    let words: Vec<&str> = findings.iter().map(|it| it.words.as_str()).collect();
    assert_eq!(
        words,
        [
            "faults in 0 of 600000 (0 %), at most 0.1 % allowed; evidence 0.3, 400 aborts",
            "denied 60000 of 600000 (10 %), stable 30000 of 600000 (5 %), at most 0.5 points more \
             allowed; evidence above a million, 400 aborts",
            "errors in 6000 of 540000 (1.11 %), stable 6000 of 570000 (1.05 %), at most 0.25 points \
             more allowed; evidence 0.3, 400 aborts",
            "slower than 98.304ms 0 of 531000 (0 %), stable slower than 81.92ms 0 of 560500 (0 %); \
             evidence 0.3, 400 aborts",
        ]
    );
}

#[test]
fn a_step_is_not_over_before_something_was_compared_in_it() {
    let mut judge = Judge::new(Limits::default(), Share::percent(50));
    let (stable, canary) = (counts(USUAL, 400), counts(USUAL, 400));
    judge.add(&stable, &canary, SECOND);
    assert!(!judge.passes(), "what is usual was not known before");
    judge.add(&stable, &canary, SECOND);
    assert!(judge.passes(), "{:#?}", judge.findings());
    judge.on_step(Share::percent(75));
    judge.add(&counts(USUAL, 250), &counts(USUAL, 150), SECOND);
    assert!(!judge.passes());
    judge.add(&counts(USUAL, 250), &counts(USUAL, 150), SECOND);
    assert!(judge.passes(), "{:#?}", judge.findings());
}

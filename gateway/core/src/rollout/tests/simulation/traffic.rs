//! Seeded traffic: how many streams of a version end in which way, without making each of them.

use std::time::Duration;

use crate::rollout::counts::Counts;
use crate::rollout::counts::Ending;
use crate::rollout::counts::GROUPS;
use crate::rollout::split::Version;

use super::bucket;

/// What the streams of a version are like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behaviour {
    /// Shares of all streams.
    pub(super) denied: f64,
    pub(super) faults: f64,
    /// Of those that pass.
    pub(super) errors: f64,
    /// How much longer each takes than usual.
    pub(super) slowness: f64,
    /// What one client sends beyond that, as a share of all traffic; all of it is denied.
    pub(super) heavy: f64,
}

/// Times from 10 ms up, each this many times the one before; the share that takes longer falls with
/// the square, so that the 99th percentile is ten times the shortest.
const RATIO: f64 = 1.1;
const TIMES: i32 = 60;

impl Behaviour {
    /// What is counted in a time in which so many streams of the version are expected, of so many
    /// in all.
    pub(super) fn counts(
        &self,
        version: Version,
        streams: f64,
        all: f64,
        random: &mut Random,
    ) -> Counts {
        let mut counts = Counts::default();
        for group in 0..GROUPS {
            let number = random.poisson(streams / GROUPS as f64);
            let denied = random.binomial(number, self.denied);
            let faults = random.binomial(number - denied, self.faults / (1.0 - self.denied));
            let passed = number - denied - faults;
            let errors = random.binomial(passed, self.errors);
            let heavy = match (version, group) {
                (Version::Canary, 3) => random.poisson(all * self.heavy),
                _ => 0,
            };
            let at = bucket(u16::try_from(group).unwrap());
            let mut add = |ending, latency, times: u64| {
                counts.add_many(at, ending, latency, u32::try_from(times).unwrap());
            };
            add(Ending::Denied, None, denied + heavy);
            add(Ending::Fault, None, faults);
            let (mut errors, mut left) = (errors, passed);
            for step in 0..TIMES {
                if left == 0 {
                    break;
                }
                let here = match step {
                    last if last == TIMES - 1 => left,
                    _ => random.binomial(left, 1.0 - RATIO.powi(-2)),
                };
                left -= here;
                let time = 0.01 * RATIO.powi(step) * 1.05 * self.slowness;
                let time = Some(Duration::from_secs_f64(time));
                // Which of them are errors does not matter: rates and times are looked at apart.
                let wrong = errors.min(here);
                errors -= wrong;
                add(Ending::Error, time, wrong);
                add(Ending::Good, time, here - wrong);
            }
        }
        counts
    }
}

/// Random numbers from a seed (SplitMix64).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d))
    }

    /// A number from 0 to 1, neither of them.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bits = (mixed ^ mixed >> 31) >> 11;
        (bits as f64 + 0.5) / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let (length, angle) = (self.unit(), self.unit());
        (-2.0 * length.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
    }

    /// How many events come where so many are expected: exact where they are few.
    fn poisson(&mut self, expected: f64) -> u64 {
        if expected > 50.0 {
            return whole(expected + expected.sqrt() * self.normal());
        }
        let (mut number, mut chance) = (0, (-expected).exp());
        let mut point = self.unit() - chance;
        while point > 0.0 && number < 1_000 {
            number += 1;
            chance *= expected / number as f64;
            point -= chance;
        }
        number
    }

    /// How many of so many are hit: exact where they are few.
    fn binomial(&mut self, number: u64, rate: f64) -> u64 {
        if rate > 0.5 {
            return number - self.binomial(number, 1.0 - rate);
        }
        let (all, expected) = (number as f64, number as f64 * rate);
        if expected > 30.0 {
            let spread = (expected * (1.0 - rate)).sqrt();
            return whole(expected + spread * self.normal()).min(number);
        }
        let (mut hits, mut chance) = (0, (1.0 - rate).powf(all));
        let mut point = self.unit() - chance;
        while point > 0.0 && hits < number {
            hits += 1;
            chance *= (all - hits as f64 + 1.0) / hits as f64 * rate / (1.0 - rate);
            point -= chance;
        }
        hits
    }
}

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is neither negative nor large"
    )]
    let whole = number.round().max(0.0) as u64;
    whole
}

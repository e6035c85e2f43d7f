//! Chances and lengths that follow them.
//!
//! The host's randomness only seeds a generator of the instance: which requests suffer is no secret,
//! and a call for each would cost more than all the rest.

use std::cell::Cell;
use std::time::Duration;

use crate::config::Delay;

/// A generator of random numbers (SplitMix64).
#[derive(Debug)]
pub(crate) struct Random(Cell<u64>);

impl Random {
    pub(crate) const fn seeded(seed: [u8; 8]) -> Self {
        Self(Cell::new(u64::from_le_bytes(seed)))
    }

    fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1, without 1.
    fn unit(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what it holds")]
        let bits = (self.next() >> 11) as f64;
        bits / 9_007_199_254_740_992.0
    }

    /// Whether something with this chance in percent happens.
    pub(crate) fn hits(&self, percentage: f64) -> bool {
        percentage >= 100.0 || (percentage > 0.0 && self.unit() * 100.0 < percentage)
    }
}

impl Delay {
    /// How long one of them is.
    pub(crate) fn length(&self, random: &Random) -> Duration {
        if let Some(uniform) = &self.uniform {
            let width = uniform.max.saturating_sub(uniform.min);
            return uniform.min + width.mul_f64(random.unit());
        }
        if let Some(exponential) = &self.exponential {
            // 1 - unit is above 0, so that the logarithm is finite.
            let times = -(1.0 - random.unit()).ln();
            return exponential.mean.mul_f64(times).min(exponential.max);
        }
        self.fixed.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Random;
    use crate::config::{Delay, Exponential, Uniform};

    const MANY: u32 = 100_000;

    fn hits(percentage: f64) -> u32 {
        let random = Random::seeded(*b"chances!");
        let hits = (0..MANY).filter(|_| random.hits(percentage));
        u32::try_from(hits.count()).unwrap()
    }

    #[test]
    fn what_has_a_chance_happens_as_often_as_that_says() {
        for (percentage, expected) in [
            (0.0, 0.0_f64),
            (0.25, 250.0),
            (10.0, 10_000.0),
            (99.9, 99_900.0),
        ] {
            let spread = 4.0 * (expected * (1.0 - percentage / 100.0)).sqrt();
            let away = (f64::from(hits(percentage)) - expected).abs();
            assert!(away <= spread, "{percentage} %: {away} away");
        }
        assert_eq!(hits(100.0), MANY);
    }

    fn lengths(delay: &Delay) -> Vec<f64> {
        let random = Random::seeded(*b"lengths!");
        (0..MANY)
            .map(|_| delay.length(&random).as_secs_f64())
            .collect()
    }

    fn mean(of: &[f64]) -> f64 {
        of.iter().sum::<f64>() / f64::from(MANY)
    }

    const NONE: Delay = Delay {
        fixed: None,
        uniform: None,
        exponential: None,
        percentage: 100.0,
    };

    #[test]
    fn uniform_lengths_lie_between_their_limits_and_fill_them() {
        let uniform = Some(Uniform {
            min: Duration::from_secs(1),
            max: Duration::from_secs(3),
        });
        let lengths = lengths(&Delay { uniform, ..NONE });
        assert!(lengths.iter().all(|it| (1.0..=3.0).contains(it)));
        assert!((mean(&lengths) - 2.0).abs() < 0.01);
        assert!(lengths.iter().any(|it| *it < 1.01) && lengths.iter().any(|it| *it > 2.99));
    }

    #[test]
    fn exponential_lengths_have_their_mean_and_end_at_their_limit() {
        let exponential = |max| {
            Some(Exponential {
                mean: Duration::from_secs(1),
                max: Duration::from_secs(max),
            })
        };
        let free = lengths(&Delay {
            exponential: exponential(3600),
            ..NONE
        });
        assert!((mean(&free) - 1.0).abs() < 0.02, "{}", mean(&free));
        let cut = lengths(&Delay {
            exponential: exponential(2),
            ..NONE
        });
        let at_limit = cut.iter().filter(|it| **it >= 2.0).count();
        let share = f64::from(u32::try_from(at_limit).unwrap()) / f64::from(MANY);
        assert!((share - (-2.0_f64).exp()).abs() < 0.01, "{share}");
        assert!(cut.iter().all(|it| *it <= 2.0));
    }

    #[test]
    fn fixed_lengths_are_what_they_are() {
        let fixed = Some(Duration::from_millis(7));
        let random = Random::seeded([0; 8]);
        assert_eq!(
            Delay { fixed, ..NONE }.length(&random),
            Duration::from_millis(7)
        );
    }
}

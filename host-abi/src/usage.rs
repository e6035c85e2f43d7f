//! What a plugin uses: calls into it and CPU time in the guest, by callback.
//!
//! Owns the counting, which must not be felt: an addition a call. Reading the CPU clock costs more
//! than many callbacks do, so that time is sampled: of the calls between two collections the first
//! ones are measured each, then one of many stands for its block. What a call takes beyond the first
//! tick of the engine's clock is measured always, for one long call may outweigh a million others.

use crate::budget::cpu_nanos;
use crate::functions::{Callback, EXPORTS, Role};

/// Room for every callback; their numbers are bits of a `u32`.
const CALLBACKS: usize = 32;

/// Calls of a callback that are measured each, after every collection.
const EXACT: u64 = 64;

/// After those, one call of so many is measured.
const BLOCK: u64 = 256;

/// What one plugin has used since it was last collected.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    callbacks: [Counts; CALLBACKS],
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    calls: u64,
    nanos: u64,
}

/// The use of one callback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallbackUsage {
    /// Its name, such as `proxy_on_request_headers`.
    pub callback: &'static str,
    /// How often it was entered.
    pub calls: u64,
    /// CPU time in it, in nanoseconds: an estimate where it was called often.
    pub nanos: u64,
}

/// A call that is being measured.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    since: u64,
    /// How many calls it stands for.
    weight: u64,
}

impl Usage {
    /// Counts a call, and says whether to measure it.
    pub(crate) fn begin(&mut self, callback: Callback) -> Option<Sample> {
        let counts = self.callbacks.get_mut(callback as usize)?;
        counts.calls += 1;
        let weight = match counts.calls.checked_sub(EXACT + 1) {
            None => 1,
            // From the middle of its block, so that a block that is cut short counts right on average.
            Some(beyond) if beyond % BLOCK == BLOCK / 2 => BLOCK,
            Some(_) => return None,
        };
        Some(Sample {
            since: cpu_nanos(),
            weight,
        })
    }

    /// A call has ended, of which so many nanoseconds were measured anyway.
    pub(crate) fn end(&mut self, callback: Callback, sample: Option<Sample>, long: u64) {
        let Some(counts) = self.callbacks.get_mut(callback as usize) else {
            return;
        };
        let sampled = sample.map_or(0, |Sample { since, weight }| {
            let short = cpu_nanos().saturating_sub(since).saturating_sub(long);
            short.saturating_mul(weight)
        });
        counts.nanos = counts.nanos.saturating_add(sampled).saturating_add(long);
    }

    /// Adds what was collected elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, more) in self.callbacks.iter_mut().zip(&other.callbacks) {
            sum.calls = sum.calls.saturating_add(more.calls);
            sum.nanos = sum.nanos.saturating_add(more.nanos);
        }
    }

    /// The callbacks that were entered.
    pub fn by_callback(&self) -> impl Iterator<Item = CallbackUsage> + '_ {
        EXPORTS.iter().filter_map(|export| {
            let Role::Callback(callback) = export.role else {
                return None;
            };
            let Counts { calls, nanos } = *self.callbacks.get(callback as usize)?;
            (calls > 0).then_some(CallbackUsage {
                callback: export.name,
                calls,
                nanos,
            })
        })
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.callbacks.iter().all(|counts| counts.calls == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_calls_are_measured_each_and_then_one_of_a_block() {
        let mut usage = Usage::default();
        let mut weights = 0;
        for _ in 0..EXACT + 10 * BLOCK {
            let sample = usage.begin(Callback::Tick);
            weights += sample.map_or(0, |sample| sample.weight);
            usage.end(Callback::Tick, sample, 0);
        }
        assert_eq!(weights, EXACT + 10 * BLOCK);
        let all: Vec<_> = usage.by_callback().collect();
        assert_eq!(all.len(), 1);
        assert_eq!(
            (all[0].callback, all[0].calls),
            ("proxy_on_tick", EXACT + 10 * BLOCK)
        );
    }

    #[test]
    fn time_of_a_long_call_counts_once_and_exactly() {
        let mut usage = Usage::default();
        usage.end(Callback::Tick, None, 5_000_000);
        usage.callbacks[Callback::Tick as usize].calls = 1;
        let mut sum = Usage::default();
        sum.add(&usage);
        sum.add(&usage);
        let all: Vec<_> = sum.by_callback().collect();
        assert_eq!((all[0].calls, all[0].nanos), (2, 10_000_000));
        assert!(!sum.is_empty());
    }
}

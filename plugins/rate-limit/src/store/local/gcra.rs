//! The generic cell rate algorithm (ITU-T I.371, Annex A): one number for each key.
//!
//! The number is the time at which the limit is full again if nobody asks. What is asked for moves it into
//! the future, at most as far as the burst. Times are ticks, so that intervals of high rates are exact
//! enough; what a host that keeps limits itself answers is the same.

use tidegate_sdk::limit::Mode;
use tidegate_sdk::limit::Rate;
use tidegate_sdk::limit::Taken;
use tidegate_sdk::prelude::*;

/// Ticks of a nanosecond.
const TICKS: u64 = 16;

/// A time of the clock that never goes back, in nanoseconds, as ticks: they last for 36 years.
pub(super) const fn ticks(nanos: u64) -> u64 {
    nanos.saturating_mul(TICKS)
}

/// One question to one limit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question {
    pub(super) rate: Rate,
    pub(super) cost: u64,
    /// When it is full again; any time before `now` if it is.
    pub(super) full_at: u64,
    pub(super) now: u64,
}

impl Question {
    /// The answer, and when it is full again if that is taken.
    pub(super) fn ask(self, mode: Mode) -> (Taken, u64) {
        let interval = self.interval();
        let used = self.full_at.saturating_sub(self.now);
        let all = interval.saturating_mul(self.rate.burst);
        let wanted = interval.saturating_mul(self.cost);
        let after = match mode {
            Mode::Take | Mode::Peek => {
                let after = used.saturating_add(wanted);
                if after > all {
                    let wait = (wanted <= all).then(|| nanos(after - all));
                    return (self.taken(false, used, wait), self.full_at);
                }
                after
            }
            // At most two bursts are owed.
            Mode::Charge => used.saturating_add(wanted).min(self.most().max(used)),
            Mode::Refund => used.saturating_sub(wanted),
        };
        let taken = self.taken(true, after, Some(Duration::ZERO));
        (taken, self.now.saturating_add(after))
    }

    /// The same answer where nothing was taken after all.
    pub(super) fn untaken(self, answer: Taken) -> Taken {
        let used = self.full_at.saturating_sub(self.now);
        self.taken(answer.admitted, used, answer.wait)
    }

    fn taken(self, admitted: bool, used: u64, wait: Option<Duration>) -> Taken {
        let interval = self.interval();
        let left = interval
            .saturating_mul(self.rate.burst)
            .saturating_sub(used);
        Taken {
            admitted,
            remaining: left / interval,
            wait,
            full: nanos(used),
        }
    }

    /// The most ticks until it is full again: a burst that was used, and two that are owed. More is left over
    /// from another rate that the key had.
    pub(super) fn most(self) -> u64 {
        let all = self.interval().saturating_mul(self.rate.burst);
        all.saturating_mul(3)
    }

    /// Ticks until one more is admitted.
    fn interval(self) -> u64 {
        let window = self.rate.window.as_nanos() * u128::from(TICKS);
        let interval = window.div_ceil(u128::from(self.rate.requests.max(1)));
        u64::try_from(interval).unwrap_or(u64::MAX).max(1)
    }
}

/// Rounded up, so that nobody who waits is too early.
const fn nanos(ticks: u64) -> Duration {
    Duration::from_nanos(ticks.div_ceil(TICKS))
}

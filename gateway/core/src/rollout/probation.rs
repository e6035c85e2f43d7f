//! Whether a plugin's new version fails so often that the one before it has to serve again.
//!
//! A version is on probation after each swap. It fails if so many faults come within any second, and
//! if they are more than a share of the streams of that second: a filter that traps on everything is
//! found at once, one that met a single odd request is not blamed.

use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// Looks that are remembered of a window.
const LOOKS: u32 = 16;

/// What a version must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How long it is on probation; zero is never.
    pub period: Duration,
    /// Faults within a window that it fails by, if the share is exceeded too. At least 1.
    pub faults: u64,
    /// Percent of the streams of a window that may have faults.
    pub percent: u64,
    /// The window: [`WINDOW`], or longer for what is not called by streams.
    pub window: Duration,
}

/// Within which faults are counted.
pub const WINDOW: Duration = Duration::from_secs(1);

impl Default for Rule {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(60),
            faults: 5,
            percent: 1,
            window: WINDOW,
        }
    }
}

/// What a version has met since it began to serve.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Streams that came to it.
    pub streams: u64,
    /// Instances that ended in a trap.
    pub traps: u64,
    /// Callbacks that ran out of time, and streams that were turned away because of them.
    pub deadlines: u64,
}

impl Counts {
    /// All faults.
    #[must_use]
    pub const fn faults(&self) -> u64 {
        self.traps.saturating_add(self.deadlines)
    }

    /// What came since `earlier`.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            streams: self.streams.saturating_sub(earlier.streams),
            traps: self.traps.saturating_sub(earlier.traps),
            deadlines: self.deadlines.saturating_sub(earlier.deadlines),
        }
    }

    /// Both together.
    #[must_use]
    pub const fn and(&self, other: &Self) -> Self {
        Self {
            streams: self.streams.saturating_add(other.streams),
            traps: self.traps.saturating_add(other.traps),
            deadlines: self.deadlines.saturating_add(other.deadlines),
        }
    }
}

/// How a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is on probation.
    Pending,
    /// Its time is over, and it did not fail.
    Passed,
    /// It fails: what came within that time.
    Failed {
        /// What came.
        counts: Counts,
        /// Within how long.
        within: Duration,
    },
}

/// One version on probation.
#[derive(Debug, Clone)]
pub struct Probation {
    rule: Rule,
    until: Instant,
    /// Looks, the oldest first; the first is at the beginning of a window, or before it.
    looks: VecDeque<(Instant, Counts)>,
}

impl Probation {
    /// A version that serves from now on, with what was counted of it before, and is on probation
    /// for `left`, which is usually the period of the rule.
    #[must_use]
    pub fn new(rule: Rule, left: Duration, now: Instant, counts: Counts) -> Self {
        Self {
            rule,
            // A time that no clock reaches is one that does not come.
            until: now
                .checked_add(left)
                .unwrap_or_else(|| now + Duration::from_secs(86_400 * 365)),
            looks: VecDeque::from([(now, counts)]),
        }
    }

    /// How much of its time is left.
    #[must_use]
    pub fn left(&self, now: Instant) -> Duration {
        self.until.saturating_duration_since(now)
    }

    /// Looks at what was counted by now. To be called some times a second. After a longer pause a
    /// window is as long as the pause was, and so many times the faults must be in it: then one of its
    /// seconds had as many as the rule wants.
    pub fn look(&mut self, now: Instant, counts: Counts) -> Verdict {
        // The first of two that are both a window old is not needed.
        while let Some((second, _)) = self.looks.get(1)
            && now.saturating_duration_since(*second) >= self.rule.window
        {
            self.looks.pop_front();
        }
        for (at, earlier) in &self.looks {
            let within = now.saturating_duration_since(*at);
            let came = counts.since(earlier);
            if self.fails(&came, within) {
                return Verdict::Failed {
                    counts: came,
                    within,
                };
            }
        }
        if now >= self.until {
            return Verdict::Passed;
        }
        let last = self.looks.back().map(|(at, _)| *at);
        let pace = self.rule.window / LOOKS;
        if last.is_none_or(|last| now.saturating_duration_since(last) >= pace) {
            self.looks.push_back((now, counts));
        }
        Verdict::Pending
    }

    fn fails(&self, came: &Counts, within: Duration) -> bool {
        let windows = within
            .as_nanos()
            .div_ceil(self.rule.window.as_nanos().max(1))
            .max(1);
        let faults = u128::from(came.faults());
        faults >= u128::from(self.rule.faults.max(1)) * windows
            && faults * 100 > u128::from(came.streams) * u128::from(self.rule.percent)
    }
}

#[cfg(test)]
mod tests;

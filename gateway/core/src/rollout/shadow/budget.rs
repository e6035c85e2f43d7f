//! How much of a worker's time the shadows of a plugin may take.
//!
//! Owns the arithmetic. What they took is known only afterwards, so that they may go into debt; then
//! none begins until the debt is paid, and on average they stay below their share. Those that are under
//! way are given up once the debt is as large as what may be used at once: long streams cost no more
//! than short ones.

use std::time::Duration;
use std::time::Instant;

/// What shadows may take without having saved it is their share of so much time.
const BURST: Duration = Duration::from_secs(1);

/// The time of one plugin's shadows on one worker.
#[derive(Debug)]
pub struct Budget {
    percent: u8,
    /// Nanoseconds that may be used; below 0 after a call that took more than there was.
    left: i64,
    /// When that was so.
    at: Instant,
}

impl Budget {
    /// So many percent of the time, from now on.
    pub fn new(percent: u8, now: Instant) -> Self {
        Self {
            percent,
            left: share(percent, BURST),
            at: now,
        }
    }

    /// Whether another shadow may begin.
    pub fn has_left(&mut self, now: Instant) -> bool {
        self.earn(now);
        self.left > 0
    }

    /// Whether the debt is larger than what may be used at once: no shadow may go on.
    pub fn is_overdrawn(&mut self, now: Instant) -> bool {
        self.earn(now);
        self.left < -share(self.percent, BURST)
    }

    fn earn(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        let most = share(self.percent, BURST);
        let earned = share(self.percent, passed);
        self.left = self.left.saturating_add(earned).min(most);
        self.at = now;
    }

    /// A shadow has taken so much.
    pub fn spend(&mut self, time: Duration) {
        let nanos = i64::try_from(time.as_nanos()).unwrap_or(i64::MAX);
        self.left = self.left.saturating_sub(nanos);
    }
}

/// So many percent of a time, in nanoseconds.
fn share(percent: u8, of: Duration) -> i64 {
    let nanos = of.as_nanos().saturating_mul(u128::from(percent)) / 100;
    i64::try_from(nanos).unwrap_or(i64::MAX)
}

//! The time of a test with real sockets: the machine's, and by how much a test has moved it on.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A clock that its threads share.
#[derive(Clone)]
pub(super) struct Clock(Arc<Shared>);

struct Shared {
    started: Instant,
    /// How long ago 1970 began then. From there on this clock is one that is never set.
    epoch: Duration,
    ahead: Mutex<Duration>,
    moved: Condvar,
}

impl Clock {
    pub(super) fn new() -> Self {
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Self(Arc::new(Shared {
            started: Instant::now(),
            epoch: epoch.unwrap_or_default(),
            ahead: Mutex::new(Duration::ZERO),
            moved: Condvar::new(),
        }))
    }

    /// Moves time on: who waits for what is due then, is woken.
    pub(super) fn advance(&self, by: Duration) {
        *self.ahead() += by;
        self.0.moved.notify_all();
    }

    /// How long ago 1970 began, in this time.
    pub(super) fn unix_time(&self) -> Duration {
        self.0.epoch + self.0.started.elapsed() + *self.ahead()
    }

    /// Waits for so long, in this time.
    pub(super) fn wait(&self, period: Duration) {
        let mut ahead = self.ahead();
        let due = self.0.started.elapsed() + *ahead + period;
        loop {
            let left = due.saturating_sub(self.0.started.elapsed() + *ahead);
            if left.is_zero() {
                return;
            }
            let waited = self.0.moved.wait_timeout(ahead, left);
            ahead = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn ahead(&self) -> MutexGuard<'_, Duration> {
        self.0.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

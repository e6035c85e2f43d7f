//! Clocks of the host. The standard library's are not there in a module.

use std::time::Duration;

use tidegate_sdk_sys::{Clock, Host as _, host};

use crate::runtime::timers::monotonic;

/// A moment of the clock that never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(monotonic())
    }

    /// Nanoseconds since a moment that is the same for all instances on a host, and not for hosts.
    #[must_use]
    pub const fn nanos(self) -> u64 {
        self.0
    }

    /// How long ago it was; zero if it is yet to come.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// How long after `earlier` it is; zero if it is before.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanoseconds))
    }
}

/// How long ago 1970 began, as the host's clock says.
#[must_use]
pub fn unix_time() -> Duration {
    Duration::from_nanos(host().now(Clock::Realtime))
}

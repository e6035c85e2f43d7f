//! The world around a filter that is measured: silent, and with cryptography only if that is given.

use std::fmt;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tidegate_host_abi::{Crypto, GuestLog, GuestMetrics, LogLevel, Services, SharedStore};

/// Services that keep shared data and metrics, tell the time, and say nothing.
#[derive(Default)]
pub struct SilentServices {
    shared: SharedStore,
    metrics: GuestMetrics,
    crypto: Option<&'static (dyn Crypto + Sync)>,
}

/// When the clock of all of them began: plugins may share what they have noted by it.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);

impl fmt::Debug for SilentServices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SilentServices").finish_non_exhaustive()
    }
}

impl SilentServices {
    /// The same with cryptography: without it guests are told that there is none.
    #[must_use]
    pub fn with_crypto(mut self, crypto: &'static (dyn Crypto + Sync)) -> Self {
        self.crypto = Some(crypto);
        self
    }
}

impl Services for SilentServices {
    fn log(&self, _: &GuestLog<'_>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Critical
    }

    fn unix_nanos(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        u64::try_from(since.unwrap_or_default().as_nanos()).unwrap_or(u64::MAX)
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(STARTED.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn may_resolve(&self, _: &str) -> bool {
        false
    }

    fn may_call(&self, _: &str, _: &str) -> bool {
        false
    }

    fn shared(&self) -> &SharedStore {
        &self.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }

    fn crypto(&self) -> Option<&dyn Crypto> {
        self.crypto.map(|crypto| crypto as &dyn Crypto)
    }
}

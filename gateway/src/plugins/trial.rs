//! What a plugin can reach while it is tried: nothing.
//!
//! Its log is dropped, for a start that fails carries the last lines itself. Clocks and randomness
//! are real, because many runtimes want them to start at all.

use std::io::Read as _;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_host_abi::GuestLog;
use tidegate_host_abi::GuestMetrics;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::Services;
use tidegate_host_abi::SharedStore;

/// See the module.
#[derive(Debug)]
pub(crate) struct TrialServices {
    started: Instant,
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl Default for TrialServices {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            shared: SharedStore::default(),
            metrics: GuestMetrics::default(),
        }
    }
}

impl Services for TrialServices {
    fn log(&self, _line: &GuestLog<'_>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Warn
    }

    fn unix_nanos(&self) -> u64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        since.map_or(0, |since| {
            u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
        })
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        let filled = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(bytes));
        if let Err(err) = filled {
            tracing::debug!(%err, "no randomness for a trial start");
        }
    }

    fn may_resolve(&self, _: &str) -> bool {
        false
    }

    fn may_call(&self, _plugin: &str, _backend: &str) -> bool {
        false
    }

    fn shared(&self) -> &SharedStore {
        &self.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }
}

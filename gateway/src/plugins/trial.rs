//! What a plugin can reach while it is tried: nothing.
//!
//! Its log is dropped, for a start that fails carries the last lines itself. Clocks and randomness
//! are real, because many runtimes want them to start at all.

use tidegate_host_abi::GuestLog;
use tidegate_host_abi::GuestMetrics;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::PlainServices;
use tidegate_host_abi::Services;
use tidegate_host_abi::SharedStore;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct TrialServices(PlainServices);

impl Services for TrialServices {
    fn log(&self, _line: &GuestLog<'_>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Warn
    }

    fn unix_nanos(&self) -> u64 {
        self.0.unix_nanos()
    }

    fn monotonic_nanos(&self) -> u64 {
        self.0.monotonic_nanos()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.0.fill_random(bytes);
    }

    fn may_resolve(&self, _: &str) -> bool {
        false
    }

    /// Calls are taken and never made: what a plugin does first may not fail for being tried.
    fn may_call(&self, _plugin: &str, _backend: &str) -> bool {
        true
    }

    fn shared(&self) -> &SharedStore {
        self.0.shared()
    }

    fn metrics(&self) -> &GuestMetrics {
        self.0.metrics()
    }
}

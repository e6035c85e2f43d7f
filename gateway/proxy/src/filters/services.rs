//! The world that guests reach besides their streams: logs, clocks, randomness, backends.
//!
//! Owns the gateway's implementation of `host-abi`'s `Services`. Guest text goes to the gateway's
//! own log, escaped, under the target `filter`.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Instant;
use std::time::SystemTime;

use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::GuestLog;
use tidegate_host_abi::GuestMetrics;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::Services;
use tidegate_host_abi::SharedStore;

/// What all guests of a gateway share.
#[derive(Debug)]
pub(crate) struct GatewayServices {
    snapshot: Arc<Snapshot>,
    started: Instant,
    flood: Flood,
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl GatewayServices {
    /// Services for guests that may call the backends of `snapshot`.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
            flood: Flood::default(),
            shared: SharedStore::default(),
            metrics: GuestMetrics::default(),
        }
    }
}

/// Lines of all guests that are logged in one second.
const LINES_A_SECOND: u64 = 2_000;
/// Bytes of one guest line that are logged.
const MAX_LINE: usize = 8 * 1024;

/// Counts guest lines: a filter must not drown the gateway's log.
#[derive(Debug, Default)]
struct Flood {
    /// The second in the upper half, its lines in the lower.
    window: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Admission {
    Pass,
    /// The first that is too many: says so.
    Last,
    Drop,
}

impl Flood {
    fn admit(&self, second: u64) -> Admission {
        let before = self.window.load(Ordering::Relaxed);
        if before >> 32 != second {
            // Workers that race here let a few lines more pass.
            self.window.store((second << 32) + 1, Ordering::Relaxed);
            return Admission::Pass;
        }
        let lines = self.window.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
        match lines {
            0..LINES_A_SECOND => Admission::Pass,
            LINES_A_SECOND => Admission::Last,
            _ => Admission::Drop,
        }
    }
}

impl Services for GatewayServices {
    fn log(&self, line: &GuestLog<'_>) {
        let GuestLog {
            plugin,
            root_id: _,
            level,
            message,
        } = *line;
        match self.flood.admit(self.started.elapsed().as_secs()) {
            Admission::Pass => {}
            Admission::Last => {
                tracing::warn!(
                    plugin,
                    "filters log too much: more lines of this second are lost"
                );
                return;
            }
            Admission::Drop => return,
        }
        let message = message.get(..MAX_LINE).unwrap_or(message);
        let message = message.escape_ascii();
        match level {
            LogLevel::Trace => tracing::trace!(target: "filter", plugin, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "filter", plugin, "{message}"),
            LogLevel::Info => tracing::info!(target: "filter", plugin, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "filter", plugin, "{message}"),
            LogLevel::Error | LogLevel::Critical => {
                tracing::error!(target: "filter", plugin, "{message}");
            }
        }
    }

    fn log_level(&self) -> LogLevel {
        use tracing::level_filters::LevelFilter;
        match LevelFilter::current() {
            LevelFilter::TRACE => LogLevel::Trace,
            LevelFilter::DEBUG => LogLevel::Debug,
            LevelFilter::INFO => LogLevel::Info,
            LevelFilter::WARN => LogLevel::Warn,
            _ => LogLevel::Error,
        }
    }

    fn unix_nanos(&self) -> u64 {
        crate::clock::unix_nanos(SystemTime::now())
    }

    fn monotonic_nanos(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        crate::random::fill(bytes);
    }

    fn may_call(&self, _plugin: &str, backend: &str) -> bool {
        self.snapshot.backend(backend).is_some()
    }

    fn shared(&self) -> &SharedStore {
        &self.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }
}

#[cfg(test)]
mod tests {
    use super::Admission;
    use super::Flood;
    use super::LINES_A_SECOND;

    #[test]
    fn a_flood_of_guest_lines_is_cut_with_one_remark_and_the_next_second_is_free() {
        let flood = Flood::default();
        let admit = |second| flood.admit(second);
        let passed = (0..LINES_A_SECOND)
            .filter(|_| admit(7) == Admission::Pass)
            .count();
        assert_eq!(passed as u64, LINES_A_SECOND);
        assert_eq!(admit(7), Admission::Last);
        assert_eq!(admit(7), Admission::Drop);
        assert_eq!(admit(8), Admission::Pass);
    }
}

//! The world that guests reach besides their streams: logs, clocks, randomness, backends.
//!
//! Owns the gateway's implementation of `host-abi`'s `Services`. Guest text goes to the gateway's
//! own log, escaped, under the target `filter`.

use std::sync::Arc;
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
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl GatewayServices {
    /// Services for guests that may call the backends of `snapshot`.
    pub(crate) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            started: Instant::now(),
            shared: SharedStore::default(),
            metrics: GuestMetrics::default(),
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

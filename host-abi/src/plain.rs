//! Services for embedders without wishes of their own.
//!
//! Owns nothing new: the system's clocks and randomness, logs through `tracing`, no backends. What an
//! embedder wants otherwise it implements itself, as [`Services`].

mod stream;

use std::time::{Instant, SystemTime};

use rustix::rand::{GetRandomFlags, getrandom};

use crate::kinds::LogLevel;
use crate::metrics::GuestMetrics;
use crate::services::{GuestLog, Services};
use crate::shared::SharedStore;
pub use stream::PlainStream;

/// The system's clocks and randomness, logs as events of `tracing` with the target `filter`, and no
/// backends (specification: `proxy_log`, `wasi_snapshot_preview1.clock_time_get`, `.random_get`).
#[derive(Debug)]
pub struct PlainServices {
    started: Instant,
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl Default for PlainServices {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            shared: SharedStore::default(),
            metrics: GuestMetrics::default(),
        }
    }
}

impl Services for PlainServices {
    fn log(&self, line: &GuestLog<'_>) {
        line.trace();
    }

    fn log_level(&self) -> LogLevel {
        LogLevel::Info
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
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match getrandom(rest, GetRandomFlags::empty()) {
                Ok(count) => filled += count,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    tracing::error!(%error, "the system has no randomness");
                    return;
                }
            }
        }
    }

    fn may_resolve(&self, _: &str) -> bool {
        true
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

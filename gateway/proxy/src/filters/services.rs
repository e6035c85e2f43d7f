//! The world that guests reach besides their streams: logs, clocks, randomness, backends.
//!
//! Owns the gateway's implementation of `host-abi`'s `Services`. Guest text goes to the gateway's
//! own log, escaped, under the target `filter`.

mod commons;
mod flood;
mod reach;

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_host_abi::Crypto;
use tidegate_host_abi::Fault;
use tidegate_host_abi::GuestLog;
use tidegate_host_abi::GuestMetrics;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::Node;
use tidegate_host_abi::Services;
use tidegate_host_abi::SharedStore;

use crate::filters::crypto::AwsLc;
pub(crate) use crate::filters::services::commons::Commons;
pub use crate::filters::services::commons::LastFault;
use crate::filters::services::flood::Admission;
use crate::filters::services::flood::Flood;
pub(crate) use crate::filters::services::reach::Reach;
use crate::simulation::Simulation;

/// What the guests of one VM reach. One that only older generations have keeps the reach it had.
#[derive(Debug)]
pub(crate) struct VmServices {
    commons: Arc<Commons>,
    /// Read when a guest makes a call, written when a generation takes the VM over.
    reach: RwLock<Arc<Reach>>,
    /// Lines of guests, so that one plugin cannot drown the others.
    lines: Flood,
    /// Lines about their faults.
    fault_lines: Flood,
    /// Lines about what they would have done, of those that only look on.
    differences: Flood,
    /// Instances that streams have for themselves.
    occupied: AtomicUsize,
}

/// The right of one instance to exist; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit(Arc<VmServices>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.occupied.fetch_sub(1, Ordering::Relaxed);
    }
}

impl VmServices {
    /// Services for guests with that reach.
    pub(crate) fn new(commons: &Arc<Commons>, reach: &Arc<Reach>) -> Arc<Self> {
        Arc::new(Self {
            commons: Arc::clone(commons),
            reach: RwLock::new(Arc::clone(reach)),
            lines: Flood::of(LINES_A_SECOND),
            fault_lines: Flood::of(FAULTS_A_SECOND),
            differences: Flood::of(DIFFERENCES_A_SECOND),
            occupied: AtomicUsize::new(0),
        })
    }

    /// A place for one more instance, if there are fewer than `limit`.
    pub(crate) fn occupy(self: &Arc<Self>, limit: usize) -> Option<Permit> {
        let one_more = |taken: usize| (taken < limit).then_some(taken + 1);
        self.occupied
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()
            .map(|_| Permit(Arc::clone(self)))
    }

    /// An instance was ended: remembers why, and says it.
    pub(crate) fn fault(&self, plugin: &str, fault: &Fault) {
        let last = LastFault {
            unix_nanos: self.unix_nanos(),
            fault: fault.clone(),
        };
        let mut faults = self
            .commons
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        faults.insert(plugin.to_owned(), last);
        drop(faults);
        match self.fault_lines.admit(self.second()) {
            Admission::Pass => {}
            Admission::Last => {
                tracing::error!(plugin, "more faults of this second are only counted");
                return;
            }
            Admission::Drop => return,
        }
        let Fault {
            kind,
            callback,
            message,
            backtrace: _,
        } = fault;
        let functions = fault.functions();
        tracing::error!(
            plugin,
            callback,
            kind = kind.as_str(),
            "filter faulted: {message}{}{}",
            if functions.is_empty() { "" } else { "; in " },
            functions.join(" < ").escape_debug(),
        );
    }

    /// Whether what a plugin would have done may be told now: a sample of it is enough.
    pub(crate) fn may_tell_difference(&self, plugin: &str) -> bool {
        match self.differences.admit(self.second()) {
            Admission::Pass => true,
            Admission::Last => {
                tracing::info!(target: "shadow", plugin, "more of this second is only counted");
                false
            }
            Admission::Drop => false,
        }
    }

    /// What surrounds a filter under test.
    pub(crate) fn simulation(&self) -> Option<&Simulation> {
        self.commons.simulation.as_deref()
    }

    fn ahead(&self) -> Duration {
        self.simulation().map_or(Duration::ZERO, Simulation::ahead)
    }

    fn second(&self) -> u64 {
        self.commons.started.elapsed().as_secs()
    }

    /// Changes what guests may call.
    pub(crate) fn set_reach(&self, reach: &Arc<Reach>) {
        let mut current = self.reach.write().unwrap_or_else(PoisonError::into_inner);
        *current = Arc::clone(reach);
    }

    /// What guests may call now.
    pub(crate) fn reach(&self) -> Arc<Reach> {
        let reach = self.reach.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&reach)
    }
}

/// Faults of one kind of instance that are logged in one second.
const FAULTS_A_SECOND: u64 = 5;
/// Lines about differences of one plugin's shadows that are logged in one second.
const DIFFERENCES_A_SECOND: u64 = 10;
/// Lines of the guests of one kind of instance that are logged in one second.
const LINES_A_SECOND: u64 = 2_000;
/// Bytes of one guest line that are logged.
const MAX_LINE: usize = 8 * 1024;

impl Services for VmServices {
    fn log(&self, line: &GuestLog<'_>) {
        if let Some(simulation) = self.simulation() {
            return simulation.log(line);
        }
        let plugin = line.plugin;
        match self.lines.admit(self.second()) {
            Admission::Pass => {}
            Admission::Last => {
                tracing::warn!(
                    plugin,
                    "the filter logs too much: more of its lines of this second are lost"
                );
                return;
            }
            Admission::Drop => return,
        }
        let message = line.message.get(..MAX_LINE).unwrap_or(line.message);
        GuestLog { message, ..*line }.trace();
    }

    fn log_level(&self) -> LogLevel {
        use tracing::level_filters::LevelFilter;
        if let Some(simulation) = self.simulation() {
            return simulation.log_level();
        }
        match LevelFilter::current() {
            LevelFilter::TRACE => LogLevel::Trace,
            LevelFilter::DEBUG => LogLevel::Debug,
            LevelFilter::INFO => LogLevel::Info,
            LevelFilter::WARN => LogLevel::Warn,
            _ => LogLevel::Error,
        }
    }

    fn unix_nanos(&self) -> u64 {
        crate::clock::unix_nanos(SystemTime::now() + self.ahead())
    }

    fn monotonic_nanos(&self) -> u64 {
        self.commons.monotonic_nanos()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        crate::random::fill(bytes);
    }

    fn may_call(&self, plugin: &str, backend: &str) -> bool {
        self.reach().includes(plugin, backend)
    }

    fn may_resolve(&self, plugin: &str) -> bool {
        self.reach().resolves(plugin)
    }

    fn shared(&self) -> &SharedStore {
        &self.commons.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.commons.metrics
    }

    fn property(&self, path: &[u8]) -> Option<Vec<u8>> {
        self.simulation()?.property(path)
    }

    fn node(&self) -> Option<&Node> {
        Some(&self.commons.node)
    }

    fn crypto(&self) -> Option<&dyn Crypto> {
        Some(&AwsLc)
    }
}

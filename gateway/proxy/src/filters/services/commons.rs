//! What all guests of a gateway share.
//!
//! Owns data, queues and metrics of plugins, and their last faults, through all generations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Instant;

use tidegate_host_abi::Fault;
use tidegate_host_abi::GuestMetrics;
use tidegate_host_abi::Node;
use tidegate_host_abi::SharedStore;

use crate::simulation::Simulation;

/// What all guests of a gateway share, through all generations.
#[derive(Debug)]
pub(crate) struct Commons {
    pub(super) started: Instant,
    pub(super) shared: SharedStore,
    pub(super) metrics: GuestMetrics,
    pub(super) node: Node,
    pub(super) simulation: Option<Arc<Simulation>>,
    pub(super) faults: Mutex<BTreeMap<String, LastFault>>,
    /// Plugins whose newest version waits.
    waiting: Mutex<Vec<String>>,
}

/// The last fault of a plugin.
#[derive(Debug, Clone)]
pub struct LastFault {
    /// When, in nanoseconds since 1970.
    pub unix_nanos: u64,
    /// What happened, and where in the guest.
    pub fault: Fault,
}

impl Commons {
    pub(crate) fn new(node: Node, simulation: Option<Arc<Simulation>>) -> Arc<Self> {
        Arc::new(Self {
            node,
            simulation,
            started: Instant::now(),
            shared: SharedStore::default(),
            metrics: GuestMetrics::default(),
            faults: Mutex::default(),
            waiting: Mutex::default(),
        })
    }

    /// Plugins whose newest version waits for streams that hold old ones.
    pub(crate) fn waiting(&self) -> Vec<String> {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.clone()
    }

    pub(crate) fn set_waiting(&self, plugins: Vec<String>) {
        *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) = plugins;
    }

    /// Drops the data and the queued items of plugins that are gone.
    pub(crate) fn forget_space(&self, space: &str) {
        self.shared.remove_space(space);
    }

    /// The last fault of each plugin that had one.
    pub(crate) fn faults(&self) -> BTreeMap<String, LastFault> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.clone()
    }

    /// A value of the shared data of a space.
    pub(crate) fn shared_value(&self, space: &str, key: &[u8]) -> Option<Vec<u8>> {
        let (value, _) = self.shared.get(space, key)?;
        Some(value.to_vec())
    }

    /// Sets a value of the shared data of a space.
    pub(crate) fn set_shared_value(&self, space: &Arc<str>, key: &[u8], value: &[u8]) {
        // Without a version there is nothing to compare with.
        self.shared.set(space, key, value, 0).ok();
    }

    /// How many keys of each space have used up something of their rate limits.
    pub(crate) fn used_rates(&self) -> BTreeMap<Arc<str>, usize> {
        self.shared.used_rates(self.monotonic_nanos())
    }

    /// The clock that never goes back, as guests see it.
    pub(super) fn monotonic_nanos(&self) -> u64 {
        let ahead = self.simulation.as_ref().map(|it| it.ahead());
        let elapsed = self.started.elapsed() + ahead.unwrap_or_default();
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }

    /// What guests count themselves.
    pub(crate) fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }
}

//! Numbers of the data plane.
//!
//! Owns what each worker counts and the sums of it. A worker is the only writer of its counters, so
//! that counting costs a load and a store; rare things are counted in maps behind a lock that only
//! a scrape contends for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

pub use tidegate_host_abi::MetricSnapshot as GuestMetric;
pub use tidegate_host_abi::MetricValue as GuestMetricValue;

/// Statuses are three digits; this is one more than the largest.
const STATUSES: usize = 1000;

/// What the data plane has counted since it started.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Exchanges by the status that the client got (or would have got: 499), zeroes left out.
    pub requests: Vec<(u16, u64)>,
    /// Exchanges by why they did not end with a forwarded response: the access log's flag.
    pub flags: BTreeMap<&'static str, u64>,
    /// Client connections that are open now.
    pub open_connections: u64,
    /// Client connections accepted.
    pub connections: u64,
    /// Instances that were ended, by plugin and kind of fault.
    pub plugin_faults: BTreeMap<(String, &'static str), u64>,
    /// Instances that only older generations hold, until their last stream ends.
    pub retired_instances: u64,
    /// What plugins count themselves.
    pub guests: Vec<GuestMetric>,
}

/// What one worker counts.
#[derive(Debug)]
pub(crate) struct Counters {
    statuses: Box<[AtomicU64]>,
    connections: AtomicU64,
    retired: AtomicU64,
    flags: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<BTreeMap<(String, &'static str), u64>>,
}

impl Counters {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            statuses: (0..STATUSES).map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            flags: Mutex::default(),
            faults: Mutex::default(),
        })
    }

    /// An exchange has ended.
    pub(crate) fn exchange(&self, status: u16, flag: &'static str) {
        if let Some(count) = self.statuses.get(usize::from(status)) {
            add_one(count);
        }
        if !flag.is_empty() {
            let mut flags = self.flags.lock().unwrap_or_else(PoisonError::into_inner);
            *flags.entry(flag).or_default() += 1;
        }
    }

    /// A connection was accepted.
    pub(crate) fn connection(&self) {
        add_one(&self.connections);
    }

    /// So many instances wait for their last streams.
    pub(crate) fn set_retired(&self, count: usize) {
        self.retired.store(count as u64, Ordering::Relaxed);
    }

    /// An instance was ended.
    pub(crate) fn fault(&self, plugin: &str, kind: &'static str) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults.entry((plugin.to_owned(), kind)).or_default() += 1;
    }
}

/// Only one thread writes: no locked instruction is needed.
fn add_one(count: &AtomicU64) {
    count.store(count.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

impl Metrics {
    /// The sums of what workers counted; connections that are open and what guests count come from
    /// elsewhere.
    pub(crate) fn sum(workers: &[Arc<Counters>]) -> Self {
        let mut sums = vec![0_u64; STATUSES];
        let mut all = Self::default();
        for worker in workers {
            for (sum, count) in sums.iter_mut().zip(&worker.statuses) {
                *sum += count.load(Ordering::Relaxed);
            }
            all.connections += worker.connections.load(Ordering::Relaxed);
            all.retired_instances += worker.retired.load(Ordering::Relaxed);
            let flags = worker.flags.lock().unwrap_or_else(PoisonError::into_inner);
            for (flag, count) in flags.iter() {
                *all.flags.entry(flag).or_default() += count;
            }
            drop(flags);
            let faults = worker.faults.lock().unwrap_or_else(PoisonError::into_inner);
            for (fault, count) in faults.iter() {
                *all.plugin_faults.entry(fault.clone()).or_default() += count;
            }
        }
        all.requests = (0..).zip(sums).filter(|(_, count)| *count > 0).collect();
        all
    }
}

//! Metrics that guests define.
//!
//! Owns one value for each (plugin, kind, name) of the process, so that all workers count into the
//! same. It exports nothing; the embedder takes a snapshot.
//!
//! Invariant: an increment takes no lock. Instances keep handles under numbers of their own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::kinds::MetricKind;

/// Metrics of one plugin.
const MAX_METRICS: usize = 1024;

/// The longest name; more is cut.
const MAX_NAME: usize = 4096;

/// The upper bounds of histogram buckets, those of Envoy; one more bucket takes the rest.
pub const BUCKETS: [u64; 18] = [
    1, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 600_000,
    1_800_000, 3_600_000,
];

/// All metrics of a process.
#[derive(Debug, Default)]
pub struct GuestMetrics {
    plugins: Mutex<HashMap<String, PluginMetrics>>,
}

#[derive(Debug, Default)]
struct PluginMetrics {
    cells: HashMap<(MetricKind, Vec<u8>), Arc<Cell>>,
    /// What metrics beyond the limit count into, one of each kind.
    void: HashMap<MetricKind, Arc<Cell>>,
}

/// The value of one metric.
#[derive(Debug)]
struct Cell {
    kind: MetricKind,
    /// The value of a counter or gauge, the sum of a histogram.
    value: AtomicU64,
    buckets: Option<Box<[AtomicU64; BUCKETS.len() + 1]>>,
}

/// One metric at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSnapshot {
    /// The plugin that defined it.
    pub plugin: String,
    /// Its name, any bytes.
    pub name: Vec<u8>,
    /// Its value.
    pub value: MetricValue,
}

/// A value with the kind of its metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetricValue {
    /// Only grows.
    Counter(u64),
    /// Goes up and down.
    Gauge(i64),
    /// How many values lie in each of [`BUCKETS`] and above, and their sum.
    Histogram {
        /// One count more than there are bounds; not cumulative.
        counts: Vec<u64>,
        /// The sum of all values.
        sum: u64,
    },
}

/// A metric as one instance holds it.
#[derive(Debug)]
pub(crate) struct MetricHandle {
    cell: Arc<Cell>,
    /// What the instance has added to a gauge and not taken off. Only it writes here.
    added: AtomicI64,
}

/// Why a metric cannot do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrongKind;

impl GuestMetrics {
    /// All metrics, ordered by plugin and name.
    #[must_use]
    pub fn snapshot(&self) -> Vec<MetricSnapshot> {
        let plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<MetricSnapshot> = plugins
            .iter()
            .flat_map(|(plugin, metrics)| {
                metrics
                    .cells
                    .iter()
                    .map(|((_, name), cell)| MetricSnapshot {
                        plugin: plugin.clone(),
                        name: name.clone(),
                        value: cell.snapshot(),
                    })
            })
            .collect();
        all.sort_by(|a, b| (&a.plugin, &a.name).cmp(&(&b.plugin, &b.name)));
        all
    }

    /// Forgets the metrics of a plugin that was removed. Instances that still run count on unseen.
    pub fn remove(&self, plugin: &str) {
        self.plugins
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(plugin);
    }

    /// The metric, made if need be.
    ///
    /// Beyond the limit it is one that nobody exports, because the Rust SDK knows no error here and
    /// a filter must not fall over its own statistics.
    pub(crate) fn define(&self, plugin: &str, kind: MetricKind, name: &[u8]) -> MetricHandle {
        let name = name.get(..MAX_NAME).unwrap_or(name);
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        let metrics = plugins.entry(plugin.to_owned()).or_default();
        let key = (kind, name.to_vec());
        if let Some(cell) = metrics.cells.get(&key) {
            return MetricHandle::of(cell);
        }
        let cell = if metrics.cells.len() < MAX_METRICS {
            metrics
                .cells
                .entry(key)
                .or_insert_with(|| Arc::new(Cell::new(kind)))
        } else {
            warn_once(plugin);
            metrics
                .void
                .entry(kind)
                .or_insert_with(|| Arc::new(Cell::new(kind)))
        };
        MetricHandle::of(cell)
    }
}

fn warn_once(plugin: &str) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            plugin,
            limit = MAX_METRICS,
            "a plugin defines too many metrics"
        );
    }
}

impl MetricHandle {
    fn of(cell: &Arc<Cell>) -> Self {
        Self {
            cell: Arc::clone(cell),
            added: AtomicI64::new(0),
        }
    }

    pub(crate) fn kind(&self) -> MetricKind {
        self.cell.kind
    }

    /// Whether both are the same metric.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.cell, &other.cell)
    }

    /// Adds to a counter or gauge; a counter only grows, and a gauge that falls below 0 is read as a huge number,
    /// as on Envoy.
    pub(crate) fn increment(&self, delta: i64) -> Result<(), WrongKind> {
        match self.cell.kind {
            MetricKind::Counter => {
                let delta = u64::try_from(delta).map_err(|_| WrongKind)?;
                self.cell.value.fetch_add(delta, Ordering::Relaxed);
                Ok(())
            }
            MetricKind::Gauge => {
                // Two's complement: adding a negative number wraps to the difference.
                let delta_bits = delta.cast_unsigned();
                self.cell.value.fetch_add(delta_bits, Ordering::Relaxed);
                let added = self.added.load(Ordering::Relaxed);
                self.added
                    .store(added.saturating_add(delta), Ordering::Relaxed);
                Ok(())
            }
            MetricKind::Histogram => Err(WrongKind),
        }
    }

    /// Takes off a gauge what the instance has added: it was ended, and cannot do that itself any more. What
    /// it has taken off beyond that stays taken off: another instance had added it. So nothing falls below 0.
    pub(crate) fn take_back(&self) {
        let added = self.added.swap(0, Ordering::Relaxed);
        let without = |value: u64| {
            let value = value.cast_signed();
            let left = value.saturating_sub(added.max(0)).max(value.min(0));
            Some(left.cast_unsigned())
        };
        let _always_ok =
            self.cell
                .value
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, without);
    }

    /// Adds to a counter, sets a gauge, or counts a value in a histogram.
    pub(crate) fn record(&self, value: u64) {
        match self.cell.kind {
            MetricKind::Counter => {
                self.cell.value.fetch_add(value, Ordering::Relaxed);
            }
            MetricKind::Gauge => {
                self.cell.value.store(value, Ordering::Relaxed);
                self.added.store(0, Ordering::Relaxed);
            }
            MetricKind::Histogram => {
                self.cell.value.fetch_add(value, Ordering::Relaxed);
                let at = BUCKETS
                    .iter()
                    .position(|&most| value <= most)
                    .unwrap_or(BUCKETS.len());
                if let Some(count) = self.cell.buckets.as_deref().and_then(|all| all.get(at)) {
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// The value of a counter or gauge.
    pub(crate) fn get(&self) -> Result<u64, WrongKind> {
        match self.cell.kind {
            MetricKind::Counter | MetricKind::Gauge => Ok(self.cell.value.load(Ordering::Relaxed)),
            MetricKind::Histogram => Err(WrongKind),
        }
    }
}

impl Cell {
    fn new(kind: MetricKind) -> Self {
        let buckets = match kind {
            MetricKind::Counter | MetricKind::Gauge => None,
            MetricKind::Histogram => Some(Box::default()),
        };
        Self {
            kind,
            value: AtomicU64::new(0),
            buckets,
        }
    }

    fn snapshot(&self) -> MetricValue {
        let value = self.value.load(Ordering::Relaxed);
        match self.kind {
            MetricKind::Counter => MetricValue::Counter(value),
            MetricKind::Gauge => MetricValue::Gauge(value.cast_signed()),
            MetricKind::Histogram => {
                let counts = self.buckets.as_deref().into_iter().flatten();
                let counts = counts.map(|count| count.load(Ordering::Relaxed)).collect();
                MetricValue::Histogram { counts, sum: value }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_of_a_plugin_is_the_same_metric() {
        let metrics = GuestMetrics::default();
        let a = metrics.define("p", MetricKind::Counter, b"n");
        let b = metrics.define("p", MetricKind::Counter, b"n");
        assert!(a.is(&b));
        assert!(!a.is(&metrics.define("other", MetricKind::Counter, b"n")));
        assert!(!a.is(&metrics.define("p", MetricKind::Gauge, b"n")));
    }

    #[test]
    fn each_kind_takes_values_its_way() {
        let metrics = GuestMetrics::default();
        let counter = metrics.define("p", MetricKind::Counter, b"c");
        assert_eq!(counter.increment(2), Ok(()));
        assert_eq!(counter.increment(-1), Err(WrongKind));
        counter.record(3);
        let gauge = metrics.define("p", MetricKind::Gauge, b"g");
        gauge.record(5);
        assert_eq!(gauge.increment(-7), Ok(()));
        let histogram = metrics.define("p", MetricKind::Histogram, b"h");
        histogram.record(1);
        histogram.record(u64::MAX - 1);
        assert_eq!(histogram.get(), Err(WrongKind));

        let values: Vec<_> = metrics
            .snapshot()
            .into_iter()
            .map(|metric| metric.value)
            .collect();
        let mut counts = vec![0; BUCKETS.len() + 1];
        counts[0] = 1;
        counts[BUCKETS.len()] = 1;
        assert_eq!(
            values,
            [
                MetricValue::Counter(5),
                MetricValue::Gauge(-2),
                MetricValue::Histogram {
                    counts,
                    sum: u64::MAX
                },
            ]
        );
    }

    #[test]
    fn an_ended_instance_takes_off_a_gauge_what_it_had_added_and_no_more() {
        let metrics = GuestMetrics::default();
        let instance = |name: &str| metrics.define("p", MetricKind::Gauge, name.as_bytes());
        // Whichever is ended, what one added and another took off is taken off once, and what is under way
        // elsewhere is counted on.
        for adder_ends in [true, false] {
            let [adds, takes, other] = [(); 3].map(|()| instance(&adder_ends.to_string()));
            assert_eq!([adds.increment(1), takes.increment(-1)], [Ok(()); 2]);
            if adder_ends { adds } else { takes }.take_back();
            assert_eq!(other.get(), Ok(0), "{adder_ends}");
            assert_eq!(other.increment(1), Ok(()));
            assert_eq!(other.get(), Ok(1), "{adder_ends}");
        }
        let [ends, other] = [(); 2].map(|()| instance("both"));
        assert_eq!([ends.increment(3), other.increment(2)], [Ok(()); 2]);
        ends.take_back();
        assert_eq!(other.get(), Ok(2));
    }

    #[test]
    fn too_many_metrics_count_into_the_void() {
        let metrics = GuestMetrics::default();
        for number in 0..=MAX_METRICS {
            let name = number.to_string();
            metrics
                .define("p", MetricKind::Counter, name.as_bytes())
                .record(1);
        }
        assert_eq!(metrics.snapshot().len(), MAX_METRICS);
    }

    #[test]
    fn a_removed_plugin_exports_nothing() {
        let metrics = GuestMetrics::default();
        let handle = metrics.define("p", MetricKind::Gauge, b"g");
        metrics.remove("p");
        handle.record(1);
        assert_eq!(metrics.snapshot(), []);
    }
}

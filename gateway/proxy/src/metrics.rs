//! Numbers of the data plane.
//!
//! Owns what each worker counts and the sums of it. A worker is the only writer of its counters, so
//! that counting costs a load and a store; rare things are counted in maps behind a lock that only
//! a scrape contends for.

mod tally;
mod tcp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

pub use tidegate_core::rollout::shadow::Counts as ShadowCounts;
pub use tidegate_host_abi::MetricSnapshot as GuestMetric;
pub use tidegate_host_abi::MetricValue as GuestMetricValue;
use tidegate_host_abi::Usage;

pub(crate) use crate::metrics::tally::Shard;
pub(crate) use crate::metrics::tally::Tally;
pub(crate) use crate::metrics::tcp::TcpCounters;
pub use crate::metrics::tcp::TcpNumbers;
use crate::resolver::LookedUp;

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
    /// TLS handshakes with clients, by listener and by how they ended.
    pub handshakes: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Connections that were passed on as bytes, by listener.
    pub tcp: BTreeMap<Arc<str>, TcpNumbers>,
    /// Connections that ended otherwise than by both peers' word, or were refused before anything
    /// was spoken on them, by the access log's flag.
    pub connection_flags: BTreeMap<&'static str, u64>,
    /// Connections that have changed their protocol, such as to WebSocket.
    pub tunnels: u64,
    /// Those of them that are open now.
    pub open_tunnels: u64,
    /// Connections of HTTP/2 whose client did not answer a PING.
    pub silent_clients: u64,
    /// Those whose origin did not.
    pub silent_origins: u64,
    /// Instances that were ended, by plugin and kind of fault.
    pub plugin_faults: BTreeMap<(String, &'static str), u64>,
    /// Instances that only older generations hold, until their last stream ends.
    pub retired_instances: u64,
    /// What plugins use, by name.
    pub plugins: BTreeMap<String, PluginNumbers>,
    /// Plugins whose newest version waits, because too many old ones are held by long streams.
    pub waiting_plugins: Vec<String>,
    /// How many keys have used up something of the rate limits that plugins keep in the gateway, by the space
    /// of their shared data.
    pub limited_keys: BTreeMap<Arc<str>, usize>,
    /// What plugins count themselves.
    pub guests: Vec<GuestMetric>,
    /// What the names of backends have led to, by backend.
    pub names: Vec<LookedUp>,
}

/// What one plugin uses.
#[derive(Debug, Clone, Default)]
pub struct PluginNumbers {
    /// Calls into it and time in it, as of the last collection, which is every half second.
    pub usage: Usage,
    /// How it stood then.
    pub gauges: PluginGauges,
    /// Pauses that took too long.
    pub pause_timeouts: u64,
    /// Streams that got no instance of their own.
    pub exhausted: u64,
    /// What its shadows have come to, while it only looked on.
    pub shadow: ShadowCounts,
}

/// How a plugin stands at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PluginGauges {
    /// Instances in service. Plugins that share one count it under the first of them.
    pub instances: u64,
    /// Bytes of their memory.
    pub memory_bytes: u64,
    /// Calls to backends that wait for an answer.
    pub open_calls: u64,
    /// Streams that it holds back.
    pub paused: u64,
}

impl PluginGauges {
    fn add(&mut self, other: Self) {
        self.instances += other.instances;
        self.memory_bytes += other.memory_bytes;
        self.open_calls += other.open_calls;
        self.paused += other.paused;
    }
}

/// What one worker counts.
#[derive(Debug)]
pub(crate) struct Counters {
    statuses: Box<[AtomicU64]>,
    connections: AtomicU64,
    tunnels: AtomicU64,
    open_tunnels: AtomicU64,
    silent_clients: AtomicU64,
    silent_origins: AtomicU64,
    retired: AtomicU64,
    flags: Mutex<BTreeMap<&'static str, u64>>,
    handshakes: Mutex<BTreeMap<(Arc<str>, &'static str), u64>>,
    tcp: Mutex<BTreeMap<Arc<str>, Arc<TcpCounters>>>,
    connection_flags: Mutex<BTreeMap<&'static str, u64>>,
    faults: Mutex<BTreeMap<(String, &'static str), u64>>,
    plugins: Mutex<BTreeMap<String, PluginNumbers>>,
}

impl Counters {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            statuses: (0..STATUSES).map(|_| AtomicU64::new(0)).collect(),
            connections: AtomicU64::new(0),
            tunnels: AtomicU64::new(0),
            open_tunnels: AtomicU64::new(0),
            silent_clients: AtomicU64::new(0),
            silent_origins: AtomicU64::new(0),
            retired: AtomicU64::new(0),
            flags: Mutex::default(),
            handshakes: Mutex::default(),
            tcp: Mutex::default(),
            connection_flags: Mutex::default(),
            faults: Mutex::default(),
            plugins: Mutex::default(),
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

    /// A TLS handshake has ended.
    pub(crate) fn handshake(&self, listener: &Arc<str>, result: &'static str) {
        let handshakes = &self.handshakes;
        let mut handshakes = handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        *handshakes
            .entry((Arc::clone(listener), result))
            .or_default() += 1;
    }

    /// The counters of a listener's connections that are passed on as bytes.
    pub(crate) fn tcp(&self, listener: &Arc<str>) -> Arc<TcpCounters> {
        let mut tcp = self.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        match tcp.get(listener) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(tcp.entry(Arc::clone(listener)).or_default()),
        }
    }

    /// A connection ended otherwise than by both peers' word.
    pub(crate) fn connection_flag(&self, flag: &'static str) {
        let flags = &self.connection_flags;
        let mut flags = flags.lock().unwrap_or_else(PoisonError::into_inner);
        *flags.entry(flag).or_default() += 1;
    }

    /// A connection has changed its protocol; it is open until the guard is dropped.
    pub(crate) fn tunnel(self: &Arc<Self>) -> OpenTunnel {
        add_one(&self.tunnels);
        add_one(&self.open_tunnels);
        OpenTunnel(Arc::clone(self))
    }

    /// A client did not answer a PING.
    pub(crate) fn silent_client(&self) {
        add_one(&self.silent_clients);
    }

    /// An origin did not answer a PING.
    pub(crate) fn silent_origin(&self) {
        add_one(&self.silent_origins);
    }

    /// So many instances wait for their last streams.
    pub(crate) fn set_retired(&self, count: usize) {
        self.retired.store(count as u64, Ordering::Relaxed);
    }

    /// A plugin has used so much more.
    pub(crate) fn used(&self, plugin: &str, usage: &Usage) {
        self.plugin(plugin, |numbers| numbers.usage.add(usage));
    }

    /// A pause of a plugin took too long.
    pub(crate) fn pause_timeout(&self, plugin: &str) {
        self.plugin(plugin, |numbers| numbers.pause_timeouts += 1);
    }

    /// A stream got no instance of its own.
    pub(crate) fn exhausted(&self, plugin: &str) {
        self.plugin(plugin, |numbers| numbers.exhausted += 1);
    }

    /// A shadow of a plugin has ended, or could not begin.
    pub(crate) fn shadow(&self, plugin: &str, change: impl FnOnce(&mut ShadowCounts)) {
        self.plugin(plugin, |numbers| change(&mut numbers.shadow));
    }

    /// Notes how all plugins stand: `each` is given what takes one down.
    pub(crate) fn set_gauges(&self, each: impl FnOnce(&mut dyn FnMut(&str, PluginGauges))) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        for numbers in plugins.values_mut() {
            numbers.gauges = PluginGauges::default();
        }
        each(&mut |plugin, gauges| {
            entry(&mut plugins, plugin).gauges.add(gauges);
        });
    }

    fn plugin(&self, plugin: &str, change: impl FnOnce(&mut PluginNumbers)) {
        let mut plugins = self.plugins.lock().unwrap_or_else(PoisonError::into_inner);
        change(entry(&mut plugins, plugin));
    }

    /// An instance was ended.
    pub(crate) fn fault(&self, plugin: &str, kind: &'static str) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        *faults.entry((plugin.to_owned(), kind)).or_default() += 1;
    }
}

fn entry<'a>(
    plugins: &'a mut BTreeMap<String, PluginNumbers>,
    plugin: &str,
) -> &'a mut PluginNumbers {
    plugins.entry(plugin.to_owned()).or_default()
}

/// Counts a tunnel as open.
#[derive(Debug)]
pub(crate) struct OpenTunnel(Arc<Counters>);

impl Drop for OpenTunnel {
    fn drop(&mut self) {
        let open = &self.0.open_tunnels;
        open.store(open.load(Ordering::Relaxed) - 1, Ordering::Relaxed);
    }
}

/// Only one thread writes: no locked instruction is needed.
fn add_one(count: &AtomicU64) {
    add(count, 1);
}

fn add(count: &AtomicU64, more: u64) {
    let sum = count.load(Ordering::Relaxed).wrapping_add(more);
    count.store(sum, Ordering::Relaxed);
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
            all.tunnels += worker.tunnels.load(Ordering::Relaxed);
            all.open_tunnels += worker.open_tunnels.load(Ordering::Relaxed);
            all.silent_clients += worker.silent_clients.load(Ordering::Relaxed);
            all.silent_origins += worker.silent_origins.load(Ordering::Relaxed);
            all.retired_instances += worker.retired.load(Ordering::Relaxed);
            let flags = worker.flags.lock().unwrap_or_else(PoisonError::into_inner);
            for (flag, count) in flags.iter() {
                *all.flags.entry(flag).or_default() += count;
            }
            drop(flags);
            all.add_handshakes(worker);
            all.add_connections(worker);
            let faults = worker.faults.lock().unwrap_or_else(PoisonError::into_inner);
            for (fault, count) in faults.iter() {
                *all.plugin_faults.entry(fault.clone()).or_default() += count;
            }
            drop(faults);
            let plugins = worker
                .plugins
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            for (plugin, numbers) in plugins.iter() {
                let sum = all.plugins.entry(plugin.clone()).or_default();
                sum.usage.add(&numbers.usage);
                sum.gauges.add(numbers.gauges);
                sum.pause_timeouts += numbers.pause_timeouts;
                sum.exhausted += numbers.exhausted;
                sum.shadow.join(&numbers.shadow);
            }
        }
        all.requests = (0..).zip(sums).filter(|(_, count)| *count > 0).collect();
        all
    }

    fn add_handshakes(&mut self, worker: &Counters) {
        let handshakes = &worker.handshakes;
        let handshakes = handshakes.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in handshakes.iter() {
            *self.handshakes.entry(key.clone()).or_default() += count;
        }
    }

    fn add_connections(&mut self, worker: &Counters) {
        let tcp = worker.tcp.lock().unwrap_or_else(PoisonError::into_inner);
        for (listener, counted) in tcp.iter() {
            let sum = self.tcp.entry(Arc::clone(listener)).or_default();
            counted.add_to(sum);
        }
        drop(tcp);
        let flags = &worker.connection_flags;
        let flags = flags.lock().unwrap_or_else(PoisonError::into_inner);
        for (flag, count) in flags.iter() {
            *self.connection_flags.entry(flag).or_default() += count;
        }
    }
}

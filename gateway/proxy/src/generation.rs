//! One atomic load of everything that traffic meets: configuration, plugins, sockets.
//!
//! Owns what a generation is made of, as it is handed to the gateway and as workers get it. A
//! stream keeps the generation it started with.

use std::sync::Arc;

use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Plugin;

use crate::filters::services::VmServices;
use crate::metrics::Tally;
use crate::tls::Bundle;
use crate::tls::Certificate;
use crate::tls::TlsPlan;

/// What the gateway is started with, and later changed to.
#[derive(Debug, Clone)]
pub struct Generation {
    /// Its number, for logs and metrics.
    pub number: u64,
    /// Listeners, routes, backends, limits.
    pub snapshot: Arc<Snapshot>,
    /// The plugins, in the order of [`Snapshot::plugins`]. One that did not change must be the same
    /// `Arc` as before: then its instances stay as they are.
    pub plugins: Vec<PluginSlot>,
    /// The certificates with keys, in the order of [`Snapshot::certificates`]; `None` if no version
    /// of one works. One that did not change must be the same `Arc` as before: then sessions can be
    /// resumed, and connections to origins are kept.
    pub certificates: Vec<Option<Arc<Certificate>>>,
    /// The bundles of authorities, in the order of [`Snapshot::bundles`]; as above.
    pub bundles: Vec<Option<Arc<Bundle>>>,
}

/// A plugin of a generation.
#[derive(Debug, Clone)]
pub enum PluginSlot {
    /// It can be started.
    Ready {
        /// The plugin.
        plugin: Arc<Plugin>,
        /// What it may call.
        backends: Callable,
    },
    /// It is missing or refused: its requests fail or pass, as its policy says.
    Refused(FailurePolicy),
}

/// What a plugin may call beside its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Callable {
    /// Every backend there is, and the resolver.
    All,
    /// These alone.
    Only(Arc<Reachable>),
}

/// What a plugin that is bounded may call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reachable {
    /// Backends, by full name.
    pub backends: Vec<Arc<str>>,
    /// The system's resolver: a name that is asked for can carry data out.
    pub dns: bool,
}

/// Names an instance kind with its root contexts through all generations that keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct VmId(pub(crate) u64);

/// Names a bound address through all generations that keep it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct BindId(pub(crate) u64);

/// A generation as all workers share it.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) snapshot: Arc<Snapshot>,
    /// By [`tidegate_core::snapshot::PluginId`].
    pub(crate) slots: Vec<Slot>,
    pub(crate) vms: Vec<VmPlan>,
    /// Sorted by id.
    pub(crate) binds: Vec<(BindId, Arc<Bind>)>,
    pub(crate) tls: Arc<TlsPlan>,
}

/// Where a plugin runs.
#[derive(Debug, Clone)]
pub(crate) enum Slot {
    Ready {
        plugin: Arc<Plugin>,
        vm: VmId,
        /// Its place among the plugins of the instance.
        place: usize,
    },
    Refused(FailurePolicy),
}

/// The plugins that share an instance.
#[derive(Debug, Clone)]
pub(crate) struct VmPlan {
    pub(crate) id: VmId,
    pub(crate) plugins: Vec<Arc<Plugin>>,
    /// What each of them meets, through all plans that have it.
    pub(crate) tallies: Vec<Arc<Tally>>,
    pub(crate) services: Arc<VmServices>,
}

/// Instances of a generation that may come, on their way to one worker to set themselves up.
#[derive(Debug)]
pub(crate) struct SetUp {
    pub(crate) vms: Vec<(VmPlan, Vec<Instance>)>,
    /// Told of each of them once.
    pub(crate) done: std::sync::mpsc::Sender<Result<(), tidegate_host_abi::StartError>>,
}

/// A generation on its way to one worker, with what is new in it.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) plan: Arc<Plan>,
    /// Started instances of VMs that the worker does not have yet: one to serve, one to spare.
    pub(crate) instances: Vec<(VmId, Vec<Instance>)>,
    /// Sockets of addresses that it does not listen on yet.
    pub(crate) sockets: Vec<(BindId, std::net::TcpListener)>,
    /// Told when new exchanges see the generation.
    pub(crate) done: std::sync::mpsc::Sender<()>,
}

impl Plan {
    /// Where a bind stands in [`Plan::binds`].
    pub(crate) fn place_of(&self, id: BindId) -> Option<usize> {
        self.binds.binary_search_by_key(&id, |(id, _)| *id).ok()
    }

    /// What a version of a plugin meets that it has.
    pub(crate) fn tally(&self, plugin: &Arc<Plugin>) -> Option<&Arc<Tally>> {
        self.vms.iter().find_map(|vm| {
            let mut pairs = vm.plugins.iter().zip(&vm.tallies);
            let (_, tally) = pairs.find(|(one, _)| Arc::ptr_eq(one, plugin))?;
            Some(tally)
        })
    }

    pub(crate) fn bind(&self, id: BindId) -> Option<&Arc<Bind>> {
        self.binds.get(self.place_of(id)?).map(|(_, bind)| bind)
    }
}

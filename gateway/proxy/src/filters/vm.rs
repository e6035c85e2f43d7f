//! One instance on one worker, and the streams it knows.
//!
//! Owns the instance in place. [`entry`] has entering the guest, [`wishes`] doing what it asked for.
//! What follows from a fault, and who takes the instance's place, is [`succession`]'s; [`own`] gives
//! each stream an instance of its own. Streams are never moved between instances.

mod entry;
mod looking_on;
mod numbers;
mod own;
mod setup;
mod succession;
mod ticks;
mod wishes;

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::breaker::FaultBreaker;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Instance;
use tidegate_host_abi::InstanceId;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::SetupState;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::filters::grpc::GrpcCalls;
use crate::filters::lent::StreamTable;
use crate::filters::remarks;
use crate::filters::remarks::Remarks;
use crate::filters::services::Permit;
use crate::filters::services::Reach;
use crate::filters::services::VmServices;
use crate::filters::shadow::gate::Gate;
pub(crate) use crate::filters::vm::entry::EnterError;
pub(crate) use crate::filters::vm::own::Exhausted;
use crate::filters::vm::own::Pool;
pub(crate) use crate::filters::vm::own::STOCK;
pub(crate) use crate::filters::vm::setup::LONGEST_SETUP;
use crate::filters::vm::succession::Succession;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::metrics::Tally;
use crate::worker::Worker;

/// How long a new stream waits for an instance when there is not even a spare.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(1);

/// Instances that were lost and whose queues its successor still reads.
const REMEMBERED: usize = 8;

/// One instance, its spare, and the streams it knows.
#[derive(Debug)]
pub(crate) struct Vm {
    id: VmId,
    plugins: Vec<Arc<Plugin>>,
    /// What each of them meets.
    tallies: Vec<Arc<Tally>>,
    services: Arc<VmServices>,
    /// Only older generations have it: it gets no replacements.
    retired: Arc<AtomicBool>,
    worker: Weak<Worker>,
    active: RefCell<Option<Instance>>,
    succession: Succession,
    /// Counts instances: what belongs to an older one is lost.
    generation: Cell<u64>,
    /// The instances that it had, spares included: one of them may have registered a queue last.
    names: RefCell<Vec<InstanceId>>,
    streams: StreamTable,
    /// The guest asked for a new instance in its place.
    renew: Cell<bool>,
    /// A spare is being made.
    spare_ordered: Cell<bool>,
    breaker: Rc<RefCell<FaultBreaker>>,
    arrived: Notify,
    tickers: RefCell<Vec<AbortHandle>>,
    grpc: GrpcCalls,
    /// Instances for streams that each have their own; then there is none here.
    pool: Option<Pool>,
    /// The right to exist, of one that belongs to a stream.
    permit: RefCell<Option<Permit>>,
    /// Since when no stream and no generation has it.
    alone_since: Cell<Option<Instant>>,
    /// The instance in place is not set up yet.
    in_setup: Cell<bool>,
    /// Its generation serves.
    serves: Cell<bool>,
    /// If its plugin only looks on, what it may use: such a plugin shares its instances with no other.
    gate: Option<Rc<Gate>>,
    /// The number of the instance that was kept from a call that it made for no stream.
    deprived: Cell<Option<u64>>,
}

impl Vm {
    pub(crate) fn new(plan: &VmPlan, worker: Weak<Worker>) -> Rc<Self> {
        let VmPlan {
            id,
            plugins,
            tallies,
            services,
        } = plan.clone();
        let lead = plugins.first().map(|plugin| plugin.spec());
        let isolated = lead.is_some_and(|spec| spec.isolation == Isolation::Stream);
        let gate = plugins.first().and_then(Gate::of);
        Rc::new(Self {
            id,
            succession: Succession::of(lead),
            plugins,
            tallies,
            services,
            retired: Arc::default(),
            worker,
            active: RefCell::new(None),
            generation: Cell::new(0),
            names: RefCell::default(),
            streams: StreamTable::default(),
            renew: Cell::new(false),
            spare_ordered: Cell::new(false),
            breaker: Rc::default(),
            arrived: Notify::new(),
            tickers: RefCell::default(),
            grpc: GrpcCalls::default(),
            pool: isolated.then(Pool::default),
            permit: RefCell::default(),
            alone_since: Cell::new(None),
            in_setup: Cell::new(false),
            serves: Cell::new(false),
            gate,
            deprived: Cell::new(None),
        })
    }

    pub(crate) fn id(&self) -> VmId {
        self.id
    }

    /// Whether each stream has an instance of its own, which [`Vm::own`] gives.
    pub(crate) fn is_pool(&self) -> bool {
        self.pool.is_some()
    }

    /// The namespace of its plugins: they share it, or they would not share an instance.
    pub(crate) fn namespace(&self) -> &str {
        let first = self.plugins.first();
        first.map_or("", |plugin| plugin.spec().namespace.as_str())
    }

    /// Its generation serves from now on.
    pub(crate) fn serve(&self) {
        self.serves.set(true);
    }

    /// The number of the instance in place.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Begins with instances that were started before the worker: one in service, the rest to spare.
    pub(crate) fn begin(self: &Rc<Self>, started: Vec<Instance>) {
        for instance in started {
            self.take_in(instance);
        }
        self.order_spare();
    }

    /// Takes a started instance: into service if there is none, else as a spare.
    pub(crate) fn accept(self: &Rc<Self>, instance: Instance) {
        self.take_in(instance);
        self.order_spare();
    }

    fn take_in(self: &Rc<Self>, instance: Instance) {
        if let Some(pool) = &self.pool {
            pool.accept(instance);
            return;
        }
        self.spare_ordered.set(false);
        self.remember(instance.id());
        if self.active.borrow().is_some() {
            self.keep_spare(instance);
            return;
        }
        self.install(instance);
        self.arrived.notify_waiters();
    }

    fn install(self: &Rc<Self>, instance: Instance) {
        instance.claim_queues();
        self.in_setup.set(instance.setup() != SetupState::Done);
        *self.active.borrow_mut() = Some(instance);
        // What the guest asked for while it was started could not be done before.
        self.settle();
    }

    fn remember(&self, name: InstanceId) {
        let mut names = self.names.borrow_mut();
        if names.len() == REMEMBERED {
            names.remove(0);
        }
        names.push(name);
    }

    /// Ends the instance with its worker, or with its stream: the plugins' contexts are done and
    /// deleted.
    pub(crate) fn shutdown(&self) {
        self.stop_ticks();
        self.grpc.clear();
        self.collect();
        let instance = self.active.borrow_mut().take();
        if let Some(mut instance) = instance {
            instance.shutdown(&mut tidegate_host_abi::NoStreams);
            self.collect_from(&mut instance);
        }
        drop(self.permit.borrow_mut().take());
        // Answers that are still on their way find nobody.
        self.generation.set(self.generation() + 1);
        if let Some(pool) = &self.pool {
            pool.end();
        }
    }

    /// What its guests reach.
    pub(crate) fn services(&self) -> Arc<VmServices> {
        Arc::clone(&self.services)
    }

    /// How many streams it knows.
    pub(crate) fn stream_count(&self) -> usize {
        let own = self.pool.iter().flat_map(Pool::living);
        let own: usize = own.map(|vm| vm.streams.count(|_| true)).sum();
        own + self.streams.count(|_| true)
    }

    /// What its guests may call.
    pub(crate) fn reach(&self) -> Arc<Reach> {
        self.services.reach()
    }

    /// Warns of what a guest of that plugin has caused.
    pub(crate) fn warn(&self, plugin: &str, message: std::fmt::Arguments<'_>) {
        remarks::warn(&self.services, plugin, message);
    }

    /// The voice for remarks about the plugin that was called last.
    pub(crate) fn remarks(&self) -> Remarks {
        let active = self.active.borrow();
        let place = active.as_ref().map_or(0, Instance::last_plugin);
        Remarks::new(&self.services, self.plugins.get(place))
    }

    /// The gRPC calls and streams of the instance in place.
    pub(crate) fn grpc(&self) -> &GrpcCalls {
        &self.grpc
    }

    /// Whether there is an instance that any stream may enter, and nothing to wait for.
    pub(crate) fn is_ready(&self) -> bool {
        !self.is_pool()
            && self.active.borrow().is_some()
            && !self.in_setup.get()
            && !self.breaker.borrow().is_open()
    }

    /// Resolves when there is an instance that may be entered, or when there will be none soon.
    pub(crate) async fn ready(&self) {
        if self.in_setup.get() {
            // Rare, and large beside the rest. Without an instance the failure policy answers.
            if let Err(err) = Box::pin(self.set_up()).await {
                self.give_up(&err);
            }
            return;
        }
        if self.is_pool() || self.active.borrow().is_some() || self.breaker.borrow().is_open() {
            return;
        }
        let arrived = self.arrived.notified();
        tokio::time::timeout(REPLACEMENT_WAIT, arrived).await.ok();
    }

    /// Whether the guest may be entered for a new stream.
    pub(crate) fn may_enter(&self) -> bool {
        let mut breaker = self.breaker.borrow_mut();
        !breaker.is_open() || breaker.may_enter(Instant::now())
    }

    pub(crate) fn worker(&self) -> Option<Rc<Worker>> {
        self.worker.upgrade()
    }

    fn root(&self, place: usize) -> Option<ContextId> {
        self.active.borrow().as_ref()?.root(place)
    }
}

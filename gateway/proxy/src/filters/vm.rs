//! One instance on one worker, and the streams it knows.
//!
//! Owns entering the guest and doing what it asked for. What follows from a fault, and who takes the
//! instance's place, is [`succession`]'s; [`own`] gives each stream an instance of its own. Streams
//! are never moved between instances.

mod numbers;
mod own;
mod setup;
mod succession;
mod ticks;

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
use tidegate_host_abi::Fault;
use tidegate_host_abi::Instance;
use tidegate_host_abi::InstanceId;
use tidegate_host_abi::Isolation;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::QueueEvent;
use tidegate_host_abi::Services as _;
use tidegate_host_abi::SetupState;
use tidegate_host_abi::Streams;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::filters::callout;
use crate::filters::dns;
use crate::filters::grpc::GrpcCalls;
use crate::filters::lent::Current;
use crate::filters::lent::Lent;
use crate::filters::lent::Stream;
use crate::filters::lent::StreamRef;
use crate::filters::lent::StreamTable;
use crate::filters::redis;
use crate::filters::remarks;
use crate::filters::remarks::Remarks;
use crate::filters::services::Permit;
use crate::filters::services::Reach;
use crate::filters::services::VmServices;
pub(crate) use crate::filters::vm::own::Exhausted;
use crate::filters::vm::own::Pool;
pub(crate) use crate::filters::vm::own::STOCK;
pub(crate) use crate::filters::vm::setup::LONGEST_SETUP;
use crate::filters::vm::succession::Succession;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::worker::Worker;

/// How long a new stream waits for an instance when there is not even a spare.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(1);

/// Items of a queue that its owner is told of before the worker looks at anything else.
const TOLD_AT_ONCE: usize = 64;

/// Instances that were lost and whose queues its successor still reads.
const REMEMBERED: usize = 8;

/// One instance, its spare, and the streams it knows.
#[derive(Debug)]
pub(crate) struct Vm {
    id: VmId,
    plugins: Vec<Arc<Plugin>>,
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
}

/// Why a guest was not entered, or did not come back well. Logged where it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EnterError {
    /// There is no instance now, or its breaker is open.
    Absent,
    /// The guest was ended.
    Faulted,
}

impl Vm {
    pub(crate) fn new(plan: &VmPlan, worker: Weak<Worker>) -> Rc<Self> {
        let VmPlan {
            id,
            plugins,
            services,
        } = plan.clone();
        let lead = plugins.first().map(|plugin| plugin.spec());
        let isolated = lead.is_some_and(|spec| spec.isolation == Isolation::Stream);
        Rc::new(Self {
            id,
            succession: Succession::of(lead),
            plugins,
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
            Box::pin(self.set_up()).await.ok();
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

    /// Runs one callback of the guest and then what it asked for.
    pub(crate) fn enter<R>(
        self: &Rc<Self>,
        current: Option<Current<'_>>,
        call: impl FnOnce(&mut Instance, &mut dyn Streams) -> Result<R, Fault>,
    ) -> Result<R, EnterError> {
        let mut active = self.active.borrow_mut();
        let instance = active.as_mut().ok_or(EnterError::Absent)?;
        let mut streams = Lent {
            table: &self.streams,
            current,
        };
        match call(instance, &mut streams) {
            Ok(value) => {
                let has_wishes = instance.has_wishes();
                drop(active);
                if has_wishes || self.renew.get() {
                    self.settle();
                }
                Ok(value)
            }
            Err(fault) => {
                drop(active);
                self.on_fault(&fault);
                Err(EnterError::Faulted)
            }
        }
    }

    /// A stream context of the plugin at `place`.
    pub(crate) fn create_stream(
        self: &Rc<Self>,
        place: usize,
        stream: Stream<'_>,
        filter: usize,
    ) -> Result<ContextId, EnterError> {
        let root = self.root(place).ok_or(EnterError::Absent)?;
        let context = self.enter(None, |instance, streams| {
            instance.create_stream(streams, root)
        })?;
        self.streams.insert(context, StreamRef::new(stream, filter));
        Ok(context)
    }

    /// Ends a stream context: done, log, delete.
    pub(crate) fn finish_stream(
        self: &Rc<Self>,
        context: ContextId,
        generation: u64,
        stream: Stream<'_>,
        filter: usize,
    ) {
        if generation != self.generation() {
            return; // It ended with its instance.
        }
        let current = Current {
            context,
            stream,
            filter,
        };
        let finished = self.enter(Some(current), |instance, streams| {
            instance.finish_stream(streams, context)
        });
        self.streams.remove(context);
        if finished.is_ok() {
            self.breaker.borrow_mut().on_success();
        }
    }

    /// Does what the guest asked for in its last callback.
    #[cold]
    fn settle(self: &Rc<Self>) {
        let mut setup_ended = false;
        let (calls, grpc, redis_calls, lookups, events, ticks_changed) = {
            let mut active = self.active.borrow_mut();
            let Some(instance) = active.as_mut() else {
                return;
            };
            let events = instance.take_queue_events();
            if instance.take_rebuild_wish() {
                self.renew.set(true);
            }
            if instance.take_setup_end() {
                setup_ended = true;
            }
            (
                instance.take_http_calls(),
                instance.take_grpc_commands(),
                instance.take_redis_calls(),
                instance.take_dns_lookups(),
                events,
                instance.tick_periods_changed(),
            )
        };
        if let Some(worker) = self.worker.upgrade().filter(|_| !events.is_empty()) {
            worker.announce(&events);
        }
        for call in calls {
            callout::start(self, call);
        }
        for command in grpc {
            self.grpc.run(self, command);
        }
        for call in redis_calls {
            redis::start(self, call);
        }
        for lookup in lookups {
            dns::start(self, lookup);
        }
        if ticks_changed {
            self.restart_ticks();
        }
        if setup_ended {
            self.on_setup_end();
        }
        if self.renew.get() {
            self.renew_if_idle();
        }
    }

    /// A queue of a root context of ours may have a new item. The instance that registered it last
    /// may be a spare, or lost: the one in service, with the same root contexts, speaks for all of
    /// them.
    pub(crate) fn on_queue_event(self: &Rc<Self>, event: QueueEvent) {
        if let Some(pool) = &self.pool {
            for own in pool.living() {
                own.on_queue_event(event);
            }
            return;
        }
        if !self.names.borrow().contains(&event.instance) {
            return;
        }
        for _ in 0..TOLD_AT_ONCE {
            if !self.services.shared().take_queue_signal(event.queue) {
                return;
            }
            let told = self.enter(None, |instance, streams| {
                instance.on_queue_ready(streams, event.root, event.queue)
            });
            if told.is_err() {
                tracing::debug!("a queue's owner ended when it was told of an item");
                return;
            }
        }
        // The worker has other work, too.
        if let Some(worker) = self.worker.upgrade() {
            worker.announce_here(event);
        }
    }

    pub(crate) fn worker(&self) -> Option<Rc<Worker>> {
        self.worker.upgrade()
    }

    fn root(&self, place: usize) -> Option<ContextId> {
        self.active.borrow().as_ref()?.root(place)
    }
}

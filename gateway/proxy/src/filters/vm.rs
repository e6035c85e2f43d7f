//! One instance on one worker, with its spare.
//!
//! Owns entering the guest, what follows from a fault, and the streams the instance knows. A fault
//! drops the instance and puts the spare in its place at once; a new spare is started on the
//! control thread. Streams are never moved between instances.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::breaker::FaultBreaker;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Fault;
use tidegate_host_abi::FaultKind;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::QueueEvent;
use tidegate_host_abi::Streams;
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use crate::exchange::state::StreamCell;
use crate::filters::callout;
use crate::filters::dns;
use crate::filters::lent::Current;
use crate::filters::lent::Lent;
use crate::filters::lent::StreamRef;
use crate::filters::lent::StreamTable;
use crate::filters::services::Reach;
use crate::filters::services::VmServices;
use crate::filters::starter::StartOrder;
use crate::generation::VmId;
use crate::generation::VmPlan;
use crate::worker::Worker;

/// How long a new stream waits for a replacement when there is not even a spare.
const REPLACEMENT_WAIT: Duration = Duration::from_secs(1);

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
    spare: RefCell<Option<Instance>>,
    /// Counts instances: what belongs to an older one is lost.
    generation: Cell<u64>,
    streams: StreamTable,
    breaker: RefCell<FaultBreaker>,
    /// The guest asked for a new instance in its place.
    renew: Cell<bool>,
    arrived: Notify,
    tickers: RefCell<Vec<AbortHandle>>,
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
        Rc::new(Self {
            id,
            plugins,
            services,
            retired: Arc::default(),
            worker,
            active: RefCell::new(None),
            spare: RefCell::new(None),
            generation: Cell::new(0),
            streams: StreamTable::default(),
            breaker: RefCell::default(),
            renew: Cell::new(false),
            arrived: Notify::new(),
            tickers: RefCell::default(),
        })
    }

    pub(crate) fn id(&self) -> VmId {
        self.id
    }

    /// The namespace of its plugins: they share it, or they would not share an instance.
    pub(crate) fn namespace(&self) -> &str {
        let first = self.plugins.first();
        first.map_or("", |plugin| plugin.spec().namespace.as_str())
    }

    /// The number of the instance in place.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Begins with instances that were started before the worker: one in service, one spare.
    pub(crate) fn begin(self: &Rc<Self>, started: Vec<Instance>) {
        let mut started = started.into_iter();
        let first = started.next();
        *self.spare.borrow_mut() = started.next();
        if let Some(first) = first {
            self.install(first);
        }
    }

    /// Ends the instance with its worker: the plugins' contexts are done and deleted.
    pub(crate) fn shutdown(&self) {
        for ticker in self.tickers.borrow_mut().drain(..) {
            ticker.abort();
        }
        let instance = self.active.borrow_mut().take();
        if let Some(mut instance) = instance {
            instance.shutdown(&mut tidegate_host_abi::NoStreams);
        }
    }

    /// Takes a started instance: into service if there is none, else as the spare.
    pub(crate) fn accept(self: &Rc<Self>, instance: Instance) {
        if self.active.borrow().is_some() {
            if !self.retired.load(Ordering::Relaxed) {
                *self.spare.borrow_mut() = Some(instance);
            }
            return;
        }
        self.install(instance);
        if self.spare.borrow().is_none() {
            self.order_replacement();
        }
        self.arrived.notify_waiters();
    }

    fn install(self: &Rc<Self>, instance: Instance) {
        *self.active.borrow_mut() = Some(instance);
        // What the guest asked for while it was started could not be done before.
        self.settle();
    }

    /// From now on only older generations have it: what it would be replaced by is given back.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        drop(self.spare.borrow_mut().take());
    }

    /// What its guests may call.
    pub(crate) fn reach(&self) -> Arc<Reach> {
        self.services.reach()
    }

    fn order_replacement(&self) {
        if self.retired.load(Ordering::Relaxed) {
            return;
        }
        if let Some(worker) = self.worker.upgrade() {
            worker.starter.order(StartOrder {
                vm: self.id,
                plugins: self.plugins.clone(),
                services: Arc::clone(&self.services),
                retired: Arc::clone(&self.retired),
                reply: worker.inbox.clone(),
            });
        }
    }

    /// Resolves when there is an instance that may be entered, or when there will be none soon.
    pub(crate) async fn ready(&self) {
        if self.active.borrow().is_some() || self.breaker.borrow().is_open() {
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
        let result = {
            let mut active = self.active.borrow_mut();
            let instance = active.as_mut().ok_or(EnterError::Absent)?;
            call(
                instance,
                &mut Lent {
                    table: &self.streams,
                    current,
                },
            )
        };
        match result {
            Ok(value) => {
                self.settle();
                Ok(value)
            }
            Err(fault) => {
                self.on_fault(&fault);
                Err(EnterError::Faulted)
            }
        }
    }

    /// A stream context of the plugin at `place`.
    pub(crate) fn create_stream(
        self: &Rc<Self>,
        place: usize,
        stream: &Rc<StreamCell>,
        filter: usize,
    ) -> Result<ContextId, EnterError> {
        let root = self.root(place).ok_or(EnterError::Absent)?;
        let context = self.enter(None, |instance, streams| {
            instance.create_stream(streams, root)
        })?;
        let known = StreamRef {
            stream: Rc::clone(stream),
            filter,
        };
        self.streams.insert(context, known);
        Ok(context)
    }

    /// Ends a stream context: done, log, delete.
    pub(crate) fn finish_stream(
        self: &Rc<Self>,
        context: ContextId,
        generation: u64,
        stream: &Rc<StreamCell>,
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
        if finished.is_ok() && self.breaker.borrow().is_open() {
            self.breaker.borrow_mut().on_success();
        }
    }

    /// Does what the guest asked for in its last callback.
    fn settle(self: &Rc<Self>) {
        let (calls, lookups, events, ticks_changed) = {
            let mut active = self.active.borrow_mut();
            let Some(instance) = active.as_mut() else {
                return;
            };
            let events = instance.take_queue_events();
            if instance.take_rebuild_wish() {
                self.renew.set(true);
            }
            (
                instance.take_http_calls(),
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
        for lookup in lookups {
            dns::start(self, lookup);
        }
        if ticks_changed {
            self.restart_tickers();
        }
        if self.renew.get() {
            self.renew_if_idle();
        }
    }

    /// Puts the spare in place of an instance that asked to be replaced, once it has no streams:
    /// nobody is hurt by it. Its open calls are forgotten.
    #[cold]
    fn renew_if_idle(self: &Rc<Self>) {
        let is_idle = |instance: &Instance| instance.stream_count() == 0;
        if !self.active.borrow().as_ref().is_some_and(is_idle) {
            return;
        }
        let Some(spare) = self.spare.borrow_mut().take() else {
            return; // The next callback looks again.
        };
        self.renew.set(false);
        self.shutdown();
        self.generation.set(self.generation() + 1);
        self.install(spare);
        self.order_replacement();
    }

    /// A queue of a root context of ours has a new item.
    pub(crate) fn on_queue_event(self: &Rc<Self>, event: QueueEvent) {
        let is_ours = {
            let active = self.active.borrow();
            active
                .as_ref()
                .is_some_and(|instance| instance.id() == event.instance)
        };
        if is_ours {
            let told = self.enter(None, |instance, streams| {
                instance.on_queue_ready(streams, event.root, event.queue)
            });
            if told.is_err() {
                tracing::debug!("a queue's owner ended when it was told of an item");
            }
        }
    }

    pub(crate) fn worker(&self) -> Option<Rc<Worker>> {
        self.worker.upgrade()
    }

    fn root(&self, place: usize) -> Option<ContextId> {
        self.active.borrow().as_ref()?.root(place)
    }

    fn restart_tickers(self: &Rc<Self>) {
        for ticker in self.tickers.borrow_mut().drain(..) {
            ticker.abort();
        }
        let generation = self.generation();
        for place in 0..self.plugins.len() {
            let tick = {
                let active = self.active.borrow();
                active.as_ref().and_then(|instance| {
                    let root = instance.root(place)?;
                    Some((root, instance.tick_period(root)?))
                })
            };
            if let Some((root, period)) = tick {
                let vm = Rc::downgrade(self);
                let ticker = tokio::task::spawn_local(tick_for_ever(vm, generation, root, period));
                self.tickers.borrow_mut().push(ticker.abort_handle());
            }
        }
    }

    fn on_fault(self: &Rc<Self>, fault: &Fault) {
        let plugin = self
            .plugins
            .first()
            .map_or("", |plugin| plugin.spec().name.as_str());
        tracing::error!(
            plugin,
            callback = fault.callback,
            kind = fault.kind.as_str(),
            "filter faulted: {}",
            fault.message
        );
        if let Some(worker) = self.worker.upgrade() {
            worker.counters.fault(plugin, fault.kind.as_str());
        }
        if !fault.backtrace.is_empty() {
            tracing::debug!(plugin, "guest backtrace:\n{}", fault.backtrace);
        }
        if fault.kind == FaultKind::Deadline {
            let mut breaker = self.breaker.borrow_mut();
            let was_open = breaker.is_open();
            breaker.on_deadline_fault(Instant::now());
            if breaker.is_open() && !was_open {
                tracing::error!(
                    plugin,
                    "filter ran out of time again and again: its failure policy answers, with a \
                     probe every second; a larger call time-out may be what it needs"
                );
            }
        }
        for ticker in self.tickers.borrow_mut().drain(..) {
            ticker.abort();
        }
        drop(self.active.borrow_mut().take());
        self.generation.set(self.generation() + 1);
        // Streams that wait for the lost instance look again and find it gone.
        for known in self.streams.take_all() {
            known.stream.state().wake();
        }
        let spare = self.spare.borrow_mut().take();
        if let Some(spare) = spare {
            self.install(spare);
        }
        self.order_replacement();
    }
}

async fn tick_for_ever(vm: Weak<Vm>, generation: u64, root: ContextId, period: Duration) {
    loop {
        tokio::time::sleep(period).await;
        let Some(vm) = vm.upgrade() else { return };
        if vm.generation() != generation {
            return;
        }
        if vm
            .enter(None, |instance, streams| instance.on_tick(streams, root))
            .is_err()
        {
            return;
        }
    }
}

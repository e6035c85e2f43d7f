//! Instances that each serve one stream (`isolation: Stream`).
//!
//! Owns a small stock of started and configured instances. A stream takes one, and it is dropped
//! with the stream; the control thread makes the next ones, for nothing is instantiated on a worker.
//! How many exist at once is bounded twice: by the plugin's `instances`, over all workers, and by the
//! engine's pool. A stream that finds no place is refused at once, one that finds no instance in
//! stock waits a moment.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_host_abi::Instance;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::filters::grpc::GrpcCalls;
use crate::filters::lent::StreamTable;
use crate::filters::services::Permit;
use crate::filters::vm::REPLACEMENT_WAIT;
use crate::filters::vm::Vm;
use crate::filters::vm::succession::Succession;

/// Ended exchanges of a plugin that wait for an instance to be told to.
const MOST_TOLD: usize = 64;

/// Instances in stock on each worker.
pub(crate) const STOCK: usize = 4;

/// The instances of one plugin that are not taken yet.
#[derive(Debug, Default)]
pub(super) struct Pool {
    stock: RefCell<Vec<Instance>>,
    /// Instances that the control thread was asked for.
    ordered: Cell<usize>,
    /// Streams that wait for one.
    waiting: Cell<usize>,
    /// Exchanges that have ended without one and wait to be told of.
    telling: Cell<usize>,
    arrived: Notify,
    /// One has arrived that no stream waits for.
    to_spare: Notify,
    taken: RefCell<Vec<Weak<Vm>>>,
    /// No stream can want one any more: orders that could not be filled yet are given up.
    ended: Arc<AtomicBool>,
}

/// Why a stream gets no instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// As many exist as may.
    AllTaken,
    /// None was started in time.
    NoneReady,
}

/// A stream that waits; it no longer does when this is dropped.
struct Waiting<'a>(&'a Cell<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a Cell<usize>) -> Self {
        count.set(count.get() + 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Pool {
    pub(super) fn accept(&self, instance: Instance) {
        self.ordered.set(self.ordered.get().saturating_sub(1));
        self.stock.borrow_mut().push(instance);
        self.arrived.notify_one();
        if self.waiting.get() == 0 {
            self.to_spare.notify_one();
        }
    }

    /// Gives up what is in stock and what is ordered.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
        self.stock.borrow_mut().clear();
    }

    /// What says to who starts instances that nobody wants them any more.
    pub(super) fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// Those that streams have.
    pub(super) fn living(&self) -> Vec<Rc<Vm>> {
        let mut taken = self.taken.borrow_mut();
        taken.retain(|vm| vm.strong_count() > 0);
        taken.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Vm {
    /// An instance for one stream alone, if this is a pool.
    pub(crate) async fn own(self: &Rc<Self>) -> Result<Rc<Self>, Exhausted> {
        let Some(pool) = &self.pool else {
            return Ok(Rc::clone(self));
        };
        let permit = self.permission().ok_or(Exhausted::AllTaken)?;
        let instance = self.in_stock(pool).await?;
        let own = self.lent(pool, permit, instance);
        own.ready().await;
        Ok(own)
    }

    /// An instance for an exchange that has ended without one and is only told of: one that no
    /// stream waits for. `None` if there is none in time, or too many wait so.
    pub(crate) async fn own_to_spare(self: &Rc<Self>) -> Option<Rc<Self>> {
        let pool = self.pool.as_ref()?;
        if pool.telling.get() >= MOST_TOLD {
            return None;
        }
        let _telling = Waiting::new(&pool.telling);
        let until = Instant::now() + REPLACEMENT_WAIT;
        loop {
            if pool.waiting.get() == 0 && !pool.stock.borrow().is_empty() {
                let permit = self.permission()?;
                let instance = pool.stock.borrow_mut().pop()?;
                self.restock(pool);
                let own = self.lent(pool, permit, instance);
                own.ready().await;
                return Some(own);
            }
            self.restock(pool);
            let arrived = pool.to_spare.notified();
            tokio::time::timeout_at(until, arrived).await.ok()?;
        }
    }

    /// The right to exist of one more instance.
    fn permission(&self) -> Option<Permit> {
        let lead = self.plugins.first();
        let limit = lead.map_or(0, |plugin| plugin.spec().limits.instances);
        self.services.occupy(limit)
    }

    /// An instance as its stream has it.
    fn lent(self: &Rc<Self>, pool: &Pool, permit: Permit, instance: Instance) -> Rc<Self> {
        let own = Rc::new(Self {
            id: self.id,
            plugins: self.plugins.clone(),
            tallies: self.tallies.clone(),
            services: Arc::clone(&self.services),
            retired: Arc::clone(&self.retired),
            worker: Weak::clone(&self.worker),
            active: RefCell::new(None),
            succession: Succession::None,
            generation: Cell::new(0),
            names: RefCell::new(vec![instance.id()]),
            streams: StreamTable::default(),
            breaker: Rc::clone(&self.breaker),
            renew: Cell::new(false),
            spare_ordered: Cell::new(false),
            arrived: Notify::new(),
            tickers: RefCell::default(),
            grpc: GrpcCalls::default(),
            pool: None,
            permit: RefCell::new(Some(permit)),
            alone_since: Cell::new(None),
            in_setup: Cell::new(false),
            serves: Cell::new(true),
            gate: self.gate.clone(),
            deprived: Cell::new(None),
        });
        let mut taken = pool.taken.borrow_mut();
        if taken.len() == taken.capacity() {
            taken.retain(|vm| vm.strong_count() > 0);
        }
        taken.push(Rc::downgrade(&own));
        drop(taken);
        own.install(instance);
        own
    }

    async fn in_stock(&self, pool: &Pool) -> Result<Instance, Exhausted> {
        let take = || pool.stock.borrow_mut().pop();
        if let Some(instance) = take() {
            self.restock(pool);
            return Ok(instance);
        }
        let waiting = Waiting::new(&pool.waiting);
        let until = Instant::now() + REPLACEMENT_WAIT;
        loop {
            self.restock(pool);
            let arrived = pool.arrived.notified();
            if tokio::time::timeout_at(until, arrived).await.is_err() {
                return take().ok_or(Exhausted::NoneReady);
            }
            if let Some(instance) = take() {
                drop(waiting);
                self.restock(pool);
                return Ok(instance);
            }
        }
    }

    fn restock(&self, pool: &Pool) {
        let wanted = if self.retired.load(Ordering::Relaxed) {
            pool.waiting.get()
        } else {
            STOCK + pool.waiting.get()
        };
        while pool.stock.borrow().len() + pool.ordered.get() < wanted {
            pool.ordered.set(pool.ordered.get() + 1);
            self.order(Duration::ZERO);
        }
    }
}

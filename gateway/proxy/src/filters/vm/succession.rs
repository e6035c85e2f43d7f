//! Who takes the place of an instance that was ended.
//!
//! Owns what follows from a fault. An instance that serves streams has a configured spare, which is
//! there at once; the control thread makes the next one. A service has nobody waiting for it: it is
//! started again after a pause that grows while it keeps failing. The instance of one stream has no
//! successor.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::Fault;
use tidegate_host_abi::FaultKind;
use tidegate_host_abi::Instance;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;

use crate::filters::starter::StartOrder;
use crate::filters::vm::Vm;

/// The pause before a service is started again; each further fault doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A service that has run so long is taken for well.
const WELL: Duration = Duration::from_secs(60);

/// How long a plugin that is gone may wait for answers to its calls.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Who comes after an instance.
#[derive(Debug)]
pub(super) enum Succession {
    /// The spare.
    Spare(RefCell<Option<Box<Instance>>>),
    /// A new one, after a pause.
    Restart(Pause),
    /// Nobody.
    None,
}

/// The pause between a fault and the next start.
#[derive(Debug)]
pub(super) struct Pause {
    next: Cell<Duration>,
    /// When the last fault was.
    since: Cell<Instant>,
}

impl Pause {
    fn new() -> Self {
        Self {
            next: Cell::new(FIRST_PAUSE),
            since: Cell::new(Instant::now()),
        }
    }

    /// How long to wait now.
    fn take(&self, now: Instant) -> Duration {
        let pause = self.next.get();
        let ran = now.saturating_duration_since(self.since.replace(now));
        let pause = if ran > WELL + pause {
            FIRST_PAUSE
        } else {
            pause
        };
        self.next.set((pause * 2).min(LONGEST_PAUSE));
        pause
    }
}

impl Succession {
    /// As a plugin needs it.
    pub(super) fn of(spec: Option<&PluginSpec>) -> Self {
        match spec.map(|spec| spec.kind) {
            Some(PluginKind::Service) => Self::Restart(Pause::new()),
            Some(PluginKind::Http | PluginKind::Network) | None => Self::Spare(RefCell::new(None)),
        }
    }
}

impl Vm {
    /// Whether it works beside streams, and serves none.
    pub(crate) fn is_service(&self) -> bool {
        matches!(self.succession, Succession::Restart(_))
    }

    /// From now on only older generations have it: what it would be replaced by is given back.
    pub(crate) fn retire(&self) {
        self.retired.store(true, Ordering::Relaxed);
        if let Succession::Spare(spare) = &self.succession {
            drop(spare.borrow_mut().take());
        }
        // What a pool has in stock is for streams of these generations that have not met it yet.
    }

    /// Whether it may end, now that it is retired and no stream has it. Calls that are open get a
    /// moment for their answers, and not more: a guest could make the next one at each answer.
    pub(crate) fn may_end(&self) -> bool {
        let since = self.alone_since.get().unwrap_or_else(Instant::now);
        self.alone_since.set(Some(since));
        if self.is_service() || since.elapsed() >= LAST_ANSWERS {
            return true;
        }
        let active = self.active.borrow();
        let Some(instance) = active.as_ref() else {
            return true;
        };
        (0..self.plugins.len()).all(|place| instance.open_calls(place) == 0)
    }

    /// Keeps an instance for the next fault.
    pub(super) fn keep_spare(&self, instance: Instance) {
        if let Succession::Spare(spare) = &self.succession
            && !self.retired.load(Ordering::Relaxed)
        {
            *spare.borrow_mut() = Some(Box::new(instance));
        }
    }

    /// Orders a spare if there is none and there should be.
    pub(super) fn order_spare(&self) {
        if let Succession::Spare(spare) = &self.succession
            && !self.is_pool()
            && spare.borrow().is_none()
            // One order at a time: else each trap would add one to those of the lost instances.
            && !self.spare_ordered.replace(true)
        {
            self.order(Duration::ZERO);
        }
    }

    /// Orders an instance, to be started after a pause. One that is retired gets none.
    pub(super) fn order(&self, after: Duration) {
        // Streams of older generations still want instances of their own.
        let retired = match &self.pool {
            Some(pool) => pool.ended(),
            None => Arc::clone(&self.retired),
        };
        if retired.load(Ordering::Relaxed) {
            return;
        }
        if let Some(worker) = self.worker.upgrade() {
            worker.starter.order(StartOrder {
                vm: self.id,
                plugins: self.plugins.clone(),
                services: Arc::clone(&self.services),
                retired,
                reply: worker.inbox.clone(),
                after,
            });
        }
    }

    /// The instance was ended: says so, and puts the next one in its place.
    pub(super) fn on_fault(self: &Rc<Self>, fault: &Fault) {
        let instance = self.active.borrow_mut().take();
        let place = instance.as_ref().map_or(0, Instance::last_plugin);
        let plugin = self.plugins.get(place).or_else(|| self.plugins.first());
        let name = plugin.map_or("", |plugin| plugin.name());
        self.services.fault(name, fault);
        if let Some(worker) = self.worker.upgrade() {
            worker.counters.fault(name, fault.kind.as_str());
            self.count_fault(place, fault.kind, &worker);
        }
        if let Some(mut instance) = instance {
            self.collect_from(&mut instance);
        }
        if fault.kind == FaultKind::Deadline {
            let cost = plugin.map_or(Duration::ZERO, |plugin| plugin.spec().limits.call_timeout);
            self.count_deadline_fault(name, cost);
        }
        self.stop_ticks();
        // Before the next instance is in place: it counts its calls from the start.
        self.grpc.clear();
        self.generation.set(self.generation() + 1);
        // Streams that wait for the lost instance look again and find it gone.
        for known in self.streams.take_all() {
            known.wake();
        }
        match &self.succession {
            Succession::Spare(spare) => {
                let spare = spare.borrow_mut().take();
                if let Some(spare) = spare {
                    self.install(*spare);
                }
                self.order_spare();
            }
            Succession::Restart(pause) => {
                let pause = pause.take(Instant::now());
                tracing::warn!(plugin = name, restart_in = ?pause, "a service is started again");
                self.order(pause);
            }
            Succession::None => {}
        }
        if !self.serves.get() {
            // Who waits for its setup looks again.
            self.arrived.notify_waiters();
        }
    }

    /// Puts the spare in place of an instance that asked to be replaced, once it has no streams:
    /// nobody is hurt by it. Its open calls are forgotten.
    #[cold]
    pub(super) fn renew_if_idle(self: &Rc<Self>) {
        let is_idle = |instance: &Instance| instance.stream_count() == 0;
        if !self.active.borrow().as_ref().is_some_and(is_idle) {
            return;
        }
        let Succession::Spare(spare) = &self.succession else {
            self.renew.set(false); // A service, or a stream's own, has nothing to be put in its place.
            return;
        };
        let Some(spare) = spare.borrow_mut().take() else {
            return; // The next callback looks again.
        };
        self.renew.set(false);
        self.shutdown();
        self.generation.set(self.generation() + 1);
        self.install(*spare);
        self.order_spare();
    }

    fn count_deadline_fault(&self, plugin: &str, cost: Duration) {
        let mut breaker = self.breaker.borrow_mut();
        let was_open = breaker.is_open();
        breaker.on_deadline_fault(Instant::now(), cost);
        if breaker.is_open() && !was_open {
            tracing::error!(
                plugin,
                "filter runs out of time again and again: its failure policy answers, with a probe \
                 every second; a larger call time-out may be what it needs"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::LONGEST_PAUSE;
    use super::Pause;
    use super::WELL;

    #[test]
    fn a_service_that_keeps_failing_waits_longer_each_time_until_it_has_run_well() {
        let pause = Pause::new();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = pause.take(now);
            waits.push(wait.as_secs());
            now += wait + Duration::from_millis(1);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        now += WELL + LONGEST_PAUSE;
        assert_eq!(pause.take(now).as_secs(), 1);
    }
}

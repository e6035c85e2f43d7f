//! Coarse time limits for waits on peers, without a timer per wait.
//!
//! Owns the worker's wheel: one slot per connection and direction, looked through every
//! [`TICK`]. Arming a limit is one store. Limits end up to two ticks late and never early, which
//! is what limits of seconds need; exact timers are tokio's.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use slab::Slab;
use tokio::sync::Notify;

use crate::simulation;
use crate::simulation::Simulation;

/// How often limits are looked at.
const TICK: Duration = Duration::from_millis(50);
/// No limit is armed.
const NEVER: u64 = u64::MAX;

/// All limits of one worker.
#[derive(Debug, Clone)]
pub(crate) struct Wheel(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    start: Instant,
    simulation: Option<Arc<Simulation>>,
    now_ms: Cell<u64>,
    slots: RefCell<Slab<Rc<Slot>>>,
    occupied: Notify,
}

#[derive(Debug)]
struct Slot {
    at_ms: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// One limit that can be armed again and again.
#[derive(Debug)]
pub(crate) struct Deadline {
    wheel: Rc<Shared>,
    slot: Rc<Slot>,
    key: usize,
}

/// The limit passed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expired;

impl Wheel {
    pub(crate) fn new(simulation: Option<Arc<Simulation>>) -> Self {
        Self(Rc::new(Shared {
            start: Instant::now(),
            simulation,
            now_ms: Cell::new(0),
            slots: RefCell::new(Slab::new()),
            occupied: Notify::new(),
        }))
    }

    /// A new limit, not armed.
    pub(crate) fn deadline(&self) -> Deadline {
        let slot = Rc::new(Slot {
            at_ms: Cell::new(NEVER),
            waker: RefCell::new(None),
        });
        let mut slots = self.0.slots.borrow_mut();
        if slots.is_empty() {
            self.0.refresh();
            self.0.occupied.notify_one();
        }
        let key = slots.insert(Rc::clone(&slot));
        Deadline {
            wheel: Rc::clone(&self.0),
            slot,
            key,
        }
    }

    /// The output of `future`, or [`Expired`] if it takes longer than `limit`. Costs nothing if there
    /// is nothing to wait for; where waits are frequent, a [`Deadline`] of one's own costs less.
    ///
    /// Cancel-safe if `future` is.
    pub(crate) async fn limit<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        let ready = poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx)));
        if let Poll::Ready(output) = ready.await {
            return Ok(output);
        }
        self.deadline().limit(limit, future).await
    }

    /// Waits for exactly so long, in the time of the simulation if there is one.
    pub(crate) async fn sleep(&self, period: Duration) {
        simulation::sleep(self.0.simulation.as_deref(), period).await;
    }

    /// Turns the wheel for ever; sleeps while there is nothing to watch.
    pub(crate) async fn run(&self) {
        loop {
            if self.0.slots.borrow().is_empty() {
                self.0.occupied.notified().await;
            }
            tokio::time::sleep(TICK).await;
            self.0.refresh();
            self.0.wake_expired();
        }
    }
}

impl Shared {
    fn refresh(&self) {
        let ahead = self.simulation.as_ref().map(|it| it.ahead());
        let elapsed = self.start.elapsed() + ahead.unwrap_or_default();
        let now = u64::try_from(elapsed.as_millis()).unwrap_or(NEVER - 1);
        self.now_ms.set(now);
    }

    fn wake_expired(&self) {
        let now = self.now_ms.get();
        for (_, slot) in self.slots.borrow().iter() {
            if slot.at_ms.get() <= now
                && let Some(waker) = slot.waker.borrow_mut().take()
            {
                waker.wake();
            }
        }
    }
}

impl Deadline {
    /// Starts the limit anew.
    pub(crate) fn arm(&self, after: Duration) {
        let after = u64::try_from((after + TICK).as_millis()).unwrap_or(NEVER - 1);
        self.slot
            .at_ms
            .set(self.wheel.now_ms.get().saturating_add(after));
    }

    /// A handle by which others may move the limit closer.
    pub(crate) fn hurrier(&self) -> Hurrier {
        Hurrier {
            wheel: Rc::clone(&self.wheel),
            slot: Rc::clone(&self.slot),
        }
    }

    /// Ends the limit.
    pub(crate) fn disarm(&self) {
        self.slot.at_ms.set(NEVER);
    }

    /// Whether the limit has passed; otherwise the task is woken when it does.
    pub(crate) fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.slot.at_ms.get() <= self.wheel.now_ms.get() {
            return Poll::Ready(Expired);
        }
        let mut waker = self.slot.waker.borrow_mut();
        if !waker
            .as_ref()
            .is_some_and(|waker| waker.will_wake(cx.waker()))
        {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// The output of `future`, or [`Expired`] if it takes longer than `limit`.
    ///
    /// Cancel-safe if `future` is.
    pub(crate) async fn limit<F: Future>(
        &self,
        limit: Duration,
        future: F,
    ) -> Result<F::Output, Expired> {
        let mut future = pin!(future);
        let mut armed = false;
        let result = poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            // Only a wait that really waits pays for a limit.
            if !armed {
                self.arm(limit);
                armed = true;
            }
            self.poll_expired(cx).map(Err)
        })
        .await;
        self.disarm();
        result
    }
}

/// Moves somebody else's limit closer.
#[derive(Debug)]
pub(crate) struct Hurrier {
    wheel: Rc<Shared>,
    slot: Rc<Slot>,
}

impl Hurrier {
    /// The limit passes after this time, if it is armed and would pass later.
    pub(crate) fn hurry(&self, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(NEVER - 1);
        let at = self.wheel.now_ms.get().saturating_add(after);
        if self.slot.at_ms.get() != NEVER && at < self.slot.at_ms.get() {
            self.slot.at_ms.set(at);
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.wheel.slots.borrow_mut().try_remove(self.key);
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::time::Duration;

    use super::Expired;
    use super::Wheel;

    fn run<F: Future<Output = ()>>(test: F) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build_local(tokio::runtime::LocalOptions::default())
            .expect("a runtime starts");
        runtime.block_on(test);
    }

    #[test]
    fn a_wait_that_takes_too_long_expires_and_a_quick_one_does_not() {
        run(async {
            let wheel = Wheel::new(None);
            let turning = wheel.clone();
            tokio::task::spawn_local(async move { turning.run().await });
            let deadline = wheel.deadline();
            let limit = Duration::from_millis(10);
            assert_eq!(deadline.limit(limit, pending::<()>()).await, Err(Expired));
            assert_eq!(deadline.limit(limit, async { 7 }).await, Ok(7));
            assert_eq!(deadline.limit(limit, pending::<()>()).await, Err(Expired));
        });
    }

    #[test]
    fn a_dropped_deadline_leaves_its_slot() {
        let wheel = Wheel::new(None);
        drop(wheel.deadline());
        assert!(wheel.0.slots.borrow().is_empty());
    }
}

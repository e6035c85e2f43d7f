//! Timers on the one tick that a plugin's context has.
//!
//! The tick's period is always what is left until the next timer is due; without timers there is
//! no tick.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tidegate_sdk_sys::{Clock, Host as _, LogLevel, host};

use crate::log::log_line;
use crate::runtime::ids::IdMap;
use crate::runtime::root::Root;
use crate::runtime::{effective, focus};

/// Timers that one tick wakes: what they wake runs in one callback, whose CPU time is limited. The rest is
/// for the next, a millisecond later.
const MOST_AT_ONCE: usize = 256;

/// The timers of a plugin.
#[derive(Default)]
pub(crate) struct Timers {
    /// When they are due, and their numbers; the next one is the last.
    due: RefCell<Vec<(u64, u32)>>,
    wakers: RefCell<IdMap<Waker>>,
    last: Cell<u32>,
    /// The tick's period in milliseconds; 0 if there is none.
    period: Cell<u32>,
}

impl Timers {
    /// Wakes what is due and sets the tick for the rest.
    pub(crate) fn on_tick(&self) {
        let now = monotonic();
        for _ in 0..MOST_AT_ONCE {
            let next = self.due.borrow().last().copied();
            let Some((_, number)) = next.filter(|(due, _)| *due <= now) else {
                break;
            };
            self.due.borrow_mut().pop();
            let waker = self.wakers.borrow_mut().remove(number);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
        self.arm(now);
    }

    fn remove(&self, moment: u64, number: u32) {
        self.wakers.borrow_mut().remove(number);
        let mut due = self.due.borrow_mut();
        let from = due.partition_point(|it| it.0 > moment);
        let same = due.get(from..).unwrap_or_default().iter();
        let found = same
            .take_while(|it| it.0 == moment)
            .position(|it| it.1 == number);
        if let Some(at) = found.map(|at| from + at)
            && at < due.len()
        {
            due.remove(at);
        }
    }

    fn add(&self, moment: u64, number: u32) {
        let mut due = self.due.borrow_mut();
        let at = due.partition_point(|it| it.0 > moment);
        due.insert(at, (moment, number));
    }

    /// Sets the tick to the next timer that somebody still waits for.
    fn arm(&self, now: u64) {
        let next = loop {
            let Some((due, number)) = self.due.borrow().last().copied() else {
                break None;
            };
            if self.wakers.borrow().get(number).is_some() {
                break Some(due);
            }
            self.due.borrow_mut().pop();
        };
        let period = next.map_or(0, |due| {
            let left = due.saturating_sub(now).div_ceil(1_000_000).max(1);
            u32::try_from(left).unwrap_or(u32::MAX)
        });
        if self.period.replace(period) != period
            && let Err(status) = host().set_tick_period(period)
        {
            log_line(LogLevel::Error, &["cannot set a timer: ", &status.text()]);
        }
    }
}

/// Waits until a moment of the monotonic clock.
pub(crate) struct Sleep {
    root: Rc<Root>,
    due: u64,
    number: Option<u32>,
}

impl Sleep {
    pub(crate) fn new(root: &Rc<Root>, duration: Duration) -> Self {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Self {
            root: Rc::clone(root),
            due: monotonic().saturating_add(nanoseconds),
            number: None,
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = monotonic();
        if now >= self.due {
            return Poll::Ready(());
        }
        let timers = &self.root.timers;
        let number = self.number.unwrap_or_else(|| {
            let number = timers.last.get().wrapping_add(1);
            timers.last.set(number);
            timers.add(self.due, number);
            number
        });
        timers
            .wakers
            .borrow_mut()
            .insert(number, cx.waker().clone());
        let effective = effective();
        focus(self.root.id());
        timers.arm(now);
        focus(effective);
        self.number = Some(number);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.root.timers.remove(self.due, number);
        }
    }
}

/// Nanoseconds of the clock that never goes back.
pub(crate) fn monotonic() -> u64 {
    host().now(Clock::Monotonic)
}

//! A plugin's setup: what a filter does once before it serves.
//!
//! On Tidegate the plugin is not used until its setup is done, and refused if that fails
//! (`tidegate.setup_pending`, `tidegate.setup_done`). Other hosts know nothing of it: there
//! streams wait, up to [`LONGEST_WAIT`], and a setup that failed is tried again.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use tidegate_sdk_sys::{Host as _, host};

use crate::futures::{Either, race};
use crate::runtime::root::Root;
use crate::runtime::timers::Sleep;

/// How long a stream waits for a setup before it is answered with 503.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// How far a setup is, and who waits for it.
pub(crate) struct Setup<S> {
    state: RefCell<State<S>>,
    /// The host waits for us to say that it is done.
    announced: Cell<bool>,
    /// The callback that configures the plugin has returned.
    began: Cell<bool>,
    waits: RefCell<Vec<Waker>>,
}

enum State<S> {
    Pending,
    Done(Rc<S>),
    /// With why; the next attempt may be under way.
    Failed(Rc<str>),
}

/// What a stream does about a setup.
pub(crate) enum Ready<S> {
    /// It is done: this is what it made.
    Yes(Rc<S>),
    /// It failed, or takes too long.
    No(Rc<str>),
}

impl<S> Default for Setup<S> {
    fn default() -> Self {
        Self {
            state: RefCell::new(State::Pending),
            announced: Cell::new(false),
            began: Cell::new(false),
            waits: RefCell::default(),
        }
    }
}

impl<S> Setup<S> {
    /// How it ended in the callback that began it, if it did.
    pub(crate) fn outcome(&self) -> Option<Result<(), Rc<str>>> {
        match &*self.state.borrow() {
            State::Pending => None,
            State::Done(_) => Some(Ok(())),
            State::Failed(why) => Some(Err(Rc::clone(why))),
        }
    }

    /// Asks the host to wait; other hosts than Tidegate do not know how.
    pub(crate) fn announce(&self) {
        self.began.set(true);
        let pending = host().call_foreign_function(b"tidegate.setup_pending", b"");
        self.announced.set(pending.is_ok());
    }

    pub(crate) fn done(&self, state: Rc<S>) {
        *self.state.borrow_mut() = State::Done(state);
        self.tell("");
        self.wake();
    }

    /// True if the host gives up on the plugin, false if there is to be another attempt.
    pub(crate) fn failed(&self, why: &str) -> bool {
        *self.state.borrow_mut() = State::Failed(Rc::from(why));
        let ends = self.tell(why) || !self.began.get();
        self.wake();
        ends
    }

    /// What it made, if it is done.
    pub(crate) fn now(&self) -> Option<Rc<S>> {
        match &*self.state.borrow() {
            State::Done(state) => Some(Rc::clone(state)),
            State::Pending | State::Failed(_) => None,
        }
    }

    /// Waits until it is done, or has failed, or for as long as a stream waits.
    pub(crate) async fn ready(&self, root: &Rc<Root>) -> Ready<S> {
        let ended = poll_fn(|cx| match &*self.state.borrow() {
            State::Done(state) => Poll::Ready(Ready::Yes(Rc::clone(state))),
            State::Failed(why) => Poll::Ready(Ready::No(Rc::clone(why))),
            State::Pending => {
                self.waits.borrow_mut().push(cx.waker().clone());
                Poll::Pending
            }
        });
        match race(ended, Sleep::new(root, LONGEST_WAIT)).await {
            Either::First(ready) => ready,
            Either::Second(()) => Ready::No(Rc::from("its setup takes longer than 10s")),
        }
    }

    fn tell(&self, why: &str) -> bool {
        self.announced.get()
            && host()
                .call_foreign_function(b"tidegate.setup_done", why.as_bytes())
                .is_ok()
    }

    fn wake(&self) {
        for waker in self.waits.take() {
            waker.wake();
        }
    }
}

//! What runs a filter's futures inside callbacks of the host.
//!
//! Owns the tasks of one module: a future for each stream and for each background task, the queue
//! of those that were woken, and which context host calls are about. Nothing here knows a
//! filter's types; `runtime::plugin` does.
//!
//! A callback enters the runtime, changes what futures wait for, and drains the queue before it
//! returns: no future is ever polled outside of a callback.

pub(crate) mod answers;
pub(crate) mod callbacks;
pub(crate) mod http;
pub(crate) mod ids;
pub(crate) mod network;
pub(crate) mod plugin;
pub(crate) mod root;
pub(crate) mod side;
pub(crate) mod stream;
pub(crate) mod timers;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;

use tidegate_sdk_sys::waker::{on_wake, waker};
use tidegate_sdk_sys::{Host as _, host};

use answers::Answers;
use ids::IdMap;
use root::Root;
use stream::Stream;

/// A future of a filter. It stays on the one thread of its module.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Wakers of background tasks have this bit; contexts are counted up from 1 and never reach it.
const BACKGROUND: u32 = 1 << 31;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Runtime>>> = const { RefCell::new(None) };
}

/// The tasks of a module, and what they wait for.
#[derive(Default)]
pub(crate) struct Runtime {
    /// The context that host calls are about now; 0 if nobody knows.
    effective: Cell<u32>,
    woken: RefCell<VecDeque<u32>>,
    streams: RefCell<IdMap<Rc<Stream>>>,
    background: RefCell<IdMap<Background>>,
    last_background: Cell<u32>,
    /// Answers of call-outs that somebody waits for.
    pub(crate) answers: Answers,
}

/// A task that belongs to a plugin and to no stream.
struct Background {
    /// `None` while it is polled.
    task: Option<Task>,
    root: Rc<Root>,
}

impl Runtime {
    /// The runtime of the callback that runs now. Outside of one it is an empty one.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT.with_borrow(Clone::clone).unwrap_or_default()
    }

    /// Makes this the current one while `callback` runs, which is about `context`, then lets
    /// everything that was woken go on.
    pub(crate) fn enter<T>(self: &Rc<Self>, context: u32, callback: impl FnOnce() -> T) -> T {
        let before = CURRENT.replace(Some(Rc::clone(self)));
        on_wake(woken);
        self.effective.set(context);
        let answer = callback();
        CURRENT.set(before);
        answer
    }

    /// Makes host calls be about `context` from here on.
    pub(crate) fn focus(&self, context: u32) {
        if self.effective.get() != context && host().set_effective_context(context).is_ok() {
            self.effective.set(context);
        }
    }

    /// The context that host calls are about.
    pub(crate) fn effective(&self) -> u32 {
        self.effective.get()
    }

    /// Polls woken tasks until none is left.
    pub(crate) fn drain(&self) {
        loop {
            let Some(number) = self.woken.borrow_mut().pop_front() else {
                return;
            };
            if number & BACKGROUND != 0 {
                self.poll_background(number);
            } else if let Some(stream) = self.stream(number) {
                stream.poll();
                stream.settle();
            }
        }
    }

    /// Adds a stream; the host has announced it.
    pub(crate) fn add_stream(&self, stream: Rc<Stream>) {
        self.streams.borrow_mut().insert(stream.id(), stream);
    }

    pub(crate) fn stream(&self, context: u32) -> Option<Rc<Stream>> {
        self.streams.borrow().get(context).map(Rc::clone)
    }

    pub(crate) fn remove_stream(&self, context: u32) -> Option<Rc<Stream>> {
        self.streams.borrow_mut().remove(context)
    }

    /// Runs `task` beside the streams of `root`, from the next drain on.
    pub(crate) fn spawn(&self, root: &Rc<Root>, task: Task) {
        let number = loop {
            let number = self.last_background.get().wrapping_add(1) | BACKGROUND;
            self.last_background.set(number);
            if self.background.borrow().get(number).is_none() {
                break number;
            }
        };
        let background = Background {
            task: Some(task),
            root: Rc::clone(root),
        };
        self.background.borrow_mut().insert(number, background);
        self.woken.borrow_mut().push_back(number);
    }

    /// Drops the background tasks of a plugin that goes away.
    pub(crate) fn remove_root(&self, context: u32) {
        let mut gone = Vec::new();
        self.background.borrow_mut().retain(|it| {
            let stays = it.root.id() != context;
            if !stays {
                gone.push(it.task.take());
            }
            stays
        });
        // Their destructors may use the runtime: none of it is borrowed here.
        drop(gone);
    }

    /// How many streams and background tasks there are.
    pub(crate) fn live(&self) -> (usize, usize) {
        (self.streams.borrow().len(), self.background.borrow().len())
    }

    fn poll_background(&self, number: u32) {
        let taken = self.background.borrow_mut().get_mut(number).and_then(|it| {
            let task = it.task.take()?;
            Some((task, it.root.id()))
        });
        let Some((mut task, root)) = taken else {
            return;
        };
        self.focus(root);
        let waker = waker(number);
        if task
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready()
        {
            self.background.borrow_mut().remove(number);
        } else if let Some(it) = self.background.borrow_mut().get_mut(number) {
            it.task = Some(task);
        }
    }
}

/// What wakers call.
fn woken(number: u32) {
    let runtime = Runtime::current();
    let mut woken = runtime.woken.borrow_mut();
    if !woken.contains(&number) {
        woken.push_back(number);
    }
}

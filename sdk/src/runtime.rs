//! What runs a filter's futures inside callbacks of the host.
//!
//! Owns the tasks of one module: a future for each stream and for each background task, the queue
//! of those that were woken, and which context host calls are about. Nothing here knows a
//! filter's types; `runtime::plugin` does.
//!
//! A callback enters the runtime, changes what futures wait for, and drains the queue before it
//! returns: no future is ever polled outside of a callback. A filter pays for this in every
//! callback, so that the usual case does next to nothing: `benches/filters/set-headers-sdk`.

pub(crate) mod answers;
pub(crate) mod callbacks;
pub(crate) mod http;
pub(crate) mod ids;
pub(crate) mod network;
pub(crate) mod plugin;
pub(crate) mod root;
pub(crate) mod side;
pub(crate) mod stream;
pub(crate) mod streams;
pub(crate) mod timers;

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::ptr;
use std::rc::{Rc, Weak};
use std::task::Context;

use tidegate_sdk_sys::waker::{on_wake, waker};
use tidegate_sdk_sys::{Host as _, host};

use answers::Answers;
use ids::IdMap;
use root::Root;
use stream::Stream;
use streams::Streams;

/// A future of a filter. It stays on the one thread of its module.
pub(crate) type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Wakers of background tasks have this bit; contexts are counted up from 1 and never reach it.
const BACKGROUND: u32 = 1 << 31;

thread_local! {
    /// A module has one runtime, which stays the current one; natively tests may have several.
    static CURRENT: RefCell<Weak<Runtime>> = const { RefCell::new(Weak::new()) };
    /// The context that host calls are about now; 0 if nobody knows.
    static EFFECTIVE: Cell<u32> = const { Cell::new(0) };
}

/// The tasks of a module, and what they wait for.
#[derive(Default)]
pub(crate) struct Runtime {
    /// Tasks to poll, in the order in which they were woken; each is there once.
    woken: RefCell<Vec<u32>>,
    streams: RefCell<Streams>,
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
    /// It is among the woken.
    queued: bool,
}

/// Makes host calls be about `context` from here on.
pub(crate) fn focus(context: u32) {
    let is_other = EFFECTIVE.with(|it| it.get() != context);
    if is_other && host().set_effective_context(context).is_ok() {
        EFFECTIVE.set(context);
    }
}

/// The context that host calls are about.
pub(crate) fn effective() -> u32 {
    EFFECTIVE.get()
}

impl Runtime {
    /// The runtime of the callback that runs now, or ran last. Before the first it is an empty one.
    pub(crate) fn current() -> Rc<Self> {
        CURRENT.with_borrow(Weak::upgrade).unwrap_or_default()
    }

    /// Makes this the current one for good, unless callbacks of another one run.
    pub(crate) fn install(self: &Rc<Self>) {
        on_wake(woken);
        CURRENT.set(Rc::downgrade(self));
    }

    /// Makes this the current one while `callback` runs, which is about `context`.
    #[inline]
    pub(crate) fn enter<T>(self: &Rc<Self>, context: u32, callback: impl FnOnce() -> T) -> T {
        // A module has this one only.
        let is_current = cfg!(target_family = "wasm")
            || CURRENT.with_borrow(|it| ptr::eq(it.as_ptr(), Rc::as_ptr(self)));
        let before = (!is_current).then(|| self.displace());
        EFFECTIVE.with(|it| it.set(context));
        let answer = callback();
        if let Some((runtime, effective)) = before {
            CURRENT.set(runtime);
            EFFECTIVE.set(effective);
        }
        answer
    }

    /// Becomes the current one; gives what was.
    #[cold]
    fn displace(self: &Rc<Self>) -> (Weak<Self>, u32) {
        on_wake(woken);
        let before = CURRENT.replace(Rc::downgrade(self));
        (before, EFFECTIVE.get())
    }

    /// Polls woken tasks until none is left.
    #[inline]
    pub(crate) fn drain(&self) {
        if !self.woken.borrow().is_empty() {
            self.poll_all();
        }
    }

    fn poll_all(&self) {
        let mut woken = self.woken.take();
        while !woken.is_empty() {
            for number in woken.drain(..) {
                if number & BACKGROUND != 0 {
                    self.poll_background(number);
                } else if let Some(stream) = self.stream(number) {
                    stream.queued.set(false);
                    stream.poll();
                    stream.settle();
                }
            }
            woken = self.woken.replace(woken);
        }
    }

    /// Queues a task, unless it is queued already or gone.
    fn wake(&self, number: u32) {
        let queued = if number & BACKGROUND != 0 {
            let mut background = self.background.borrow_mut();
            let task = background.get_mut(number);
            task.is_none_or(|it| std::mem::replace(&mut it.queued, true))
        } else {
            let stream = self.stream(number);
            stream.is_none_or(|it| it.queued.replace(true))
        };
        if !queued {
            self.woken.borrow_mut().push(number);
        }
    }

    /// Begins a stream; the host has announced it.
    pub(crate) fn begin_stream(&self, context: u32, root: Rc<Root>, network: bool) {
        let before = self.streams.borrow_mut().begin(context, root, network);
        drop(before);
    }

    #[inline(never)]
    pub(crate) fn stream(&self, context: u32) -> Option<Rc<Stream>> {
        self.streams.borrow().get(context).map(Rc::clone)
    }

    pub(crate) fn remove_stream(&self, context: u32) -> Option<Rc<Stream>> {
        self.streams.borrow_mut().remove(context)
    }

    /// Has no further use for a stream.
    pub(crate) fn keep_stream(&self, stream: Rc<Stream>) {
        let not_kept = self.streams.borrow_mut().keep(stream);
        drop(not_kept);
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
            queued: true,
        };
        self.background.borrow_mut().insert(number, background);
        self.woken.borrow_mut().push(number);
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
        let spare = self.streams.borrow_mut().take_spare();
        // Their destructors may use the runtime: none of it is borrowed here.
        drop((gone, spare));
    }

    /// How many streams and background tasks there are.
    pub(crate) fn live(&self) -> (usize, usize) {
        (self.streams.borrow().len(), self.background.borrow().len())
    }

    fn poll_background(&self, number: u32) {
        let taken = self.background.borrow_mut().get_mut(number).and_then(|it| {
            it.queued = false;
            let task = it.task.take()?;
            Some((task, it.root.id()))
        });
        let Some((mut task, root)) = taken else {
            return;
        };
        focus(root);
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
    Runtime::current().wake(number);
}

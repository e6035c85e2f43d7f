//! One stream: its future, both directions, and how the future's end becomes what the host does.

mod bodies;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::task::{Context, Waker};

use tidegate_sdk_sys::text::concat;
use tidegate_sdk_sys::waker::{calls_with, waker};
use tidegate_sdk_sys::{Action, BufferType, Host as _, LogLevel, StreamType, host};

use crate::error::{Error, Result};
use crate::log::log_line;
use crate::response::{Kind, LocalResponse, Response};
use crate::runtime::root::Root;
use crate::runtime::side::{Body, Direction, Held, Side, Waiter};
use crate::runtime::{Runtime, Task, focus};

/// How far the filter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has the request.
    Request,
    /// It waits for the response, or does something beside.
    Next,
    /// It has the response.
    Response,
    /// It has decided; the stream goes on without it.
    Done,
}

/// A stream of HTTP: one request and its response.
pub(crate) struct Stream {
    id: u32,
    /// It is a connection: no headers, no trailers.
    network: bool,
    pub(crate) root: Rc<Root>,
    pub(crate) phase: Cell<Phase>,
    pub(crate) request: Side,
    pub(crate) response: Side,
    /// What the future waits for, for messages.
    waiting: Cell<Waiting>,
    /// `None` while it is polled, and once it has ended.
    task: RefCell<Option<Task>>,
    /// It is among the woken.
    pub(crate) queued: Cell<bool>,
    at_end: RefCell<Vec<Box<dyn FnOnce()>>>,
    /// We have answered, or cut the stream.
    replied: Cell<bool>,
    /// The host refused our answer: nothing may go on.
    stuck: Cell<bool>,
}

/// What a future waits for.
#[derive(Debug, Clone, Default)]
pub(crate) enum Waiting {
    /// Nothing that has a name.
    #[default]
    Unnamed,
    /// A thing that is always the same.
    For(&'static str),
    /// An answer of a backend.
    Backend(Rc<str>),
}

impl Waiting {
    fn name(&self) -> String {
        match self {
            Self::Unnamed => String::from("something"),
            Self::For(what) => String::from(*what),
            Self::Backend(name) => concat(&["an answer of backend ", name]),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let phase = self.phase.get();
        f.debug_struct("Stream")
            .field("id", &self.id)
            .field("phase", &phase)
            .finish_non_exhaustive()
    }
}

impl Stream {
    pub(crate) fn new(id: u32, root: Rc<Root>, network: bool) -> Self {
        Self {
            id,
            network,
            root,
            phase: Cell::new(Phase::Request),
            request: Side::new(Direction::Request),
            response: Side::new(Direction::Response),
            waiting: Cell::default(),
            task: RefCell::new(None),
            queued: Cell::new(false),
            at_end: RefCell::default(),
            replied: Cell::new(false),
            stuck: Cell::new(false),
        }
    }

    /// Makes a stream that [is bare](Self::is_bare) another one, as new.
    pub(crate) fn begin_again(&mut self, id: u32, root: &Rc<Root>, network: bool) {
        self.id = id;
        self.network = network;
        if !Rc::ptr_eq(&self.root, root) {
            self.root = Rc::clone(root);
        }
        self.phase.set(Phase::Request);
        self.request.begin_again();
        self.response.begin_again();
        self.waiting.take();
        self.queued.set(false);
        self.replied.set(false);
        self.stuck.set(false);
    }

    /// Whether it holds nothing that its filter has left there.
    pub(crate) fn is_bare(&self) -> bool {
        self.task.borrow().is_none()
            && self.at_end.borrow().is_empty()
            && self.request.is_bare()
            && self.response.is_bare()
    }

    pub(crate) fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Request => &self.request,
            Direction::Response => &self.response,
        }
    }

    /// Makes host calls be about this stream.
    pub(crate) fn focus(&self) {
        focus(self.id);
    }

    /// Says what the future waits for from now on.
    pub(crate) fn waits_for(&self, what: Waiting) {
        self.waiting.set(what);
    }

    /// Remembers who waits for something of `side`.
    pub(crate) fn wait(&self, side: &Side, waker: &Waker) {
        side.waiter.set(if calls_with(waker, self.id) {
            Waiter::Stream
        } else {
            Waiter::Other(waker.clone())
        });
    }

    /// Lets who waits for something of `side` go on: the stream's own future at once.
    fn wake(&self, side: &Side) {
        match side.waiter.take() {
            Waiter::Nobody => {}
            Waiter::Stream => self.poll(),
            Waiter::Other(waker) => waker.wake(),
        }
    }

    /// Gives the stream its future, which is polled at once.
    pub(crate) fn start(&self, task: Task) {
        self.task.replace(Some(task));
        self.poll();
    }

    /// Runs `hook` when the exchange is over and the host writes its log.
    pub(crate) fn at_end(&self, hook: Box<dyn FnOnce()>) {
        self.at_end.borrow_mut().push(hook);
    }

    /// Whether there is something to do when the exchange is over.
    pub(crate) fn minds_its_end(&self) -> bool {
        self.phase.get() == Phase::Request || !self.at_end.borrow().is_empty()
    }

    pub(crate) fn run_at_end(&self) {
        self.say_if_given_up();
        for hook in self.at_end.take() {
            self.focus();
            hook();
        }
    }

    pub(crate) fn poll(&self) {
        let Some(mut task) = self.task.take() else {
            return;
        };
        self.focus();
        // There is nothing to drop in it.
        let waker = ManuallyDrop::new(waker(self.id));
        let ended = task
            .as_mut()
            .poll(&mut Context::from_waker(&waker))
            .is_ready();
        // A body that was refused meanwhile has decided for the future.
        if !ended && self.phase.get() != Phase::Done {
            self.task.replace(Some(task));
        }
    }

    /// Drops what its hooks hold: they may hold the stream itself.
    pub(crate) fn forget(&self) {
        if self.is_bare() {
            return;
        }
        let hooks = self.at_end.take();
        for side in [&self.request, &self.response] {
            let body = std::mem::replace(&mut *side.body.borrow_mut(), Body::Pass);
            let trailers = side.trailers.take();
            let waiter = side.waiter.take();
            drop((body, trailers, waiter));
        }
        drop(hooks);
    }

    /// Drops the future: destructors of what it holds run now.
    pub(crate) fn cancel(&self) {
        self.phase.set(Phase::Done);
        let task = self.task.take();
        if task.is_some() {
            self.focus();
        }
    }

    /// What the filter has decided becomes what the host does.
    pub(crate) fn finish(&self, result: Result<Response>) {
        if self.phase.get() == Phase::Done {
            return;
        }
        match result.map(|response| response.kind) {
            Ok(Kind::Backend(_)) => {
                self.phase.set(Phase::Done);
                self.response.release();
            }
            Ok(Kind::Local(response)) => self.reply(response),
            Err(error) => self.fail(error),
        }
    }

    /// What a network filter has decided.
    pub(crate) fn decide(&self, result: Result<()>) {
        if self.phase.get() == Phase::Done {
            return;
        }
        match result {
            Ok(()) => {
                self.phase.set(Phase::Done);
                self.request.release();
                self.response.release();
            }
            Err(error) => self.fail(error),
        }
    }

    /// Answers with what an error stands for.
    pub(crate) fn fail(&self, error: Error) {
        let (log, response) = error.into_response();
        if let Some((level, why)) = log {
            log_line(level, &[self.root.name, ": ", &why]);
        }
        self.reply(response);
    }

    /// Ends a stream whose message cannot be made whole any more.
    pub(crate) fn cut(&self, why: &Error) {
        log_line(LogLevel::Error, &[self.root.name, ": ", &why.text()]);
        self.focus();
        let _refused_is_as_good_as_gone = host().close_stream(StreamType::Response);
    }

    /// Sends a response of our own, or cuts the stream if one is on its way to the client.
    fn reply(&self, response: LocalResponse) {
        self.phase.set(Phase::Done);
        self.focus();
        let sent = if self.network {
            host().close_stream(StreamType::Downstream)
        } else if self.response.begun.get() && self.response.released.get() {
            host().close_stream(StreamType::Response)
        } else {
            response.send()
        };
        if let Err(status) = sent {
            // What was refused must not go on because the host does not let us say so.
            self.stuck.set(true);
            if host()
                .close_stream(self.stream_type(Direction::Request))
                .is_ok()
            {
                self.request.held.set(Held::Nothing);
            }
            let why = status.text();
            log_line(
                LogLevel::Error,
                &[self.root.name, ": the host refused our response: ", &why],
            );
        }
        self.request.held.set(Held::Nothing);
        self.response.held.set(Held::Nothing);
        *self.request.body.borrow_mut() = Body::Pass;
        *self.response.body.borrow_mut() = Body::Pass;
        self.replied.set(true);
    }

    /// Tells the host to go on in each direction that it holds and need not.
    #[inline]
    pub(crate) fn settle(&self) {
        if self.request.held.get() != Held::Nothing || self.response.held.get() != Held::Nothing {
            self.resume();
        }
    }

    fn resume(&self) {
        for side in [&self.request, &self.response] {
            let held = side.held.get();
            if held == Held::Nothing || side.in_callback.get() || side.holds(held) {
                continue;
            }
            // What is held has not met the rewriter yet.
            let kept = held == Held::Body && self.rewrite_or_refuse(side.direction);
            if kept || side.held.get() == Held::Nothing {
                continue;
            }
            // So have trailers, if their hook was set after they came.
            if side.trailers_came.get() && !self.look_at_trailers(side.direction) {
                continue;
            }
            side.held.set(Held::Nothing);
            self.focus();
            if let Err(status) = host().continue_stream(self.stream_type(side.direction)) {
                let why = status.text();
                log_line(LogLevel::Error, &["cannot resume a stream: ", &why]);
            }
        }
    }

    /// Rewrites what the host has; true if it must go on to hold it and collect.
    fn rewrite_or_refuse(&self, direction: Direction) -> bool {
        let side = self.side(direction);
        let rewritten = self.rewrite(direction, side.body_size.get(), side.ended.get());
        rewritten.unwrap_or_else(|error| {
            self.cancel();
            self.fail(error);
            false
        })
    }

    const fn stream_type(&self, direction: Direction) -> StreamType {
        match (self.network, direction) {
            (false, Direction::Request) => StreamType::Request,
            (false, Direction::Response) => StreamType::Response,
            (true, Direction::Request) => StreamType::Downstream,
            (true, Direction::Response) => StreamType::Upstream,
        }
    }

    const fn buffer(&self, direction: Direction) -> BufferType {
        match (self.network, direction) {
            (false, Direction::Request) => BufferType::RequestBody,
            (false, Direction::Response) => BufferType::ResponseBody,
            (true, Direction::Request) => BufferType::DownstreamData,
            (true, Direction::Response) => BufferType::UpstreamData,
        }
    }

    /// Runs `callback` as the callback of `direction`, then says what the host should do with
    /// what it has of it: with `what`.
    pub(crate) fn callback(
        &self,
        direction: Direction,
        what: Held,
        runtime: &Runtime,
        callback: impl FnOnce(&Self),
    ) -> Action {
        let side = self.side(direction);
        let replied_before = self.replied.get();
        side.in_callback.set(true);
        callback(self);
        runtime.drain();
        let holds = if self.phase.get() == Phase::Done {
            // Our own response passes us, too; only what it answered is held, for good.
            self.stuck.get() || (self.replied.get() && !replied_before)
        } else {
            side.holds(what)
        };
        // Of this direction our answer decides: to resume it, too, would let it go on twice, which
        // ends Envoy.
        self.settle();
        side.in_callback.set(false);
        let held = holds && !self.replied.get();
        side.held.set(if held { what } else { Held::Nothing });
        if holds {
            Action::Pause
        } else {
            Action::Continue
        }
    }

    /// The exchange is over: says what the future waits for if the host has failed meanwhile, which
    /// hosts do to a filter that holds a stream for too long.
    fn say_if_given_up(&self) {
        if self.phase.get() != Phase::Request || self.task.borrow().is_none() {
            return;
        }
        self.focus();
        let code = host().property(b"response\0code").ok().flatten();
        let code = code
            .and_then(|it| it.try_into().ok())
            .map(i64::from_le_bytes);
        if code.is_some_and(|code| code >= 500) {
            self.say_cancelled();
        }
    }

    fn say_cancelled(&self) {
        let waiting = self.waiting.take().name();
        log_line(
            LogLevel::Warn,
            &[
                self.root.name,
                ": cancelled before it passed the request on, while it waited for ",
                &waiting,
                ": the response is somebody else's",
            ],
        );
    }

    /// The response's headers have come.
    pub(crate) fn on_response(&self, end: bool) {
        self.response.begun.set(true);
        self.response.ended.set(end);
        match self.phase.get() {
            Phase::Next => {
                self.phase.set(Phase::Response);
                self.wake(&self.response);
            }
            // Its headers went on before its body is judged: the response waits for that.
            Phase::Request if self.request.released.get() => {}
            Phase::Request => {
                self.say_cancelled();
                self.cancel();
                self.response.release();
            }
            Phase::Response | Phase::Done => self.response.release(),
        }
    }
}

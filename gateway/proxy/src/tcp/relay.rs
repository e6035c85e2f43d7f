//! Bytes on their way between a client and an origin, both ways at once.
//!
//! Owns back-pressure, half-closes and limits. Nothing is read while what was read before waits to
//! be written, so a connection holds at most one read's bytes each way, and none while it is idle:
//! all connections of a worker read into the same buffer. An end of bytes is passed on as one, and a
//! reset as a reset.

mod flow;
mod turn;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tidegate_core::failure::Failure;
use tidegate_host_abi::Side;

use crate::deadline::Deadline;
use crate::tcp::filters::Filters;
use crate::tcp::filters::data::Passed;
use crate::tcp::relay::flow::Flow;
use crate::tcp::relay::flow::Wrote;
use crate::tcp::relay::turn::Turn;
use crate::tcp::relay::turn::Way;
use crate::tcp::stream::Tally;
use crate::transport::Transport;
use crate::worker::Worker;

/// What one read asks for.
pub(crate) const READ_SIZE: usize = 64 * 1024;

/// How long peers may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Silence in both directions.
    pub(super) idle: Duration,
    /// A client that does not read.
    pub(super) client_stall: Duration,
    /// An origin that does not read.
    pub(super) upstream_stall: Duration,
}

/// A client and an origin that talk.
#[derive(Debug)]
pub(super) struct Relay<'a> {
    worker: &'a Worker,
    limits: Limits,
    tally: Rc<Tally>,
    client: Transport,
    /// What was read of the client already.
    begun: Bytes,
    origin: Transport,
    /// From the client to the origin.
    up: Flow,
    /// From the origin to the client.
    down: Flow,
    filters: Option<Box<Filters<'a>>>,
    idle: Deadline,
    /// A filter has closed the connection: what waits for the client is sent, and nothing else.
    closing: bool,
    /// The origin has said its last: if the connection ends well now, the client is the last.
    client_ends: bool,
    /// It has ended. If it is dropped before, it was cut.
    ended: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Both peers have said their last, the client after the origin.
    Client,
    /// The same, the origin after the client.
    Origin,
    /// Otherwise.
    Failed(Failure),
}

impl<'a> Relay<'a> {
    /// Both ends connected; `begun` was read of the client already.
    pub(super) fn new(
        worker: &'a Worker,
        limits: Limits,
        tally: Rc<Tally>,
        (client, begun): (Transport, Bytes),
        origin: Transport,
        filters: Option<Box<Filters<'a>>>,
    ) -> Self {
        Self {
            worker,
            limits,
            tally,
            client,
            begun,
            origin,
            up: Flow::default(),
            down: Flow::default(),
            filters,
            idle: worker.wheel.deadline(),
            closing: false,
            client_ends: false,
            ended: false,
        }
    }

    /// Moves bytes until both peers have said their last, or something failed.
    pub(super) async fn run(mut self) -> End {
        self.idle.arm(self.limits.idle);
        let failure = poll_fn(|cx| self.poll(cx)).await;
        self.ended = true;
        let broken = (self.up.is_broken(), self.down.is_broken());
        if failure.is_some_and(cuts) || broken == (true, true) {
            self.reset();
        }
        let failure = failure.or(match broken {
            (_, true) => Some(Failure::ClientClosed),
            (true, false) => Some(Failure::UpstreamReset),
            (false, false) => None,
        });
        match failure {
            None if self.client_ends => End::Client,
            None => End::Origin,
            Some(failure) => End::Failed(failure),
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Failure>> {
        if self.closing {
            return self.poll_closing(cx);
        }
        match self.poll_open(cx) {
            Poll::Ready(Err(Failure::PluginClosedStream)) => {
                self.closing = true;
                self.poll_closing(cx)
            }
            Poll::Ready(ended) => Poll::Ready(ended.err()),
            Poll::Pending => Poll::Pending,
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let before = (self.up.moved(), self.down.moved());
        // Of two ends in the same turn, the origin's comes last.
        self.client_ends = self.down.is_over();
        for side in [Side::Request, Side::Response] {
            self.release(side, cx)?;
            if matches!(self.turn(side, cx)?, Turn::GoesOn) {
                cx.waker().wake_by_ref();
            }
        }
        if self.up.is_over() && self.down.is_over() {
            return Poll::Ready(Ok(()));
        }
        if before != (self.up.moved(), self.down.moved()) {
            self.idle.arm(self.limits.idle);
        }
        if self.idle.poll_expired(cx).is_ready() {
            return Poll::Ready(Err(Failure::IdleConnection));
        }
        if self.up.poll_stalled(cx).is_ready() {
            return Poll::Ready(Err(Failure::UpstreamTimeout));
        }
        if self.down.poll_stalled(cx).is_ready() {
            return Poll::Ready(Err(Failure::ClientStalled));
        }
        self.poll_held(cx)
    }

    /// Sends what waits for the client, and the end.
    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Poll<Option<Failure>> {
        let tally = &self.tally;
        let sent = |bytes: usize| tally.add_sent(bytes);
        let told = match self.down.write_waiting(&mut self.client, cx, sent) {
            Wrote::All => self.down.end(&mut self.client, cx),
            Wrote::Some => Poll::Pending,
            Wrote::Broken => Poll::Ready(()),
        };
        if told.is_pending() {
            let wheel = &self.worker.wheel;
            self.down.stall(self.limits.client_stall, wheel);
        }
        if self.down.is_over() || self.down.poll_stalled(cx).is_ready() {
            return Poll::Ready(Some(Failure::PluginClosedStream));
        }
        Poll::Pending
    }

    /// Lets pass what filters have held back and resumed.
    fn release(&mut self, side: Side, cx: &mut Context<'_>) -> Result<(), Failure> {
        let Some(filters) = &self.filters else {
            return Ok(());
        };
        let flow = match side {
            Side::Request => &mut self.up,
            Side::Response => &mut self.down,
        };
        if filters.release(side, flow.waiting(), cx)? == Passed::Ended {
            flow.note_end();
        }
        Ok(())
    }

    /// Whether a filter holds for too long.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        let Some(filters) = &self.filters else {
            return Poll::Pending;
        };
        let (limit, wheel) = (filters.pause_limit(), &self.worker.wheel);
        for (side, flow) in [
            (Side::Request, &mut self.up),
            (Side::Response, &mut self.down),
        ] {
            let holder = filters.holder(side);
            let expired = flow.poll_held(holder.is_some(), limit, wheel, cx);
            if let (Some(at), Poll::Ready(_)) = (holder, expired) {
                return Poll::Ready(Err(filters.data_overdue(at, side)));
            }
        }
        Poll::Pending
    }

    /// Moves what can be moved now in one direction.
    fn turn(&mut self, side: Side, cx: &mut Context<'_>) -> Result<Turn, Failure> {
        let worker = self.worker;
        let mut buffer = worker.copy_buffer.take();
        buffer.resize(READ_SIZE, 0);
        let turn = self.way(side).run(&mut buffer, cx);
        worker.copy_buffer.replace(buffer);
        turn
    }

    fn way(&mut self, side: Side) -> Way<'_> {
        let (from, to, flow, stall, begun) = match side {
            Side::Request => (
                &mut self.client,
                &mut self.origin,
                &mut self.up,
                self.limits.upstream_stall,
                std::mem::take(&mut self.begun),
            ),
            Side::Response => (
                &mut self.origin,
                &mut self.client,
                &mut self.down,
                self.limits.client_stall,
                Bytes::new(),
            ),
        };
        Way {
            side,
            from,
            begun,
            to,
            flow,
            filters: self.filters.as_deref(),
            tally: &self.tally,
            stall,
            wheel: &self.worker.wheel,
        }
    }

    /// Makes both connections end by a reset.
    fn reset(&self) {
        for transport in [&self.client, &self.origin] {
            let socket = SockRef::from(transport.tcp());
            if let Err(err) = socket.set_linger(Some(Duration::ZERO)) {
                tracing::debug!(%err, "a connection could not be set to reset");
            }
        }
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        if !self.ended {
            // Cut: what was under way must not be taken for complete.
            self.reset();
        }
    }
}

/// Whether bytes were lost: a peer must not take what it has for all there is. What one peer broke
/// is broken for the other.
fn cuts(failure: Failure) -> bool {
    !matches!(
        failure,
        Failure::IdleConnection | Failure::PluginClosedStream
    )
}

//! One direction of a connection that is passed on.
//!
//! Owns what was read and could not be written yet, and how far the end has come.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use bytes::Buf as _;
use bytes::Bytes;
use tokio::io::AsyncWrite as _;

use crate::deadline::Deadline;
use crate::deadline::Expired;
use crate::deadline::Wheel;
use crate::transport::Transport;

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// What waits to be written.
    waiting: VecDeque<Bytes>,
    /// The sender's last word was read.
    read_to_end: bool,
    /// It came out of the filters: after what waits, the receiver is told.
    at_end: bool,
    /// How far the receiver knows.
    sink: Sink,
    /// What was written may still be held back below.
    unflushed: bool,
    /// Bytes written, and the end: only to see whether anything moves.
    moved: u64,
    /// Limits the wait for a receiver that does not read; there only while one does not.
    stalled: Option<Deadline>,
    /// Limits the wait for a filter that holds; there only while one does.
    held: Option<Deadline>,
}

/// How far a receiver knows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Sink {
    #[default]
    Open,
    /// It was told that nothing more comes.
    Told,
    /// It broke: it takes nothing more.
    Broken,
}

/// What came of writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrote {
    All,
    Some,
    Broken,
}

impl Flow {
    /// What waits to be written.
    pub(super) fn waiting(&mut self) -> &mut VecDeque<Bytes> {
        &mut self.waiting
    }

    /// Bytes were read, for filters: whoever holds them gets its time anew.
    pub(super) fn note_read(&mut self, count: usize) {
        self.moved += count as u64;
        self.held = None;
    }

    /// The sender's last word was read.
    pub(super) fn note_read_to_end(&mut self) {
        self.read_to_end = true;
        self.moved += 1;
        self.held = None;
    }

    /// Whether there is nothing more to read.
    pub(super) fn is_read_to_end(&self) -> bool {
        self.read_to_end
    }

    /// Grows with whatever happens.
    pub(super) fn moved(&self) -> u64 {
        self.moved
    }

    /// Whether nothing more will happen.
    pub(super) fn is_over(&self) -> bool {
        self.sink != Sink::Open
    }

    /// Whether the receiver broke the connection.
    pub(super) fn is_broken(&self) -> bool {
        self.sink == Sink::Broken
    }

    /// The sender has said its last, and filters have let it pass.
    pub(super) fn note_end(&mut self) {
        self.read_to_end = true;
        self.at_end = true;
        self.moved += 1;
    }

    /// Whether the receiver is to be told, after what waits.
    pub(super) fn is_at_end(&self) -> bool {
        self.at_end
    }

    /// Writes what waits, as far as the receiver takes it; `sent` is told of each part.
    pub(super) fn write_waiting(
        &mut self,
        to: &mut Transport,
        cx: &mut Context<'_>,
        sent: impl Fn(usize),
    ) -> Wrote {
        if self.sink == Sink::Broken {
            return Wrote::Broken;
        }
        while let Some(first) = self.waiting.front_mut() {
            match Pin::new(&mut *to).poll_write(cx, first) {
                Poll::Pending => return Wrote::Some,
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return self.break_off(),
                Poll::Ready(Ok(count)) => {
                    sent(count);
                    first.advance(count);
                    if first.is_empty() {
                        self.waiting.pop_front();
                    }
                    self.note_written(count);
                }
            }
        }
        if self.waiting.capacity() > 0 {
            self.waiting = VecDeque::new();
        }
        Wrote::All
    }

    /// Writes bytes while nothing waits; what the receiver does not take waits then.
    pub(super) fn write(
        &mut self,
        to: &mut Transport,
        bytes: &[u8],
        cx: &mut Context<'_>,
        sent: impl Fn(usize),
    ) {
        let mut rest = bytes;
        while !rest.is_empty() {
            match Pin::new(&mut *to).poll_write(cx, rest) {
                Poll::Pending => {
                    self.waiting.push_back(Bytes::copy_from_slice(rest));
                    return;
                }
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => {
                    self.break_off();
                    return;
                }
                Poll::Ready(Ok(count)) => {
                    sent(count);
                    rest = rest.get(count..).unwrap_or_default();
                    self.note_written(count);
                }
            }
        }
    }

    /// Sends what is held back below: TLS keeps what the connection does not take.
    pub(super) fn flush(&mut self, to: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        if !self.unflushed {
            return Poll::Ready(());
        }
        match ready!(Pin::new(to).poll_flush(cx)) {
            Ok(()) => {
                self.unflushed = false;
                self.stalled = None;
            }
            Err(_) => {
                self.break_off();
            }
        }
        Poll::Ready(())
    }

    /// Tells the receiver that nothing more comes, once it has taken all.
    pub(super) fn end(&mut self, to: &mut Transport, cx: &mut Context<'_>) -> Poll<()> {
        if self.sink == Sink::Open {
            // One that is gone already needs no word.
            ready!(Pin::new(to).poll_shutdown(cx)).ok();
            self.sink = Sink::Told;
            self.stalled = None;
        }
        Poll::Ready(())
    }

    /// The receiver does not read: it gets `limit` from now on, if its time does not run already.
    pub(super) fn stall(&mut self, limit: Duration, wheel: &Wheel) {
        if self.stalled.is_none() {
            let deadline = wheel.deadline();
            deadline.arm(limit);
            self.stalled = Some(deadline);
        }
    }

    /// Whether the receiver has not read for too long.
    pub(super) fn poll_stalled(&self, cx: &mut Context<'_>) -> Poll<Expired> {
        match &self.stalled {
            Some(deadline) => deadline.poll_expired(cx),
            None => Poll::Pending,
        }
    }

    /// A filter holds the direction, or none does: it gets `limit` from now on, if its time does not
    /// run already. Ready if that is over.
    pub(super) fn poll_held(
        &mut self,
        is_held: bool,
        limit: Duration,
        wheel: &Wheel,
        cx: &mut Context<'_>,
    ) -> Poll<Expired> {
        if !is_held {
            self.held = None;
            return Poll::Pending;
        }
        let deadline = self.held.get_or_insert_with(|| {
            let deadline = wheel.deadline();
            deadline.arm(limit);
            deadline
        });
        deadline.poll_expired(cx)
    }

    fn note_written(&mut self, count: usize) {
        self.moved += count as u64;
        self.unflushed = true;
        self.stalled = None;
    }

    /// The receiver takes nothing more. What it sends may still be read: a peer that has answered
    /// and closed resets whoever goes on talking.
    fn break_off(&mut self) -> Wrote {
        self.sink = Sink::Broken;
        self.waiting = VecDeque::new();
        self.stalled = None;
        self.moved += 1;
        Wrote::Broken
    }
}

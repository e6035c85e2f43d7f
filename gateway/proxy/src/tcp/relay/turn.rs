//! One turn of one direction: as much as can be moved now, but not for ever.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_host_abi::Side;
use tokio::io::AsyncRead as _;
use tokio::io::ReadBuf;

use crate::deadline::Wheel;
use crate::tcp::filters::Filters;
use crate::tcp::filters::data::Passed;
use crate::tcp::relay::flow::Flow;
use crate::tcp::relay::flow::Wrote;
use crate::tcp::stream::Tally;
use crate::transport::Transport;

/// Reads of one direction before other connections get their turn.
const MOST: usize = 16;

/// One direction, with what it goes between.
pub(super) struct Way<'t> {
    pub(super) side: Side,
    pub(super) from: &'t mut Transport,
    /// What was read of it already.
    pub(super) begun: Bytes,
    pub(super) to: &'t mut Transport,
    pub(super) flow: &'t mut Flow,
    pub(super) filters: Option<&'t Filters<'t>>,
    pub(super) tally: &'t Tally,
    /// How long the receiver may not read.
    pub(super) stall: Duration,
    pub(super) wheel: &'t Wheel,
}

/// What came of a turn, or of a step of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It waits for a peer or a filter.
    Waits,
    /// It has more to do.
    GoesOn,
}

impl Way<'_> {
    /// Moves what can be moved now, by way of `buffer`.
    pub(super) fn run(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Result<Turn, Failure> {
        for _ in 0..MOST {
            if self.step(buffer, cx)? == Turn::Waits {
                return Ok(Turn::Waits);
            }
        }
        Ok(Turn::GoesOn)
    }

    /// Nothing can be done now; a receiver that has not taken all has its time.
    fn wait_for_receiver(&mut self, took: Poll<()>) -> Turn {
        if took.is_pending() {
            self.flow.stall(self.stall, self.wheel);
        }
        Turn::Waits
    }

    fn step(&mut self, buffer: &mut [u8], cx: &mut Context<'_>) -> Result<Turn, Failure> {
        let sent = counter(self.side, self.tally);
        match self.flow.write_waiting(self.to, cx, sent) {
            Wrote::All => {}
            Wrote::Some => {
                self.flow.stall(self.stall, self.wheel);
                return Ok(Turn::Waits);
            }
            Wrote::Broken => return Ok(Turn::Waits),
        }
        if self.flow.is_at_end() {
            let told = self.flow.end(self.to, cx);
            return Ok(self.wait_for_receiver(told));
        }
        if self.flow.is_read_to_end() || self.is_full() {
            let flushed = self.flow.flush(self.to, cx);
            return Ok(self.wait_for_receiver(flushed));
        }
        if !self.begun.is_empty() {
            let begun = std::mem::take(&mut self.begun);
            self.take(&begun, cx)?;
            return Ok(Turn::GoesOn);
        }
        match read(self.from, buffer, cx) {
            Poll::Pending => {
                let flushed = self.flow.flush(self.to, cx);
                Ok(self.wait_for_receiver(flushed))
            }
            Poll::Ready(Ok(bytes)) => {
                self.take(bytes, cx)?;
                Ok(Turn::GoesOn)
            }
            Poll::Ready(Err(err)) => {
                tracing::debug!(%err, "a connection that is passed on broke");
                Err(match self.side {
                    Side::Request => Failure::ClientClosed,
                    Side::Response => Failure::UpstreamReset,
                })
            }
        }
    }

    /// Passes on what was read; nothing is the end.
    fn take(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.side == Side::Request {
            self.tally.add_received(bytes.len());
        }
        let Some(filters) = self.filters else {
            if bytes.is_empty() {
                self.flow.note_end();
            } else {
                let sent = counter(self.side, self.tally);
                self.flow.write(self.to, bytes, cx, sent);
            }
            return Ok(());
        };
        let end = bytes.is_empty();
        if end {
            self.flow.note_read_to_end();
        } else {
            self.flow.note_read(bytes.len());
        }
        let data = Bytes::copy_from_slice(bytes);
        if filters.pass(self.side, data, end, self.flow.waiting())? == Passed::Ended {
            self.flow.note_end();
        }
        Ok(())
    }

    /// Whether filters hold as much as they may.
    fn is_full(&self) -> bool {
        let full = |filters: &Filters<'_>| filters.is_full(self.side);
        self.filters.is_some_and(full)
    }
}

/// Counts what was written, if that was to the client.
fn counter(side: Side, tally: &Tally) -> impl Fn(usize) {
    move |bytes| match side {
        Side::Request => {}
        Side::Response => tally.add_sent(bytes),
    }
}

/// Reads what is there; nothing at the end.
fn read<'b>(
    from: &mut Transport,
    buffer: &'b mut [u8],
    cx: &mut Context<'_>,
) -> Poll<io::Result<&'b [u8]>> {
    let mut into = ReadBuf::new(buffer);
    let read = Pin::new(from).poll_read(cx, &mut into);
    let count = into.filled().len();
    match read {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) => Poll::Ready(Ok(buffer.get(..count).unwrap_or_default())),
        // TLS without its own last word: many peers end so.
        Poll::Ready(Err(err)) if err.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(&[])),
        Poll::Ready(Err(err)) => Poll::Ready(Err(err)),
    }
}

//! How many heads an origin may send that nobody has looked at yet.
//!
//! Windows bound what waits of bodies, and nothing in HTTP/2 bounds interim responses: while their client
//! is slow, the `h2` crate keeps as many as come. So heads are counted as they come and as they are taken,
//! and a connection with too many between is given up.

use std::cell::Cell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::http2::pings::Heard;
use crate::http2::scan::HEADERS;
use crate::http2::scan::Scan;
use crate::transport::Transport;

/// Interim responses that may wait on one connection. They come by ones and twos.
const MOST_WAITING: u32 = 256;
/// Heads of a stream without them: the answer's, and trailers.
const OF_A_STREAM: u32 = 2;

/// The count of one connection.
#[derive(Debug)]
pub(crate) struct Heads {
    /// Heads that may still come.
    room: Cell<u32>,
}

impl Default for Heads {
    fn default() -> Self {
        Self {
            room: Cell::new(MOST_WAITING),
        }
    }
}

impl Heads {
    /// A stream begins, and with it there are so many.
    pub(super) fn begun(&self, streams: usize) {
        let streams = u32::try_from(streams).unwrap_or(u32::MAX);
        let most = streams
            .saturating_mul(OF_A_STREAM)
            .saturating_add(MOST_WAITING);
        let room = self.room.get().saturating_add(OF_A_STREAM);
        // Streams that ended without an answer leave no room to others.
        self.room.set(room.min(most));
    }

    /// An interim response was looked at.
    pub(crate) fn taken(&self) {
        self.room.set(self.room.get().saturating_add(1));
    }

    /// A head has come; whether there was room for it.
    fn came(&self) -> bool {
        let left = self.room.get().checked_sub(1);
        self.room.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// What the frames of an origin's connection travel on.
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    heads: Rc<Heads>,
    scan: Scan,
    heard: Heard,
}

impl Wire {
    /// What comes is noted in `heard`.
    pub(super) fn new(transport: Transport, heads: Rc<Heads>, heard: Heard) -> Self {
        Self {
            transport,
            heads,
            heard,
            scan: Scan::default(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        ready!(Pin::new(&mut this.transport).poll_read(cx, into))?;
        this.heard.note();
        let mut fits = true;
        this.scan.read(
            into.filled().get(before..).unwrap_or_default(),
            |kind, _| {
                fits &= kind != HEADERS || this.heads.came();
            },
        );
        if fits {
            Poll::Ready(Ok(()))
        } else {
            let why = "the origin sends more interim responses than are taken";
            Poll::Ready(Err(io::Error::other(why)))
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().transport).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().transport).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_that_are_taken_make_room_and_streams_that_ended_do_not() {
        let heads = Heads::default();
        for _ in 0..10_000 {
            assert!(heads.came());
            heads.taken();
        }
        // Streams that were never answered, one after the other.
        for _ in 0..10_000 {
            heads.begun(1);
        }
        let room = (0..10_000).take_while(|_| heads.came()).count();
        assert_eq!(room, 258);
    }

    #[test]
    fn many_streams_may_be_answered_at_once() {
        let heads = Heads::default();
        for streams in 1..=1000 {
            heads.begun(streams);
        }
        assert!((0..2000).all(|_| heads.came()));
    }
}

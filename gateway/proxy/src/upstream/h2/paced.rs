//! What the frames of an origin's connection travel on.
//!
//! Owns how much of them is taken at once: the `h2` crate reads on while there is something to read, and
//! keeps heads that nobody has looked at yet, which no window bounds. So those who look have their turn in
//! between.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::http2::pings::Heard;
use crate::transport::Transport;

/// Reads in a row. An exchange passes some hundred interim responses on before it is the next one's turn.
const MOST_READS: u32 = 4;

/// A connection that is read in turns.
#[derive(Debug)]
pub(super) struct Paced {
    transport: Transport,
    reads: u32,
    heard: Heard,
}

impl Paced {
    /// What comes is noted in `heard`.
    pub(super) fn new(transport: Transport, heard: Heard) -> Self {
        Self {
            transport,
            reads: 0,
            heard,
        }
    }
}

impl AsyncRead for Paced {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.reads == MOST_READS {
            this.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut this.transport).poll_read(cx, into);
        if read.is_ready() {
            this.heard.note();
        }
        this.reads = if read.is_pending() { 0 } else { this.reads + 1 };
        read
    }
}

impl AsyncWrite for Paced {
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

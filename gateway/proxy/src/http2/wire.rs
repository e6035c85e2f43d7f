//! What the frames of a client's connection travel on.
//!
//! Owns what the `h2` crate does not limit: a peer that reads nothing for too long, and frames that
//! cost us more than they cost their sender ([`Calm`]). Bytes that were read before it was known
//! that they are frames come first.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Buf as _;
use bytes::BytesMut;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::deadline::Deadline;
use crate::http2::calm::Calm;
use crate::http2::pings::Heard;
use crate::transport::Transport;

/// A connection with its limits.
#[derive(Debug)]
pub(super) struct Wire {
    transport: Transport,
    /// What was read before.
    begun: BytesMut,
    calm: Rc<Calm>,
    heard: Heard,
    deadline: Deadline,
    /// How long the peer may read nothing.
    stall: Duration,
    stalled: bool,
}

impl Wire {
    pub(super) fn new(
        transport: Transport,
        begun: BytesMut,
        (calm, heard): (Rc<Calm>, Heard),
        deadline: Deadline,
        stall: Duration,
    ) -> Self {
        Self {
            transport,
            begun,
            calm,
            heard,
            deadline,
            stall,
            stalled: false,
        }
    }

    /// Watches over a write.
    fn wrote(
        &mut self,
        polled: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        self.calm.note_waiting(polled.is_pending());
        match polled {
            Poll::Ready(wrote) => {
                if std::mem::take(&mut self.stalled) {
                    self.deadline.disarm();
                }
                if let Ok(bytes) = wrote {
                    self.calm.wrote(bytes);
                }
                Poll::Ready(wrote)
            }
            Poll::Pending => {
                if !std::mem::replace(&mut self.stalled, true) {
                    self.deadline.arm(self.stall);
                }
                let expired = self.deadline.poll_expired(cx);
                expired.map(|_| Err(io::ErrorKind::TimedOut.into()))
            }
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
        if this.begun.is_empty() {
            std::task::ready!(Pin::new(&mut this.transport).poll_read(cx, into))?;
        } else {
            let take = this.begun.len().min(into.remaining());
            into.put_slice(this.begun.get(..take).unwrap_or_default());
            this.begun.advance(take);
            if this.begun.is_empty() {
                this.begun = BytesMut::new();
            }
        }
        this.heard.note();
        this.calm
            .read(into.filled().get(before..).unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_write(cx, bytes);
        this.wrote(polled, cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_write_vectored(cx, slices);
        this.wrote(polled, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_flush(cx);
        let watched = this.wrote(polled.map(|flushed| flushed.map(|()| 0)), cx);
        watched.map(|flushed| flushed.map(|_| ()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.transport).poll_shutdown(cx);
        let watched = this.wrote(polled.map(|ended| ended.map(|()| 0)), cx);
        watched.map(|ended| ended.map(|_| ()))
    }
}

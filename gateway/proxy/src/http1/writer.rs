//! The writing half of a connection.
//!
//! Owns the time limit of writes and the gathering of small pieces into one system call. It holds
//! at most [`GATHER`] bytes back; larger pieces are written with what was gathered, uncopied.

use std::future::poll_fn;
use std::io::IoSlice;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;

use crate::deadline::Deadline;
use crate::transport::LentPipe;
use crate::transport::WriteHalf;

/// How much is gathered before it is written.
const GATHER: usize = 16 * 1024;
/// A buffer that has grown beyond this is given back when it is empty.
const KEEP: usize = 4 * 1024;

/// The writing half of a connection.
#[derive(Debug)]
pub(crate) struct Writer {
    half: WriteHalf,
    deadline: Deadline,
    /// Gathered and not written yet, but for the first `sent` bytes.
    pub(crate) out: Vec<u8>,
    sent: usize,
    written: u64,
}

/// Why a write failed.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// The connection broke.
    Broken,
    /// The peer does not read.
    Stalled,
}

impl Writer {
    pub(crate) fn new(half: WriteHalf, deadline: Deadline) -> Self {
        Self {
            half,
            deadline,
            out: Vec::new(),
            sent: 0,
            written: 0,
        }
    }

    /// Bytes that have left since the connection began.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether so many more bytes would be gathered and not written at once.
    pub(crate) fn gathers(&self, more: usize) -> bool {
        self.out.len() + more <= GATHER
    }

    /// Gathers `bytes`, or writes them with what was gathered.
    ///
    /// # Errors
    ///
    /// The connection broke, or the peer did not read for `stall`.
    pub(crate) async fn send(&mut self, bytes: &Bytes, stall: Duration) -> Result<(), WriteError> {
        if self.gathers(bytes.len()) {
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        self.write_out(bytes, stall).await
    }

    /// Writes all that was gathered.
    ///
    /// # Errors
    ///
    /// As [`Writer::send`].
    pub(crate) async fn flush(&mut self, stall: Duration) -> Result<(), WriteError> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.write_out(&Bytes::new(), stall).await
    }

    /// Cancel-safe while there is nothing `more`: what has left is not sent again.
    async fn write_out(&mut self, more: &[u8], stall: Duration) -> Result<(), WriteError> {
        let gathered = self.out.len();
        let total = gathered + more.len();
        while self.sent < total {
            let first = self.out.get(self.sent..).unwrap_or_default();
            let rest = more
                .get(self.sent.saturating_sub(gathered)..)
                .unwrap_or_default();
            let half = &mut self.half;
            let write = poll_fn(|cx| {
                let wrote = if rest.is_empty() {
                    ready!(half.poll_write(cx, first))
                } else if first.is_empty() {
                    ready!(half.poll_write(cx, rest))
                } else {
                    let slices = [IoSlice::new(first), IoSlice::new(rest)];
                    ready!(half.poll_write_vectored(cx, &slices))
                };
                std::task::Poll::Ready(wrote)
            });
            match self.deadline.limit(stall, write).await {
                Ok(Ok(0) | Err(_)) => return Err(WriteError::Broken),
                Ok(Ok(wrote)) => {
                    self.sent += wrote;
                    self.written += wrote as u64;
                }
                Err(_) => return Err(WriteError::Stalled),
            }
        }
        self.out.clear();
        self.sent = 0;
        self.flush_below(stall).await
    }

    /// Sends what TLS holds back.
    ///
    /// # Errors
    ///
    /// As [`Writer::send`].
    pub(crate) async fn flush_below(&mut self, stall: Duration) -> Result<(), WriteError> {
        let half = &mut self.half;
        let flush = poll_fn(|cx| half.poll_flush(cx));
        match self.deadline.limit(stall, flush).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(WriteError::Broken),
            Err(_) => Err(WriteError::Stalled),
        }
    }

    /// Whether bytes can be passed on to its connection without being read.
    pub(crate) fn is_plain(&self) -> bool {
        self.out.is_empty() && self.half.plain().is_some()
    }

    /// Writes all that is in a pipe. It needs [`Self::is_plain`].
    ///
    /// # Errors
    ///
    /// As [`Writer::send`].
    pub(crate) async fn drain(
        &mut self,
        pipe: &mut LentPipe<'_>,
        stall: Duration,
    ) -> Result<(), WriteError> {
        while !pipe.is_empty() {
            let Some(to) = self.half.plain() else {
                return Err(WriteError::Broken);
            };
            let drain = poll_fn(|cx| pipe.poll_drain(to, cx));
            match self.deadline.limit(stall, drain).await {
                Ok(Ok(0) | Err(_)) => return Err(WriteError::Broken),
                Ok(Ok(wrote)) => self.written += wrote as u64,
                Err(_) => return Err(WriteError::Stalled),
            }
        }
        Ok(())
    }

    /// Whether all that was gathered has left.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Forgets what was gathered after this mark and has not left; a mark is an earlier length of
    /// `out`.
    pub(crate) fn forget_after(&mut self, mark: usize) {
        self.out.truncate(mark.max(self.sent));
    }

    /// Gives the gathering buffer's memory back; it must be empty.
    pub(crate) fn release(&mut self) {
        if self.out.capacity() > KEEP {
            self.out = Vec::new();
        }
    }

    /// The half it writes to; what was gathered is lost.
    pub(crate) fn into_half(self) -> WriteHalf {
        self.half
    }

    /// Lets go without sending FIN: the connection ends as its socket is set to.
    pub(crate) fn forget(self) {
        self.half.forget();
    }

    /// Ends the connection with a peer that has ended it; TLS has a word of its own for it.
    pub(crate) async fn farewell(&mut self, limit: Duration) {
        let half = &mut self.half;
        let farewell = poll_fn(|cx| half.poll_farewell(cx));
        self.deadline.limit(limit, farewell).await.ok();
    }

    /// Sends FIN: the peer sees the end of what was written. TLS has a word of its own for it,
    /// which a peer that does not read may hold up for at most `limit`.
    pub(crate) async fn shutdown(&mut self, limit: Duration) {
        let half = &mut self.half;
        let shutdown = poll_fn(|cx| half.poll_shutdown(cx));
        self.deadline.limit(limit, shutdown).await.ok();
    }
}

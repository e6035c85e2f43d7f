//! The reading half of a connection: a buffer, the waits that fill it, and the body that is read.
//!
//! Owns the time limits of reads. The buffer is given back while a connection is idle, so that ten
//! thousand of them cost little.

use std::future::pending;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use bytes::BytesMut;
use socket2::SockRef;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;
use tokio::io::AsyncRead as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::Interest;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

use crate::deadline::Deadline;
use crate::http1::body::BodyError;
use crate::http1::body::BodyReader;
use crate::http1::body::Frame;
use crate::http1::head::HeadScan;
use crate::http1::head::ParsedResponse;
use crate::http1::head::take_response;
use crate::transport::Filled;
use crate::transport::LentPipe;
use crate::transport::ReadHalf;

/// What one read asks for: more than nearly every head, and a body in few calls.
const READ_SIZE: usize = 8 * 1024;
/// What one read asks for once a body has proved to be large.
const LARGE_READ_SIZE: usize = 64 * 1024;
/// What has to be left of a body that is passed on without being read.
const WORTH_A_PIPE: u64 = 32 * 1024;

/// How often a connection is looked at that is not read because enough is here.
const RECHECK: Duration = Duration::from_millis(250);

/// The reading half of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    half: ReadHalf,
    pub(crate) deadline: Deadline,
    /// What was read and not used yet.
    pub(crate) buf: BytesMut,
    /// The body of the message whose head was read last.
    pub(crate) body: BodyReader,
    next_read: usize,
    /// The peer has said that it will send nothing more, and all that it sent was read.
    pub(crate) ended: bool,
}

/// How a read ended.
#[derive(Debug)]
pub(crate) enum ReadEnd {
    /// Bytes were added to the buffer.
    Data,
    /// The peer will send nothing more.
    Eof,
    /// The connection broke.
    Broken,
    /// The time limit passed.
    TimedOut,
}

impl Reader {
    pub(crate) fn new(half: ReadHalf, deadline: Deadline) -> Self {
        Self {
            half,
            deadline,
            buf: BytesMut::new(),
            body: BodyReader::default(),
            next_read: READ_SIZE,
            ended: false,
        }
    }

    /// The next frame of the body if it is in the buffer already.
    pub(crate) fn decode(&mut self) -> Result<Option<Frame>, BodyError> {
        self.body.decode(&mut self.buf)
    }

    /// The next frame of the body, waiting at most `idle` for its bytes. Cancel-safe.
    pub(crate) async fn frame(&mut self, idle: Duration) -> Result<Frame, BodyError> {
        loop {
            if let Some(frame) = self.decode()? {
                return Ok(frame);
            }
            match self.fill(idle).await {
                ReadEnd::Data => {}
                ReadEnd::Eof if self.body.ends_by_close() => return Ok(Frame::End(None)),
                ReadEnd::Eof | ReadEnd::Broken => return Err(BodyError::Cut),
                ReadEnd::TimedOut => return Err(BodyError::TimedOut),
            }
        }
    }

    /// Waits for bytes, at most `limit`. Cancel-safe.
    pub(crate) async fn fill(&mut self, limit: Duration) -> ReadEnd {
        self.buf.reserve(self.next_read);
        let before = self.buf.len();
        let read = self.half.read_buf(&mut self.buf);
        let end = match self.deadline.limit(limit, read).await {
            Ok(Ok(0)) => {
                self.ended = true;
                return ReadEnd::Eof;
            }
            Ok(Ok(_)) => ReadEnd::Data,
            Ok(Err(_)) => return ReadEnd::Broken,
            Err(_) => return ReadEnd::TimedOut,
        };
        // A full buffer means that more is waiting: ask for more the next time.
        if self.buf.len() - before >= self.next_read {
            self.next_read = LARGE_READ_SIZE;
        }
        end
    }

    /// Whether much of the body is left and it comes fast, on a connection whose bytes can be passed on
    /// without being read.
    pub(crate) fn flows(&self) -> bool {
        self.next_read == LARGE_READ_SIZE
            && self.buf.is_empty()
            && self.body.left().is_some_and(|left| left >= WORTH_A_PIPE)
            && self.half.plain().is_some()
    }

    /// Takes what has come of the body into a pipe.
    pub(crate) fn fill_pipe(&mut self, pipe: &mut LentPipe<'_>) -> Filled {
        let (Some(from), Some(left)) = (self.half.plain(), self.body.left()) else {
            return Filled::Refused;
        };
        let filled = pipe.fill(from, left);
        if let Filled::Some(bytes) = filled {
            self.body.skip(bytes);
            if self.body.is_done() {
                // Nobody has seen yet that nothing follows: the connection would not look quiet.
                forget_readiness(from);
            }
            if bytes < READ_SIZE {
                self.next_read = READ_SIZE; // Copying so little costs less.
            }
        }
        filled
    }

    /// Waits until a byte can be read. Cancel-safe.
    pub(crate) async fn readable(&mut self, limit: Duration) -> ReadEnd {
        let half = &self.half;
        let ready = poll_fn(|cx| half.poll_ready(cx));
        match self.deadline.limit(limit, ready).await {
            Ok(Ok(())) => ReadEnd::Data,
            Ok(Err(_)) => ReadEnd::Broken,
            Err(_) => ReadEnd::TimedOut,
        }
    }

    /// Gives the buffer's memory back; it must be empty.
    pub(crate) fn release(&mut self) {
        if self.buf.capacity() > 0 {
            self.buf = BytesMut::new();
        }
        self.next_read = READ_SIZE;
    }

    /// Whether the peer has neither sent anything nor closed, as far as is known without a system
    /// call. A kept connection that is not quiet cannot be used again.
    pub(crate) fn is_quiet(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.buf.is_empty() && self.half.poll_ready(&mut cx).is_pending()
    }

    /// Resolves when the client has closed or broken the connection; bytes that arrive meanwhile are
    /// kept, up to `keep`. Beyond that the end is seen within [`RECHECK`] or so, unless it is behind more
    /// than the system takes in. Cancel-safe.
    pub(crate) async fn gone(&mut self, keep: usize) -> Failure {
        loop {
            if self.buf.len() >= keep {
                // What comes is not read any more, so the end that is behind it does not wake anybody.
                if self.half.with_tcp(is_closed) {
                    return Failure::ClientClosed;
                }
                self.deadline.limit(RECHECK, pending::<()>()).await.ok();
                continue;
            }
            // The buffer is there only when there is something to read.
            poll_fn(|cx| self.half.poll_ready(cx)).await.ok();
            self.buf.reserve(READ_SIZE);
            match self.half.read_buf(&mut self.buf).await {
                Ok(0) | Err(_) => return Failure::ClientClosed,
                Ok(_) => {}
            }
        }
    }

    /// Reads and drops what still comes, for at most `limit`: a peer that is being answered early
    /// must not be reset before it has read the answer.
    pub(crate) async fn linger(&mut self, limit: Duration) {
        self.buf.clear();
        // On the heap: it must not be part of what every connection's task holds.
        let mut scrap = vec![0u8; 4096];
        let half = &mut self.half;
        let mut drain = pin!(poll_fn(move |cx| {
            loop {
                let mut into = ReadBuf::new(&mut scrap);
                match std::pin::Pin::new(&mut *half).poll_read(cx, &mut into) {
                    Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
        // One limit for all of it: a peer that keeps sending is cut off.
        self.deadline.limit(limit, drain.as_mut()).await.ok();
    }

    /// The half it reads from, and what was read and not used.
    pub(crate) fn into_half(self) -> (ReadHalf, BytesMut) {
        (self.half, self.buf)
    }

    /// The half it reads from.
    pub(crate) fn half(&self) -> &ReadHalf {
        &self.half
    }
}

/// Whether the peer has closed or broken a connection, as the last event of it said: without a system call,
/// and also if there are bytes to read before the end.
fn is_closed(tcp: &TcpStream) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match pin!(tcp.ready(Interest::READABLE)).poll(&mut cx) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}

/// Asks a connection whether more can be read, so that its next wait is a wait.
fn forget_readiness(tcp: &TcpStream) {
    let mut byte = [MaybeUninit::uninit()];
    let peek = || SockRef::from(tcp).peek(&mut byte);
    // Bytes and errors stay where they are.
    tcp.try_io(Interest::READABLE, peek).ok();
}

impl Reader {
    /// The next response head, waiting at most `idle` between bytes. Cancel-safe only before the
    /// first byte.
    ///
    /// # Errors
    ///
    /// How the origin failed to answer.
    pub(crate) async fn response_head(
        &mut self,
        limits: &SizeLimits,
        idle: Duration,
    ) -> Result<ParsedResponse, Failure> {
        let mut scan = HeadScan::default();
        loop {
            if let Some(parsed) = take_response(&mut self.buf, &mut scan, limits)? {
                return Ok(parsed);
            }
            match self.fill(idle).await {
                ReadEnd::Data => {}
                ReadEnd::Eof | ReadEnd::Broken => return Err(Failure::UpstreamReset),
                ReadEnd::TimedOut => return Err(Failure::UpstreamTimeout),
            }
        }
    }
}

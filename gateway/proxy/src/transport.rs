//! What bytes travel on: a TCP connection, with or without TLS on it.
//!
//! Owns the one type that listeners accept and upstreams connect, and its two halves. Both halves
//! belong to one task: those of TLS share a session without a lock.

mod pipe;
mod socket;

use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncBufRead as _;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::tcp::OwnedWriteHalf;
use tokio_rustls::TlsStream;

pub(crate) use pipe::Filled;
pub(crate) use pipe::LentPipe;
pub(crate) use pipe::Pipes;
pub(crate) use socket::Socket;

/// An open connection.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Without TLS.
    Tcp(TcpStream),
    /// With TLS, whose handshake is over.
    Tls(Box<TlsStream<Socket>>),
}

/// The reading half of a [`Transport`].
#[derive(Debug)]
pub(crate) enum ReadHalf {
    /// Without TLS.
    Tcp(OwnedReadHalf),
    /// With TLS.
    Tls(Rc<RefCell<TlsStream<Socket>>>),
}

/// The writing half of a [`Transport`].
#[derive(Debug)]
pub(crate) enum WriteHalf {
    /// Without TLS.
    Tcp(OwnedWriteHalf),
    /// With TLS.
    Tls(Rc<RefCell<TlsStream<Socket>>>),
}

impl Transport {
    /// The connection below.
    pub(crate) fn tcp(&self) -> &TcpStream {
        match self {
            Self::Tcp(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0.tcp(),
        }
    }

    /// Whether HTTP/2 was chosen in the handshake (RFC 7301).
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            Self::Tcp(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// The connection that two halves were taken from; `None` if they are not of one.
    pub(crate) fn join(read: ReadHalf, write: WriteHalf) -> Option<Self> {
        match (read, write) {
            (ReadHalf::Tcp(read), WriteHalf::Tcp(write)) => read.reunite(write).ok().map(Self::Tcp),
            (ReadHalf::Tls(read), WriteHalf::Tls(write)) => {
                drop(write);
                let session = Rc::try_unwrap(read).ok()?;
                Some(Self::Tls(Box::new(session.into_inner())))
            }
            _ => None,
        }
    }

    /// Its two halves, for one task.
    pub(crate) fn into_split(self) -> (ReadHalf, WriteHalf) {
        match self {
            Self::Tcp(stream) => {
                let (read, write) = stream.into_split();
                (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
            }
            Self::Tls(stream) => {
                let shared = Rc::new(RefCell::new(*stream));
                (ReadHalf::Tls(Rc::clone(&shared)), WriteHalf::Tls(shared))
            }
        }
    }
}

impl From<TcpStream> for Transport {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

impl ReadHalf {
    /// Whether a read would give bytes, the end, or an error at once. Otherwise the task is woken
    /// when it would.
    pub(crate) fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => half.as_ref().poll_read_ready(cx),
            // Bytes of the connection need not be bytes of its user: TLS has its own messages.
            Self::Tls(shared) => {
                let mut session = shared.borrow_mut();
                ready!(Pin::new(&mut *session).poll_fill_buf(cx))?;
                Poll::Ready(Ok(()))
            }
        }
    }

    /// The connection, if it has no TLS: what is read is what came.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(half) => Some(half.as_ref()),
            Self::Tls(_) => None,
        }
    }

    /// Does something with the connection below.
    pub(crate) fn with_tcp<T>(&self, act: impl FnOnce(&TcpStream) -> T) -> T {
        match self {
            Self::Tcp(half) => act(half.as_ref()),
            Self::Tls(shared) => act(shared.borrow().get_ref().0.tcp()),
        }
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, into),
            Self::Tls(shared) => Pin::new(&mut *shared.borrow_mut()).poll_read(cx, into),
        }
    }
}

impl WriteHalf {
    /// The connection, if it has no TLS.
    pub(crate) fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(half) => Some(half.as_ref()),
            Self::Tls(_) => None,
        }
    }

    /// Writes some of two slices.
    pub(crate) fn poll_write_vectored(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Tls(shared) => {
                Pin::new(&mut *shared.borrow_mut()).poll_write_vectored(cx, slices)
            }
        }
    }

    /// Writes some of a slice.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Tls(shared) => Pin::new(&mut *shared.borrow_mut()).poll_write(cx, bytes),
        }
    }

    /// Sends what is held back below: TLS keeps what the connection did not take.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(shared) => Pin::new(&mut *shared.borrow_mut()).poll_flush(cx),
        }
    }

    /// Says that nothing more comes: FIN, after TLS' own word for it.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Tls(shared) => Pin::new(&mut *shared.borrow_mut()).poll_shutdown(cx),
        }
    }

    /// The same to a peer that has ended itself: the connection is closed next, which says FIN.
    pub(crate) fn poll_farewell(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Tls(shared) => {
                let mut session = shared.borrow_mut();
                session.get_mut().1.send_close_notify();
                Pin::new(&mut *session).poll_flush(cx)
            }
        }
    }

    /// Lets go without saying that nothing more comes: the connection ends as its socket is set to.
    pub(crate) fn forget(self) {
        if let Self::Tcp(half) = self {
            half.forget();
        }
    }
}

//! A TCP connection below TLS.
//!
//! Owns reading in larger pieces than the TLS library asks for while there is much to read: it asks
//! for 4 KiB, a quarter of a full record. A connection with nothing to read holds no buffer.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// What one read takes while there is much to read: two full records.
const LARGE: usize = 32 * 1024;

/// A TCP connection below TLS.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: TcpStream,
    /// Empty, or [`LARGE`].
    ahead: Vec<u8>,
    /// What of `ahead` was read, and not given out yet.
    at: usize,
    filled: usize,
    /// The last read took all that it asked for: more is waiting.
    busy: bool,
}

impl Socket {
    /// Below TLS from now on.
    pub(crate) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp,
            ahead: Vec::new(),
            at: 0,
            filled: 0,
            busy: false,
        }
    }

    /// The connection.
    pub(crate) fn tcp(&self) -> &TcpStream {
        &self.tcp
    }

    /// The connection, with nothing on it any more.
    pub(crate) fn into_tcp(self) -> TcpStream {
        self.tcp
    }

    /// Gives out what was read ahead; `false` if there is nothing.
    fn give(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let held = self.ahead.get(self.at..self.filled).unwrap_or_default();
        let given = held.len().min(into.remaining());
        into.put_slice(held.get(..given).unwrap_or_default());
        self.at += given;
        given > 0
    }

    fn let_go(&mut self) {
        self.ahead = Vec::new();
        (self.at, self.filled) = (0, 0);
        self.busy = false;
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if into.remaining() == 0 || this.give(into) {
            return Poll::Ready(Ok(()));
        }
        if !this.busy {
            this.let_go();
            let before = into.remaining();
            ready!(Pin::new(&mut this.tcp).poll_read(cx, into))?;
            this.busy = before > 0 && into.remaining() == 0;
            return Poll::Ready(Ok(()));
        }
        this.ahead.resize(LARGE, 0);
        let mut large = ReadBuf::new(&mut this.ahead);
        let read = Pin::new(&mut this.tcp).poll_read(cx, &mut large);
        let filled = large.filled().len();
        match read {
            Poll::Pending => {
                this.let_go();
                Poll::Pending
            }
            Poll::Ready(Ok(())) => {
                (this.at, this.filled) = (0, filled);
                this.busy = filled == LARGE;
                this.give(into);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(err)) => Poll::Ready(Err(err)),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tcp).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use super::LARGE;
    use super::Socket;

    #[test]
    fn bytes_come_in_order_and_an_idle_connection_holds_no_buffer() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("bound");
            let mut writer = TcpStream::connect(address).await.expect("connected");
            let (stream, _) = listener.accept().await.expect("accepted");
            let mut socket = Socket::new(stream);
            let sent: Vec<u8> = (0..=250).cycle().take(10 * LARGE + 7).collect();
            let copy = sent.clone();
            let writing = async {
                writer.write_all(&copy).await.expect("written");
                writer
            };
            let reading = async {
                let mut got = Vec::new();
                let mut piece = [0; 4096];
                let mut most = 0;
                while got.len() < sent.len() {
                    let read = socket.read(&mut piece).await.expect("bytes");
                    got.extend_from_slice(&piece[..read]);
                    most = most.max(socket.ahead.len());
                }
                assert!(got == sent, "all bytes in order");
                assert_eq!(most, LARGE, "there was much to read");
                // Nothing is there: the wait for more holds nothing.
                let wait = std::time::Duration::from_millis(10);
                tokio::time::timeout(wait, socket.read(&mut piece))
                    .await
                    .expect_err("nothing comes");
                assert!(socket.ahead.is_empty());
            };
            let (writer, ()) = tokio::join!(writing, reading);
            drop(writer);
        });
    }
}

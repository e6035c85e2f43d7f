//! A TCP connection below TLS.
//!
//! Owns reading in larger pieces than the TLS library asks for while there is much to read: it asks
//! for 4 KiB, a quarter of a full record. A connection with nothing to read holds no buffer. In a
//! handshake with a client, what is written waits until there is nothing to read; the tickets at its
//! end wait for what is written or flushed next: the answer, if its request came with the client's
//! last word.

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
/// How much of a handshake waits to be written.
const GATHERED: usize = 16 * 1024;

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
    /// A handshake is under way in which what is written waits.
    greets: bool,
    /// Written and not sent yet.
    gathered: Vec<u8>,
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
            greets: false,
            gathered: Vec::new(),
        }
    }

    /// The same for a handshake with a client.
    pub(crate) fn greeting(tcp: TcpStream) -> Self {
        Self {
            greets: true,
            ..Self::new(tcp)
        }
    }

    /// The handshake is over: what waits leaves with what is written next, or when it is flushed.
    pub(crate) fn end_greeting(&mut self) {
        self.greets = false;
    }

    /// Sends what waits.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.gathered.is_empty() {
            match ready!(Pin::new(&mut self.tcp).poll_write(cx, &self.gathered))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => drop(self.gathered.drain(..sent)),
            }
            if self.gathered.is_empty() {
                self.gathered = Vec::new();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Takes of what is written as much as may wait; 0 if it does not have to.
    fn gather(&mut self, slices: &[IoSlice<'_>]) -> usize {
        if !self.greets && self.gathered.is_empty() {
            return 0;
        }
        let before = self.gathered.len();
        for slice in slices {
            let room = GATHERED.saturating_sub(self.gathered.len());
            let taken = slice.get(..room.min(slice.len())).unwrap_or_default();
            self.gathered.extend_from_slice(taken);
        }
        self.gathered.len() - before
    }

    /// Writes some of these slices, with what waits.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let taken = self.gather(slices);
        if taken == 0 {
            ready!(self.poll_send(cx))?;
            return Pin::new(&mut self.tcp).poll_write_vectored(cx, slices);
        }
        if !self.greets
            && let Poll::Ready(Err(err)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(err));
        }
        Poll::Ready(Ok(taken))
    }

    /// Nothing can be read: in a handshake, the client waits for all that was written.
    fn poll_nothing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.greets
            && let Poll::Ready(Err(err)) = self.poll_send(cx)
        {
            return Poll::Ready(Err(err));
        }
        Poll::Pending
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
            let read = Pin::new(&mut this.tcp).poll_read(cx, into);
            if read.is_pending() {
                return this.poll_nothing(cx);
            }
            ready!(read)?;
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
                this.poll_nothing(cx)
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
        self.get_mut().poll_write_with(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.greets {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.tcp).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_send(cx))?;
        Pin::new(&mut this.tcp).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use super::GATHERED;
    use super::LARGE;
    use super::Socket;

    #[test]
    fn bytes_come_in_order_and_an_idle_connection_holds_no_buffer() {
        run(async {
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

    #[test]
    fn what_a_handshake_writes_leaves_when_there_is_nothing_to_read() {
        run(async {
            let (mut client, mut socket) = greeting().await;
            client.write_all(b"hello").await.expect("written");
            let mut piece = [0; 16];
            let read = socket.read(&mut piece).await.expect("bytes");
            assert_eq!(&piece[..read], b"hello");
            socket.write_all(b"flight").await.expect("taken");
            socket.flush().await.expect("taken");
            assert_eq!(socket.gathered, b"flight");
            let wait = async {
                let read = socket.read(&mut piece).await.expect("bytes");
                assert_eq!(&piece[..read], b"finished");
            };
            let reply = async {
                let mut flight = [0; 6];
                client.read_exact(&mut flight).await.expect("bytes");
                assert_eq!(&flight, b"flight");
                client.write_all(b"finished").await.expect("written");
            };
            tokio::join!(wait, reply);
            // The tickets leave with the answer.
            socket.write_all(b"tickets").await.expect("taken");
            socket.end_greeting();
            assert_eq!(socket.gathered, b"tickets");
            socket.write_all(b" and an answer").await.expect("written");
            assert!(socket.gathered.is_empty());
            let mut answer = [0; 21];
            client.read_exact(&mut answer).await.expect("bytes");
            assert_eq!(&answer, b"tickets and an answer");
        });
    }

    #[test]
    fn no_more_of_a_handshake_waits_than_there_is_room_for() {
        run(async {
            let (mut client, mut socket) = greeting().await;
            let sent: Vec<u8> = (0..=250).cycle().take(10 * GATHERED).collect();
            let copy = sent.clone();
            let writing = async {
                socket.write_all(&copy).await.expect("written");
                assert!(socket.gathered.len() <= GATHERED);
                socket.end_greeting();
                socket.flush().await.expect("written");
                assert!(socket.gathered.is_empty());
            };
            let reading = async {
                let mut got = vec![0; sent.len()];
                client.read_exact(&mut got).await.expect("bytes");
                assert!(got == sent, "all bytes in order");
            };
            tokio::join!(writing, reading);
        });
    }

    async fn greeting() -> (TcpStream, Socket) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).await.expect("connected");
        let (stream, _) = listener.accept().await.expect("accepted");
        (client, Socket::greeting(stream))
    }

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(test);
    }
}

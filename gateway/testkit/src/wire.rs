//! Both ends of connections without a protocol, in one thread.
//!
//! A [`Port`] accepts when the test says so; a [`Wire`] is one end of a connection. Every wait has a
//! limit.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;

use crate::LIMIT;
use crate::eventually;

/// An address where connections wait to be accepted.
#[derive(Debug)]
pub struct Port(TcpListener);

/// One end of a connection.
#[derive(Debug)]
pub struct Wire(TcpStream);

impl Default for Port {
    fn default() -> Self {
        Self::new()
    }
}

impl Port {
    /// A free port of this machine.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        listener.set_nonblocking(true).expect("it does not wait");
        Self(listener)
    }

    /// Where it is.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    /// The next connection.
    ///
    /// # Panics
    ///
    /// If none comes.
    #[track_caller]
    pub fn accept(&self) -> Wire {
        eventually("a connection", || self.try_accept())
    }

    /// The next connection if it is there already.
    pub fn try_accept(&self) -> Option<Wire> {
        let (stream, _) = self.0.accept().ok()?;
        stream.set_nonblocking(false).ok()?;
        Wire::of(stream).ok()
    }
}

impl Wire {
    /// Connects.
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, LIMIT);
        Self::of(stream.expect("somebody accepts")).expect("a socket takes options")
    }

    fn of(stream: TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self(stream))
    }

    /// The socket.
    pub fn socket(&self) -> &TcpStream {
        &self.0
    }

    /// This end's address.
    ///
    /// # Panics
    ///
    /// If the connection broke.
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is connected")
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If the connection broke.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).expect("it takes bytes");
    }

    /// Says that nothing more comes.
    ///
    /// # Panics
    ///
    /// If the connection broke.
    #[track_caller]
    pub fn end(&mut self) {
        self.0.shutdown(Shutdown::Write).expect("it is connected");
    }

    /// Breaks the connection.
    ///
    /// # Panics
    ///
    /// Never.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(&self.0);
        let now = Some(std::time::Duration::ZERO);
        socket.set_linger(now).expect("a socket takes options");
    }

    /// Sends as much as is taken without waiting, at most `most` bytes, or until the connection breaks;
    /// says how much that was.
    ///
    /// # Panics
    ///
    /// Never.
    #[track_caller]
    pub fn fill(&mut self, most: usize) -> usize {
        self.0.set_nonblocking(true).expect("a socket");
        let chunk = [b'x'; 16 * 1024];
        let mut sent = 0;
        let mut idle = 0;
        // Full is who takes nothing for a good while: buffers on the way may still be draining.
        while sent < most && idle < 100 {
            let part = chunk.get(..most - sent).unwrap_or(&chunk);
            match self.0.write(part) {
                Ok(count) => {
                    sent += count;
                    idle = 0;
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    idle += 1;
                    std::thread::park_timeout(std::time::Duration::from_millis(2));
                }
                Err(_) => break,
            }
        }
        self.0.set_nonblocking(false).expect("a socket");
        sent
    }

    /// The next bytes, so many of them.
    ///
    /// # Panics
    ///
    /// If fewer come.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).expect("bytes come");
        bytes
    }

    /// The next bytes must be these.
    ///
    /// # Panics
    ///
    /// If others come.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        let came = self.take(expected.len());
        assert_eq!(
            String::from_utf8_lossy(&came),
            String::from_utf8_lossy(expected)
        );
    }

    /// Everything up to the end, or how the connection broke.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Nothing must come but the end.
    ///
    /// # Panics
    ///
    /// If anything else comes.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let rest = self.rest().expect("an end, not a reset");
        assert_eq!(String::from_utf8_lossy(&rest), "");
    }

    /// Nothing must come but a reset.
    ///
    /// # Panics
    ///
    /// If anything else comes.
    #[track_caller]
    pub fn expect_reset(&mut self) {
        let err = self.rest().expect_err("a reset, not an end");
        assert_eq!(err.kind(), io::ErrorKind::ConnectionReset);
    }
}

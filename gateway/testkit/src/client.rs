//! A client that sends what it is told, byte for byte.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use crate::LIMIT;
use crate::message::Message;
use crate::message::MessageReader;
use crate::message::Without;

/// One client connection.
#[derive(Debug)]
pub struct Client {
    reader: MessageReader<TcpStream>,
}

impl Client {
    /// Connects; every read and write is limited to [`LIMIT`].
    ///
    /// # Panics
    ///
    /// If nobody listens there.
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).expect("the gateway accepts connections")
    }

    /// Connects, or says why not.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn try_connect(address: SocketAddr) -> io::Result<Self> {
        Self::connect_within(address, LIMIT)
    }

    /// Connects within this time, or says why not.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn connect_within(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            reader: MessageReader::new(stream),
        })
    }

    /// The connection's own address.
    pub fn address(&mut self) -> SocketAddr {
        self.reader.stream().local_addr().expect("it is connected")
    }

    /// Sends bytes.
    ///
    /// # Panics
    ///
    /// If the connection broke.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the gateway takes bytes");
    }

    /// Sends bytes, or says why not.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream().write_all(bytes.as_ref())
    }

    /// Sends FIN: nothing more will come from here.
    pub fn half_close(&mut self) {
        self.reader
            .stream()
            .shutdown(Shutdown::Write)
            .expect("it is connected");
    }

    /// The next response; interim ones are responses too.
    ///
    /// # Panics
    ///
    /// If none comes.
    #[track_caller]
    pub fn response(&mut self) -> Message {
        self.try_response().expect("a response comes")
    }

    /// The next response, or why there is none.
    ///
    /// # Errors
    ///
    /// The system's; a response that ends early is `UnexpectedEof`.
    pub fn try_response(&mut self) -> io::Result<Message> {
        let mut message = self.reader.head()?;
        let bodiless = matches!(message.status(), 100..=199 | 204 | 304);
        if !bodiless {
            self.reader.body(&mut message, Without::UntilClose)?;
        }
        Ok(message)
    }

    /// Reads the body of a response whose head was read.
    ///
    /// # Panics
    ///
    /// If it does not come.
    #[track_caller]
    pub fn body(&mut self, response: &mut Message) {
        self.reader
            .body(response, Without::UntilClose)
            .expect("the body comes");
    }

    /// The next response head; its body is left.
    ///
    /// # Panics
    ///
    /// If none comes.
    #[track_caller]
    pub fn response_head(&mut self) -> Message {
        self.reader.head().expect("a response head comes")
    }

    /// The next response head, or why there is none; its body is left.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn try_response_head(&mut self) -> io::Result<Message> {
        self.reader.head()
    }

    /// One read of what comes next.
    ///
    /// # Panics
    ///
    /// If the connection broke.
    #[track_caller]
    pub fn read_some(&mut self) -> Vec<u8> {
        if !self.reader.buffered().is_empty() {
            return self.rest_of_buffer();
        }
        let mut bytes = vec![0; 64 * 1024];
        let count = self.reader.stream().read(&mut bytes).expect("bytes come");
        bytes.truncate(count);
        bytes
    }

    /// What comes within this time, if anything does.
    pub fn try_read(&mut self, within: Duration) -> Option<Vec<u8>> {
        let stream = self.reader.stream();
        stream.set_read_timeout(Some(within)).ok();
        let mut bytes = vec![0; 4096];
        let read = stream.read(&mut bytes);
        stream.set_read_timeout(Some(LIMIT)).ok();
        bytes.truncate(read.ok()?);
        Some(bytes)
    }

    /// The bare connection.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.stream()
    }

    fn rest_of_buffer(&mut self) -> Vec<u8> {
        let bytes = self.reader.buffered().to_vec();
        let stream = self
            .reader
            .stream()
            .try_clone()
            .expect("a socket can be cloned");
        self.reader = MessageReader::new(stream);
        bytes
    }

    /// Everything until the gateway closes.
    ///
    /// # Errors
    ///
    /// The system's: a reset is one.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.rest_of_buffer();
        self.reader.stream().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Sends a GET and returns the response.
    #[track_caller]
    pub fn get(&mut self, path: &str) -> Message {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: gateway.test\r\n\r\n"));
        self.response()
    }

    /// Sends a POST with a length and returns the response.
    #[track_caller]
    pub fn post(&mut self, path: &str, body: &[u8]) -> Message {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: {length}\r\n\r\n"
        ));
        self.send(body);
        self.response()
    }
}

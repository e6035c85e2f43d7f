//! Origins that do what their script says, right or wrong.
//!
//! An origin is a thread per connection. It records every request byte for byte: what reaches an
//! origin is what tests of framing are about.

use std::io;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::LIMIT;
use crate::message::Message;
use crate::message::MessageReader;
use crate::message::Without;

/// A scripted origin; ends when dropped.
#[derive(Debug)]
pub struct Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    ended: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    ended: usize,
    requests: Vec<Message>,
    open: Vec<TcpStream>,
}

/// One connection of an origin, as its script sees it.
#[derive(Debug)]
pub struct OriginConnection {
    reader: MessageReader<TcpStream>,
    seen: Arc<Mutex<Seen>>,
    /// The number of this connection, from 0.
    pub number: usize,
}

impl Origin {
    /// An origin that answers every request with this status and body.
    pub fn answers(status: u16, body: &'static str) -> Self {
        let length = body.len();
        Self::replies(format!(
            "HTTP/1.1 {status} Said\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    /// An origin that answers every request with these bytes.
    pub fn replies(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::script(move |connection| {
            while connection.request().is_ok() {
                connection.send(bytes.as_ref())?;
            }
            Ok(())
        })
    }

    /// An origin at an address of its own, which answers every request with this body.
    ///
    /// # Panics
    ///
    /// If the address is taken.
    #[track_caller]
    pub fn answers_at(address: SocketAddr, body: &'static str) -> Self {
        let length = body.len();
        let answer = format!("HTTP/1.1 200 Said\r\ncontent-length: {length}\r\n\r\n{body}");
        Self::script_at(address, move |connection| {
            while connection.request().is_ok() {
                connection.send(&answer)?;
            }
            Ok(())
        })
    }

    /// An origin that answers one request with these bytes and closes.
    pub fn replies_then_closes(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self::script(move |connection| {
            connection.request()?;
            connection.send(bytes.as_ref())
        })
    }

    /// An origin that sends request bodies back.
    pub fn echoes() -> Self {
        Self::script(|connection| {
            while let Ok(request) = connection.request() {
                let length = request.body.len();
                connection.send(format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
                ))?;
                connection.send(&request.body)?;
            }
            Ok(())
        })
    }

    /// An origin that does with each connection what the script says; the connection closes when
    /// it returns.
    pub fn script<S>(script: S) -> Self
    where
        S: Fn(&mut OriginConnection) -> io::Result<()> + Send + Sync + 'static,
    {
        Self::script_at(SocketAddr::from(([127, 0, 0, 1], 0)), script)
    }

    /// As [`Origin::script`], at an address of its own.
    ///
    /// # Panics
    ///
    /// If the address is taken.
    #[track_caller]
    pub fn script_at<S>(address: SocketAddr, script: S) -> Self
    where
        S: Fn(&mut OriginConnection) -> io::Result<()> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind(address).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let ended: Arc<AtomicBool> = Arc::default();
        let script = Arc::new(script);
        let (seen_by_all, ended_for_all) = (Arc::clone(&seen), Arc::clone(&ended));
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended_for_all.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let script = Arc::clone(&script);
                let connection = open(stream, &seen_by_all);
                std::thread::spawn(move || {
                    let mut connection = connection;
                    // A script that fails has lost its peer; the test looks at the other end.
                    script(&mut connection).ok();
                    connection.close();
                    lock(&connection.seen).ended += 1;
                });
            }
        });
        Self {
            address,
            seen,
            ended,
            acceptor: Some(acceptor),
        }
    }

    /// An address where nobody listens, as long as the process lasts: its port is taken.
    pub fn nowhere() -> SocketAddr {
        static TAKEN: Mutex<Vec<Socket>> = Mutex::new(Vec::new());
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        socket.bind(&any.into()).expect("a free port");
        let address = socket.local_addr().ok().and_then(|it| it.as_socket());
        TAKEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(socket);
        address.expect("it is bound")
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        lock(&self.seen).connections
    }

    /// Whether the scripts of all its connections have ended.
    pub fn is_idle(&self) -> bool {
        let seen = lock(&self.seen);
        seen.connections == seen.ended
    }

    /// The requests it has read, in the order their last byte came.
    pub fn requests(&self) -> Vec<Message> {
        lock(&self.seen).requests.clone()
    }

    /// The one request it has read.
    ///
    /// # Panics
    ///
    /// If there were none or several.
    #[track_caller]
    pub fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "{requests:#?}");
        requests.remove(0)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
        for stream in lock(&self.seen).open.drain(..) {
            stream.shutdown(Shutdown::Both).ok();
        }
        // The acceptor looks at the flag when a connection comes.
        TcpStream::connect(self.address).ok();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.join().ok();
        }
    }
}

fn open(stream: TcpStream, seen: &Arc<Mutex<Seen>>) -> OriginConnection {
    stream.set_read_timeout(Some(LIMIT)).ok();
    stream.set_write_timeout(Some(LIMIT)).ok();
    stream.set_nodelay(true).ok();
    let mut state = lock(seen);
    let number = state.connections;
    state.connections += 1;
    if let Ok(handle) = stream.try_clone() {
        state.open.push(handle);
    }
    OriginConnection {
        reader: MessageReader::new(stream),
        seen: Arc::clone(seen),
        number,
    }
}

impl OriginConnection {
    /// The next request with its body; it is recorded.
    ///
    /// # Errors
    ///
    /// The system's; `UnexpectedEof` if the gateway closed.
    pub fn request(&mut self) -> io::Result<Message> {
        let request = self.reader.message(Without::Nothing)?;
        lock(&self.seen).requests.push(request.clone());
        Ok(request)
    }

    /// The head of the next request; its body is left, nothing is recorded.
    ///
    /// # Errors
    ///
    /// As [`OriginConnection::request`].
    pub fn request_head(&mut self) -> io::Result<Message> {
        self.reader.head()
    }

    /// Reads the body of a request whose head was read, and records it.
    ///
    /// # Errors
    ///
    /// As [`OriginConnection::request`].
    pub fn request_body(&mut self, request: &mut Message) -> io::Result<()> {
        self.reader.body(request, Without::Nothing)?;
        lock(&self.seen).requests.push(request.clone());
        Ok(())
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.reader.stream().write_all(bytes.as_ref())
    }

    /// So many bytes that follow the last message.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn exactly(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut raw = Vec::new();
        self.reader.exactly(count, &mut raw)?;
        Ok(raw)
    }

    /// Waits until the gateway closes its side.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn wait_for_close(&mut self) -> io::Result<()> {
        io::copy(self.reader.stream(), &mut io::sink()).map(|_| ())
    }

    /// The bare connection.
    pub fn stream(&mut self) -> &mut TcpStream {
        self.reader.stream()
    }

    fn close(&mut self) {
        self.reader.stream().shutdown(Shutdown::Both).ok();
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

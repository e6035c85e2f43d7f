//! TLS on both sides of a gateway: a client, and what stands in front of an origin.

use std::io;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread::JoinHandle;

use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::HandshakeKind;
use rustls::ProtocolVersion;
use rustls::RootCertStore;
use rustls::ServerConfig;
use rustls::StreamOwned;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::LIMIT;
use crate::Message;
use crate::Pair;
use crate::message::MessageReader;
use crate::message::Without;

/// What a client of TLS believes, shows and offers; its sessions can be resumed.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
}

/// A client's connection.
#[derive(Debug)]
pub struct TlsConnection {
    reader: MessageReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsClient {
    /// One that believes this authority, and shows this certificate if it is asked.
    ///
    /// # Panics
    ///
    /// If they cannot be used.
    pub fn new(authority: &str, shown: Option<&Pair>) -> Self {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots(authority));
        let config = match shown {
            Some(pair) => {
                let (chain, key) = parts(pair);
                builder.with_client_auth_cert(chain, key).expect("a pair")
            }
            None => builder.with_no_client_auth(),
        };
        Self {
            config: Arc::new(config),
        }
    }

    /// What it is configured with.
    pub(crate) fn config(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.config)
    }

    /// The same, offering these protocols (RFC 7301).
    #[must_use]
    pub fn offering(self, protocols: &[&str]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        let protocols = protocols.iter();
        config.alpn_protocols = protocols.map(|name| name.as_bytes().to_vec()).collect();
        Self {
            config: Arc::new(config),
        }
    }

    /// One that speaks nothing above TLS 1.2.
    ///
    /// # Panics
    ///
    /// If the authority cannot be used.
    pub fn only_12(authority: &str) -> Self {
        let config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .expect("versions")
            .with_root_certificates(roots(authority))
            .with_no_client_auth();
        Self {
            config: Arc::new(config),
        }
    }

    /// The same, naming no server (SNI).
    #[must_use]
    pub fn without_name(self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.enable_sni = false;
        Self {
            config: Arc::new(config),
        }
    }

    /// Connects and goes through the handshake.
    ///
    /// # Errors
    ///
    /// The system's, or why the handshake failed.
    pub fn connect(&self, address: SocketAddr, name: &str) -> io::Result<TlsConnection> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let session = ClientConnection::new(Arc::clone(&self.config), name);
        let mut session = session.map_err(io::Error::other)?;
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        let stream = StreamOwned::new(session, stream);
        Ok(TlsConnection {
            reader: MessageReader::new(stream),
        })
    }

    /// What it says first to a server of this name.
    ///
    /// # Panics
    ///
    /// If that is no name.
    pub fn greeting(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        let session = ClientConnection::new(Arc::clone(&self.config), name);
        let mut bytes = Vec::new();
        let written = session.expect("a session").write_tls(&mut bytes);
        written.expect("memory takes bytes");
        bytes
    }

    /// Connects and sends a GET to this host.
    ///
    /// # Errors
    ///
    /// The system's, or why the handshake failed.
    pub fn get(&self, address: SocketAddr, host: &str, path: &str) -> io::Result<Message> {
        self.connect(address, host)?.get(host, path)
    }
}

impl TlsConnection {
    /// The bare session, to speak something else on it.
    pub fn into_stream(self) -> StreamOwned<ClientConnection, TcpStream> {
        self.reader.into_stream()
    }

    /// Sends a GET to this host and reads the answer.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn get(&mut self, host: &str, path: &str) -> io::Result<Message> {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))?;
        self.response()
    }

    /// Sends bytes.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let stream = self.reader.stream();
        stream.write_all(bytes.as_ref())?;
        stream.flush()
    }

    /// The next response with its body.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn response(&mut self) -> io::Result<Message> {
        self.reader.message(Without::UntilClose)
    }

    /// Reads until the gateway says that nothing more comes.
    ///
    /// # Errors
    ///
    /// The system's; `UnexpectedEof` if the connection ended without a word.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = self.reader.buffered().to_vec();
        self.reader.stream().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Says that nothing more comes, in the words of TLS.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn close_notify(&mut self) -> io::Result<()> {
        let stream = self.reader.stream();
        stream.conn.send_close_notify();
        stream.flush()
    }

    /// The connection below.
    pub fn tcp(&mut self) -> &TcpStream {
        &self.reader.stream().sock
    }

    /// The version that was agreed on.
    pub fn version(&mut self) -> Option<ProtocolVersion> {
        self.reader.stream().conn.protocol_version()
    }

    /// The protocol inside that was agreed on.
    pub fn protocol(&mut self) -> Option<String> {
        let protocol = self.reader.stream().conn.alpn_protocol();
        protocol.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// Whether an earlier session was resumed.
    pub fn is_resumed(&mut self) -> bool {
        self.reader.stream().conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// The certificate that the gateway has shown, as DER.
    pub fn shown(&mut self) -> Vec<u8> {
        let chain = self.reader.stream().conn.peer_certificates();
        let leaf = chain.and_then(<[_]>::first);
        leaf.map(|leaf| leaf.to_vec()).unwrap_or_default()
    }
}

/// What a client of a [`TlsFront`] has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The name that it asked for.
    pub server_name: Option<String>,
    /// The protocol inside.
    pub protocol: Option<String>,
    /// Whether it has shown a certificate.
    pub certificate: bool,
    /// Whether it resumed a session.
    pub resumed: bool,
}

/// How a [`TlsFront`] ends when its origin does.
#[derive(Debug, Clone, Copy)]
enum End {
    /// With TLS' word for it.
    Told,
    /// Without.
    Cut,
}

/// TLS in front of a plain origin; ends when dropped.
#[derive(Debug)]
pub struct TlsFront {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TlsFront {
    /// Shows this certificate, speaks one of these protocols, and asks for a certificate of that
    /// authority if there is one.
    ///
    /// # Panics
    ///
    /// If they cannot be used.
    pub fn new(origin: SocketAddr, pair: &Pair, protocols: &[&str], clients: Option<&str>) -> Self {
        Self::start(origin, pair, protocols, clients, End::Told)
    }

    /// One that ends without TLS' word for it when the origin does.
    ///
    /// # Panics
    ///
    /// If the pair cannot be used.
    pub fn that_cuts(origin: SocketAddr, pair: &Pair) -> Self {
        Self::start(origin, pair, &["http/1.1"], None, End::Cut)
    }

    fn start(
        origin: SocketAddr,
        pair: &Pair,
        protocols: &[&str],
        clients: Option<&str>,
        ending: End,
    ) -> Self {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("versions");
        let builder = match clients {
            Some(authority) => {
                let roots = Arc::new(roots(authority));
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
                builder.with_client_cert_verifier(verifier.build().expect("authorities"))
            }
            None => builder.with_no_client_auth(),
        };
        let (chain, key) = parts(pair);
        let mut config = builder.with_single_cert(chain, key).expect("a pair");
        let protocols = protocols.iter();
        config.alpn_protocols = protocols.map(|name| name.as_bytes().to_vec()).collect();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        listener.set_nonblocking(true).expect("a socket");
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let noted = Arc::clone(&seen);
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime starts");
            runtime.block_on(async {
                let acceptor = TlsAcceptor::from(Arc::new(config));
                tokio::select! {
                    () = serve(listener, acceptor, origin, noted, ending) => {}
                    _ = ended => {}
                }
            });
        });
        Self {
            address,
            seen,
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The connections whose handshakes have ended well.
    pub fn seen(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.clone()
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

async fn serve(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    origin: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    ending: End,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, seen) = (acceptor.clone(), Arc::clone(&seen));
        connections.spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            let session = stream.get_ref().1;
            let protocol = session.alpn_protocol();
            let one = Seen {
                server_name: session.server_name().map(str::to_owned),
                protocol: protocol.map(|name| String::from_utf8_lossy(name).into_owned()),
                certificate: session.peer_certificates().is_some(),
                resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            };
            seen.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(one);
            let Ok(mut origin) = tokio::net::TcpStream::connect(origin).await else {
                return;
            };
            match ending {
                End::Told => {
                    let copied = tokio::io::copy_bidirectional(&mut stream, &mut origin);
                    copied.await.ok();
                }
                End::Cut => {
                    let (mut from_client, mut to_client) = tokio::io::split(stream);
                    let (mut from_origin, mut to_origin) = origin.split();
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_client, &mut to_origin) => {}
                        _ = tokio::io::copy(&mut from_origin, &mut to_client) => {}
                    }
                }
            }
        });
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn roots(pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for der in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(der.expect("PEM")).expect("an authority");
    }
    roots
}

fn parts(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::pem_slice_iter(pair.chain.as_bytes());
    let chain = chain.collect::<Result<_, _>>().expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes());
    (chain, key.expect("PEM"))
}

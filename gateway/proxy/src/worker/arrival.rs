//! A connection from its arrival to what is spoken on it.
//!
//! Owns the choice: what was configured for the address when the connection came, and with TLS what
//! came of the handshake. A PROXY protocol header comes before all else.

mod proxied;

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use tidegate_core::snapshot::Protocol;
use tidegate_core::tcp::TcpRule;
use tokio::net::TcpStream;

use crate::deadline::Deadline;
use crate::downstream::Http1;
use crate::downstream::Link;
use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::tcp;
use crate::tcp::TcpClient;
use crate::tls::Secured;
use crate::transport::Transport;
use crate::worker::Door;
use crate::worker::Scene;
use crate::worker::Worker;
use crate::worker::handshake::Greeted;
use crate::worker::handshake::Greeting;

/// A connection on which nothing was read yet.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) worker: Rc<Worker>,
    pub(super) door: Rc<Door>,
    /// The client; what a PROXY protocol header says, if there is one.
    pub(super) peer: SocketAddr,
    /// The address that the client connected to.
    pub(super) local: SocketAddr,
    pub(super) id: u64,
    /// Shared with the worker: a drain hurries connections that wait for a request.
    pub(super) idle: Rc<Cell<bool>>,
    /// Limits reads; the worker can hurry it.
    pub(super) deadline: Deadline,
}

impl Arrival {
    /// Serves the connection until it ends.
    pub(super) async fn serve(mut self) {
        let Some(scene) = self.door.scene(&self.worker) else {
            return;
        };
        if scene.bind().proxy_protocol && !Box::pin(self.learn_ends(scene.bind())).await {
            return;
        }
        match &scene.bind().protocol {
            Protocol::Http => {
                drop(scene);
                let (rest, stream) = self.apart();
                rest.into_http(Transport::Tcp(stream), None).serve().await;
            }
            Protocol::Tls(_) => {
                // Large, and gone before the first request.
                let (rest, stream) = self.apart();
                let greeting = Greeting {
                    worker: &rest.worker,
                    scene: &scene,
                    deadline: &rest.deadline,
                };
                match Box::pin(greeting.run(stream)).await {
                    None => {}
                    Some(Greeted::Http { transport, secured }) => {
                        drop(scene);
                        rest.into_http(transport, Some(secured)).serve().await;
                    }
                    Some(Greeted::Bytes {
                        transport,
                        begun,
                        server_name,
                        secured,
                        rule,
                    }) => {
                        let client = TcpClient {
                            begun,
                            server_name,
                            secured,
                            ..rest.as_tcp(transport)
                        };
                        pass_on(rest.worker, scene, rule, client).await;
                    }
                }
            }
            Protocol::Tcp(rule) => {
                let rule = Arc::clone(rule);
                let (rest, stream) = self.apart();
                let client = rest.as_tcp(Transport::Tcp(stream));
                pass_on(rest.worker, scene, rule, client).await;
            }
        }
    }

    fn apart(self) -> (Rest, TcpStream) {
        let rest = Rest {
            worker: self.worker,
            door: self.door,
            peer: self.peer,
            local: self.local,
            id: self.id,
            idle: self.idle,
            deadline: self.deadline,
        };
        (rest, self.stream)
    }
}

/// Passes a client's bytes on. The state of that is large beside what waits for a request.
async fn pass_on(worker: Rc<Worker>, scene: Scene, rule: Arc<TcpRule>, client: TcpClient) {
    Box::pin(tcp::serve(&worker, scene, rule, client)).await;
}

/// All of an arrival that is not its socket.
struct Rest {
    worker: Rc<Worker>,
    door: Rc<Door>,
    peer: SocketAddr,
    local: SocketAddr,
    id: u64,
    idle: Rc<Cell<bool>>,
    deadline: Deadline,
}

impl Rest {
    fn as_tcp(&self, transport: Transport) -> TcpClient {
        TcpClient {
            transport,
            begun: Bytes::new(),
            peer: self.peer,
            local: self.local,
            id: self.id,
            server_name: None,
            secured: None,
        }
    }

    fn into_http(self, transport: Transport, secured: Option<Rc<Secured>>) -> Http1 {
        let (read, write) = transport.into_split();
        Http1 {
            reader: Reader::new(read, self.deadline),
            writer: Writer::new(write, self.worker.wheel.deadline()),
            link: Link {
                worker: self.worker,
                door: self.door,
                peer: self.peer,
                peer_text: HeaderValue::try_from(self.peer.ip().to_string())
                    .unwrap_or_else(|_| HeaderValue::from_static("unknown")),
                local: self.local,
                id: self.id,
                secured,
            },
            head_started: None,
            idle: self.idle,
        }
    }
}

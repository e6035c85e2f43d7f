//! HTTP/2 connections to origins: with prior knowledge, or over TLS (RFC 9113 §3.2, §3.3).
//!
//! Owns how many there are to an endpoint and which one a stream goes to: the least busy one, or
//! another one while there is none with room. A connection that was told to go away gets no new
//! streams; those it has run to their end. One connection attempt to an endpoint at a time serves
//! everybody who waits for it. What travels on a stream is its user's.

mod connection;
pub(crate) mod heads;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::Request;
use tidegate_core::failure::Failure;
use tokio::sync::Notify;

use crate::tls::ConnectorId;
use crate::transport::Transport;
use crate::upstream::Attempts;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Lease;
use crate::worker::Worker;
use connection::Connection;
pub(crate) use connection::Place;
use heads::Heads;

/// Connections to one endpoint and worker. More only help where an origin allows few streams on
/// each.
const MAX_CONNECTIONS: usize = 8;
/// New connections that one stream waits for: others may take the places on them first.
const MAX_ATTEMPTS: usize = 2 * MAX_CONNECTIONS;

/// An endpoint, and what TLS to it is done with.
type Key = (SocketAddr, ConnectorId);

/// All HTTP/2 connections of one worker, by endpoint.
#[derive(Debug, Default)]
pub(crate) struct H2Pool {
    endpoints: RefCell<HashMap<Key, Endpoint, RandomState>>,
}

/// What there is to one endpoint.
#[derive(Debug, Default)]
struct Endpoint {
    connections: Vec<Rc<Connection>>,
    attempt: Option<Rc<Attempt>>,
}

/// A connection attempt that several may wait for.
#[derive(Debug, Default)]
struct Attempt {
    ended: Notify,
    outcome: Cell<Option<Result<(), Failure>>>,
}

/// A place for a stream on a connection to an endpoint, for a request that is not sent yet.
#[derive(Debug)]
pub(crate) struct Reserved {
    connection: Rc<Connection>,
    sender: SendRequest<Bytes>,
}

/// What there is of a stream before its request is sent.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) reserved: Reserved,
    pub(crate) place: Place,
    /// Our end of the connection.
    pub(crate) local: Option<SocketAddr>,
    /// It has served other streams before.
    pub(crate) reused: bool,
}

impl Reserved {
    /// Whether the origin has announced that a stream may become a tunnel (RFC 8441 §3).
    pub(crate) fn opens_tunnels(&self) -> bool {
        self.sender.is_extended_connect_protocol_enabled()
    }

    /// Waits until the origin has said what it can do. Cancel-safe.
    pub(crate) async fn greeting(&self) {
        if !self.opens_tunnels() {
            self.connection.greeting().await;
        }
    }

    /// Heads of the connection that nobody has looked at.
    pub(crate) fn heads(&self) -> Rc<Heads> {
        Rc::clone(self.connection.heads())
    }

    /// Sends the head of the request; nothing follows if it `ends` it. An error means that nothing
    /// was sent.
    pub(crate) fn send(
        &self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.connection.send(self.sender.clone(), request, ends)
    }
}

/// A request that has been sent, and the way to its answer. Dropping it resets the stream, unless
/// both sides have ended.
#[derive(Debug)]
pub(crate) struct H2Stream {
    pub(crate) response: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
    pub(crate) place: H2Place,
}

/// Counts a stream for its connection and its endpoint until it is dropped.
#[derive(Debug)]
pub(crate) struct H2Place {
    _connection: Place,
    _lease: Lease,
}

impl H2Pool {
    /// Sends the head of a request on a connection to an endpoint of the backend, and more of it
    /// later. Endpoints are tried as [`crate::upstream::connect_from`] does.
    ///
    /// # Errors
    ///
    /// [`Failure::NoEndpoint`], or how the last attempt failed. Nothing was sent then.
    pub(crate) async fn open(
        &self,
        worker: &Rc<Worker>,
        backend: &Rc<BackendState>,
        request: &Request<()>,
    ) -> Result<H2Stream, Failure> {
        let mut attempts = Attempts::default();
        while let Some((place, endpoint)) = attempts.next(worker, backend) {
            match self.open_at(worker, backend, endpoint, request).await {
                Ok((response, body, connection)) => {
                    return Ok(H2Stream {
                        response,
                        body,
                        place: H2Place {
                            _connection: connection,
                            _lease: backend.lease(place),
                        },
                    });
                }
                Err(failure) => attempts.failed((place, endpoint), failure),
            }
        }
        Err(attempts.error().failure)
    }

    /// A place on a connection to an endpoint that is there already and has room.
    pub(crate) fn kept(&self, backend: &BackendState, endpoint: SocketAddr) -> Option<Reservation> {
        let key = (endpoint, backend.connector_id());
        self.place(key)
    }

    /// Makes a connection that was opened to an endpoint one of them, and takes a place on it.
    ///
    /// # Errors
    ///
    /// [`Failure::UpstreamProtocol`] if it does not begin. The caller limits the time.
    pub(crate) async fn adopt(
        &self,
        worker: &Worker,
        backend: &BackendState,
        endpoint: SocketAddr,
        transport: Transport,
    ) -> Result<Reservation, Failure> {
        let connection = Connection::begin(worker, backend, endpoint, transport).await?;
        let key = (endpoint, backend.connector_id());
        let mut endpoints = self.endpoints.borrow_mut();
        let known = endpoints.entry(key).or_default();
        // One more than there may be serves this stream alone.
        if known.connections.len() < MAX_CONNECTIONS {
            known.connections.push(Rc::clone(&connection));
        }
        Reservation::on(connection).ok_or(Failure::UpstreamProtocol)
    }

    /// A place on a connection to an endpoint, which is made if need be.
    ///
    /// # Errors
    ///
    /// How the connection failed.
    pub(crate) async fn reserve(
        &self,
        worker: &Rc<Worker>,
        backend: &Rc<BackendState>,
        endpoint: SocketAddr,
    ) -> Result<Reservation, Failure> {
        let key = (endpoint, backend.connector_id());
        // A peer that takes connections and closes them at once must not be asked for ever.
        for _ in 0..MAX_ATTEMPTS {
            if let Some(reservation) = self.place(key) {
                return Ok(reservation);
            }
            let attempt = self.attempt(worker, backend, key);
            let ended = attempt.ended.notified();
            if attempt.outcome.get().is_none() {
                ended.await;
            }
            let outcome = attempt.outcome.get();
            outcome.unwrap_or(Err(Failure::ConnectFailed))?;
        }
        Err(Failure::UpstreamReset)
    }

    async fn open_at(
        &self,
        worker: &Rc<Worker>,
        backend: &Rc<BackendState>,
        endpoint: SocketAddr,
        request: &Request<()>,
    ) -> Result<(ResponseFuture, SendStream<Bytes>, Place), Failure> {
        // A peer that takes connections and closes them at once must not be asked for ever.
        for _ in 0..MAX_ATTEMPTS {
            let Reservation {
                reserved, place, ..
            } = self.reserve(worker, backend, endpoint).await?;
            match reserved.send(request.clone(), false) {
                Ok((response, body)) => return Ok((response, body, place)),
                // It was told to go away, or is broken: it is not asked again.
                Err(err) => tracing::debug!(%endpoint, %err, "a connection takes no stream"),
            }
        }
        Err(Failure::UpstreamReset)
    }

    /// A place on the least busy connection to an endpoint; `None` if another one should be made.
    fn place(&self, key: Key) -> Option<Reservation> {
        loop {
            // One that was told to go away is not asked again.
            if let Some(reservation) = Reservation::on(self.with_room(key)?) {
                return Some(reservation);
            }
        }
    }

    /// The least busy connection to an endpoint; `None` if another one should be made.
    fn with_room(&self, key: Key) -> Option<Rc<Connection>> {
        let mut endpoints = self.endpoints.borrow_mut();
        let known = endpoints.get_mut(&key)?;
        known.connections.retain(|connection| connection.is_open());
        let all = known.connections.iter();
        let idlest = all.min_by_key(|connection| connection.streams())?;
        let may_grow = known.connections.len() < MAX_CONNECTIONS;
        (idlest.has_room() || !may_grow).then(|| Rc::clone(idlest))
    }

    /// The attempt that is under way, or a new one. It has a task of its own: who waits for it may
    /// give up without harm to the others.
    fn attempt(&self, worker: &Rc<Worker>, backend: &Rc<BackendState>, key: Key) -> Rc<Attempt> {
        let mut endpoints = self.endpoints.borrow_mut();
        let known = endpoints.entry(key).or_default();
        if let Some(attempt) = &known.attempt {
            return Rc::clone(attempt);
        }
        let attempt = Rc::<Attempt>::default();
        known.attempt = Some(Rc::clone(&attempt));
        let (worker, backend) = (Rc::clone(worker), Rc::clone(backend));
        let result = Rc::clone(&attempt);
        // The worker's runtime owns the task; it ends by the limit for connecting.
        tokio::task::spawn_local(async move {
            let connected = Connection::open(&worker, &backend, key.0).await;
            let mut endpoints = worker.h2.endpoints.borrow_mut();
            let known = endpoints.entry(key).or_default();
            known.attempt = None;
            result.outcome.set(Some(match connected {
                Ok(connection) => {
                    known.connections.push(connection);
                    Ok(())
                }
                Err(failure) => Err(failure),
            }));
            result.ended.notify_waiters();
        });
        attempt
    }

    /// Forgets connections that ended, and closes those that had no stream for so long.
    pub(crate) fn sweep(&self, max_idle: Duration) {
        let now = Instant::now();
        self.endpoints.borrow_mut().retain(|_, known| {
            known
                .connections
                .retain(|connection| connection.is_open() && !connection.is_idle(now, max_idle));
            !known.connections.is_empty() || known.attempt.is_some()
        });
    }

    /// Closes all of them; their streams run to their end.
    pub(crate) fn clear(&self) {
        self.endpoints.borrow_mut().clear();
    }
}

impl Reservation {
    fn on(connection: Rc<Connection>) -> Option<Self> {
        let sender = connection.sender()?;
        Some(Self {
            place: connection.place(),
            local: connection.local(),
            reused: connection.was_used(),
            reserved: Reserved { connection, sender },
        })
    }
}

//! Connections to origins.
//!
//! Owns the way to a usable connection: a kept one if there is one that is still quiet, else a new
//! one to the first endpoint that accepts. Which endpoint is tried is `core::balance`'s, whether a
//! request may be sent a second time `core::retry`'s to decide.

mod attempts;
pub(crate) mod balance;
mod dial;
pub(crate) mod h2;
pub(crate) mod pool;
pub(crate) mod redis;
pub(crate) mod versions;

use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_core::backend::BackendProtocol;
use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Ends;

use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::http2::reader::StreamReader;
use crate::http2::stream::Stream;
use crate::http2::writer::StreamWriter;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::tls::ConnectorId;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Lease;
use crate::upstream::balance::Picked;
use crate::upstream::h2::Place;
use crate::upstream::h2::Reservation;
use crate::upstream::pool::Pool;
use crate::worker::Worker;
pub(crate) use attempts::Attempts;
pub(crate) use attempts::ConnectError;
pub(crate) use dial::dial;

/// A way to an origin, for one exchange.
#[derive(Debug)]
pub(crate) enum Upstream {
    /// A connection.
    Http1(Box<UpstreamConnection>),
    /// A stream.
    Http2(Box<UpstreamStream>),
}

/// A stream on a connection to an origin.
#[derive(Debug)]
pub(crate) struct UpstreamStream {
    reader: StreamReader,
    writer: StreamWriter,
    stream: Rc<Stream>,
    endpoint: SocketAddr,
    local: Option<SocketAddr>,
    reused: bool,
    /// Counts it for its connection.
    _place: Place,
    /// Counts the exchange that uses it.
    _lease: Lease,
}

/// An open connection to an origin, used by one exchange at a time.
#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) endpoint: SocketAddr,
    /// What its TLS was done with.
    pub(crate) connector: ConnectorId,
    /// Our end of it.
    pub(crate) local: Option<SocketAddr>,
    /// It has served another exchange before.
    pub(crate) reused: bool,
    /// Its origin was told who the client is: nobody else may use it.
    of_client: bool,
    /// Counts the exchange that uses it.
    lease: Option<Lease>,
}

/// Which connections will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A kept one is fine.
    Any,
    /// Only a new one: the kept ones have just disappointed.
    New,
    /// Only one that speaks HTTP/1.1: its protocol is about to change.
    Http1,
    /// The same, and a new one.
    NewHttp1,
    /// One that speaks HTTP/1.1, or a stream that can become a tunnel (RFC 8441).
    Tunnel,
    /// The same, and a new one.
    NewTunnel,
}

impl Freshness {
    /// What will do after a kept connection has disappointed.
    pub(crate) fn renewed(self) -> Self {
        match self {
            Self::Any | Self::New => Self::New,
            Self::Http1 | Self::NewHttp1 => Self::NewHttp1,
            Self::Tunnel | Self::NewTunnel => Self::NewTunnel,
        }
    }

    /// Whether a kept connection will do.
    pub(crate) fn may_be_kept(self) -> bool {
        matches!(self, Self::Any | Self::Http1 | Self::Tunnel)
    }

    fn is_for_tunnel(self) -> bool {
        matches!(self, Self::Tunnel | Self::NewTunnel)
    }
}

/// A connection of the gateway's own to an endpoint of the backend: [`kept`], or else
/// [`connect_from`].
///
/// # Errors
///
/// See [`connect_from`].
pub(crate) async fn connect(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    freshness: Freshness,
) -> Result<Upstream, ConnectError> {
    let first = backend.pick(worker.ids.draw(), &[]);
    if let Some(kept) = kept(worker, backend, first, freshness) {
        return Ok(kept);
    }
    connect_from(worker, backend, first, freshness, None).await
}

/// A kept connection to the endpoint that was picked, if there is one: nothing has to be waited for.
pub(crate) fn kept(
    worker: &Worker,
    backend: &Rc<BackendState>,
    picked: Option<Picked>,
    freshness: Freshness,
) -> Option<Upstream> {
    if !freshness.may_be_kept() {
        return None;
    }
    let (place, endpoint) = picked?;
    if backend.backend.proxy_protocol.is_some() {
        return None; // It would be another client's.
    }
    // With TLS it is the endpoint that chooses.
    let http2_alone = backend.backend.protocol == BackendProtocol::Http2;
    if http2_alone || (backend.backend.tls.is_some() && freshness != Freshness::Http1) {
        let reservation = worker.h2.kept(backend, endpoint);
        let tunnels = freshness == Freshness::Tunnel;
        let reservation = reservation.filter(|it| !tunnels || it.reserved.opens_tunnels());
        if let Some(reservation) = reservation {
            let lease = backend.lease(place);
            return Some(on_stream(worker, reservation, endpoint, lease));
        }
        if http2_alone {
            return None;
        }
    }
    let mut connection = worker.pool.take(endpoint, backend.connector_id())?;
    connection.lease = Some(backend.lease(place));
    Some(Upstream::Http1(connection))
}

fn on_stream(
    worker: &Worker,
    reservation: Reservation,
    endpoint: SocketAddr,
    lease: Lease,
) -> Upstream {
    let Reservation {
        reserved,
        place,
        local,
        reused,
    } = reservation;
    let (stream, wheel) = (Stream::request(reserved), &worker.wheel);
    let shared = Rc::clone(&stream);
    Upstream::Http2(Box::new(UpstreamStream {
        reader: StreamReader::of_answer(shared, wheel.clone(), worker.sizes()),
        writer: StreamWriter::new(Rc::clone(&stream), wheel.clone()),
        stream,
        endpoint,
        local,
        reused,
        _place: place,
        _lease: lease,
    }))
}

/// A new connection to the endpoint that was picked, or a connection to another one.
///
/// Endpoints are tried as the load balancer picks them, each once, until one accepts: before a
/// request was sent, trying the next is always safe. `client` is whom it is for, for backends that
/// are told; `None` is the gateway itself.
///
/// # Errors
///
/// [`ConnectError`]: there is no endpoint, or how the last attempt failed, and where.
pub(crate) async fn connect_from(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    mut picked: Option<Picked>,
    freshness: Freshness,
    client: Option<&Ends>,
) -> Result<Upstream, ConnectError> {
    let mut attempts = Attempts::default();
    while let Some((place, endpoint)) = picked {
        let opened = match backend.backend.protocol {
            BackendProtocol::Http1 => {
                dial::open(worker, backend, (place, endpoint), freshness, client).await
            }
            BackendProtocol::Http2 if freshness.is_for_tunnel() => {
                dial::open_tunnel(worker, backend, (place, endpoint)).await
            }
            BackendProtocol::Http2 => {
                let reserved = worker.h2.reserve(worker, backend, endpoint).await;
                reserved.map(|it| on_stream(worker, it, endpoint, backend.lease(place)))
            }
        };
        match opened {
            Ok(upstream) => return Ok(upstream),
            Err(failure) => {
                attempts.failed((place, endpoint), failure);
                if failure == Failure::UpgradeFailed {
                    break; // Others of a backend are no different in what they speak.
                }
            }
        }
        picked = attempts.next(worker, backend);
        if let Some(kept) = kept(worker, backend, picked, freshness) {
            return Ok(kept);
        }
    }
    Err(attempts.error())
}

impl Upstream {
    /// Its two ends: where the answer comes from, and where the request goes.
    pub(crate) fn ends(&mut self) -> (Inlet<'_>, Outlet<'_>) {
        match self {
            Self::Http1(it) => (Inlet::Http1(&mut it.reader), Outlet::Http1(&mut it.writer)),
            Self::Http2(it) => (Inlet::Http2(&mut it.reader), Outlet::Http2(&mut it.writer)),
        }
    }

    /// Where it leads.
    pub(crate) fn endpoint(&self) -> SocketAddr {
        match self {
            Self::Http1(it) => it.endpoint,
            Self::Http2(it) => it.endpoint,
        }
    }

    /// Our end of its connection.
    pub(crate) fn local(&self) -> Option<SocketAddr> {
        match self {
            Self::Http1(it) => it.local,
            Self::Http2(it) => it.local,
        }
    }

    /// Whether its connection has served another exchange before.
    pub(crate) fn is_reused(&self) -> bool {
        match self {
            Self::Http1(it) => it.reused,
            Self::Http2(it) => it.reused,
        }
    }

    /// Whether bytes of an answer have come that make none.
    pub(crate) fn has_bytes(&self) -> bool {
        match self {
            Self::Http1(it) => !it.reader.buf.is_empty(),
            Self::Http2(_) => false,
        }
    }

    /// Whether the origin has said that it did not act on the request.
    pub(crate) fn is_unprocessed(&self) -> bool {
        match self {
            Self::Http1(_) => false,
            Self::Http2(it) => it.stream.is_unprocessed(),
        }
    }

    /// Keeps its connection for others, once its exchange has ended cleanly.
    pub(crate) fn keep(self, worker: &Worker) {
        match self {
            Self::Http1(it) => worker.pool.keep(it),
            Self::Http2(_) => {} // It is not ours alone.
        }
    }
}

impl Pool {
    /// Keeps a connection whose exchange has ended cleanly.
    pub(crate) fn keep(&self, mut connection: Box<UpstreamConnection>) {
        let lease = connection.lease.take();
        if connection.of_client || lease.is_some_and(|lease| lease.is_gone()) {
            return;
        }
        if connection.reader.buf.is_empty() && connection.writer.is_flushed() {
            connection.writer.release();
            connection.reused = true;
            self.put(connection);
        }
    }
}

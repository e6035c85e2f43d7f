//! Connections to origins.
//!
//! Owns the way to a usable connection: a kept one if there is one that is still quiet, else a new
//! one to the first endpoint that accepts. Which endpoint is tried is `core::balance`'s, whether a
//! request may be sent a second time `core::retry`'s to decide.

pub(crate) mod balance;
pub(crate) mod h2;
pub(crate) mod pool;
pub(crate) mod redis;

use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::proxy_protocol::encode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::tls::ConnectorId;
use crate::tls::Offer;
use crate::transport::Transport;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Lease;
use crate::upstream::balance::Picked;
use crate::upstream::pool::Pool;
use crate::worker::Worker;

/// Endpoints that may each use up the time for connecting before a request is given up.
pub(crate) const MAX_TIMED_OUT: usize = 3;

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

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectError {
    pub(crate) failure: Failure,
    /// The endpoint that was tried last.
    pub(crate) endpoint: Option<SocketAddr>,
}

/// Which connections will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// A kept one is fine.
    Any,
    /// Only a new one: the kept ones have just disappointed.
    New,
}

/// A connection of the gateway's own to an endpoint of the backend: [`kept`], or else
/// [`connect_from`].
///
/// # Errors
///
/// See [`connect_from`].
pub(crate) async fn connect(
    worker: &Worker,
    backend: &Rc<BackendState>,
    freshness: Freshness,
) -> Result<Box<UpstreamConnection>, ConnectError> {
    let first = backend.pick(worker.ids.draw(), &[]);
    if freshness == Freshness::Any
        && let Some(kept) = kept(worker, backend, first)
    {
        return Ok(kept);
    }
    connect_from(worker, backend, first, freshness, None).await
}

/// A kept connection to the endpoint that was picked, if there is one: nothing has to be waited for.
pub(crate) fn kept(
    worker: &Worker,
    backend: &Rc<BackendState>,
    picked: Option<Picked>,
) -> Option<Box<UpstreamConnection>> {
    let (place, endpoint) = picked?;
    if backend.backend.proxy_protocol.is_some() {
        return None; // It would be another client's.
    }
    let mut connection = worker.pool.take(endpoint, backend.connector_id())?;
    connection.lease = Some(backend.lease(place));
    Some(connection)
}

/// A new connection to the endpoint that was picked, or a connection to another one.
///
/// Endpoints are tried as the load balancer picks them, each once, until one accepts: before a
/// request was sent, trying the next is always safe. `client` is whom it is for, for backends that
/// are told; `None` is the gateway itself.
///
/// # Errors
///
/// [`Failure::NoEndpoint`], or how the last attempt failed, and where.
pub(crate) async fn connect_from(
    worker: &Worker,
    backend: &Rc<BackendState>,
    mut picked: Option<Picked>,
    freshness: Freshness,
    client: Option<&Ends>,
) -> Result<Box<UpstreamConnection>, ConnectError> {
    let mut tried = Vec::new();
    let mut timed_out = 0;
    let mut error = ConnectError {
        failure: Failure::NoEndpoint,
        endpoint: None,
    };
    while let Some((place, endpoint)) = picked {
        match open(worker, backend, endpoint, client).await {
            Ok(mut connection) => {
                connection.lease = Some(backend.lease(place));
                return Ok(connection);
            }
            Err(failure) => {
                tried.push(place);
                timed_out += usize::from(failure == Failure::ConnectTimeout);
                error = ConnectError {
                    failure,
                    endpoint: Some(endpoint),
                };
                if timed_out == MAX_TIMED_OUT {
                    break;
                }
            }
        }
        picked = backend.pick(worker.ids.draw(), &tried);
        if freshness == Freshness::Any
            && let Some(kept) = kept(worker, backend, picked)
        {
            return Ok(kept);
        }
    }
    Err(error)
}

async fn open(
    worker: &Worker,
    backend: &BackendState,
    endpoint: SocketAddr,
    client: Option<&Ends>,
) -> Result<Box<UpstreamConnection>, Failure> {
    let deadline = worker.wheel.deadline();
    let dialing = dial(backend, endpoint, Offer::Http1, client);
    let limit = worker.timeouts().connect;
    let transport = match deadline.limit(limit, dialing).await {
        Ok(opened) => opened?,
        Err(_) => return Err(Failure::ConnectTimeout),
    };
    let local = transport.tcp().local_addr().ok();
    let (read, write) = transport.into_split();
    Ok(Box::new(UpstreamConnection {
        reader: Reader::new(read, deadline),
        writer: Writer::new(write, worker.wheel.deadline()),
        endpoint,
        connector: backend.connector_id(),
        local,
        reused: false,
        of_client: backend.backend.proxy_protocol.is_some(),
        lease: None,
    }))
}

impl UpstreamConnection {
    /// Its two ends: where the answer comes from, and where the request goes.
    pub(crate) fn ends(&mut self) -> (Inlet<'_>, Outlet<'_>) {
        (
            Inlet::Http1(&mut self.reader),
            Outlet::Http1(&mut self.writer),
        )
    }
}

/// Connects to an endpoint, with TLS if the backend wants it. If it wants to know who the client
/// is, it is told before all else; `None` is the gateway itself. The caller limits the time.
///
/// # Errors
///
/// [`Failure::ConnectFailed`], or how TLS failed.
pub(crate) async fn dial(
    backend: &BackendState,
    endpoint: SocketAddr,
    offer: Offer,
    client: Option<&Ends>,
) -> Result<Transport, Failure> {
    let connector = backend.connector()?;
    let mut stream = TcpStream::connect(endpoint).await.map_err(|err| {
        tracing::debug!(%endpoint, %err, "connect failed");
        Failure::ConnectFailed
    })?;
    // Small writes must not wait for acknowledgements; a socket without the option still works.
    stream.set_nodelay(true).ok();
    if let Some(version) = backend.backend.proxy_protocol {
        let header = encode(version, client);
        stream.write_all(&header).await.map_err(|err| {
            tracing::debug!(%endpoint, %err, "connect failed: the client could not be named");
            Failure::ConnectFailed
        })?;
    }
    match connector {
        None => Ok(Transport::Tcp(stream)),
        Some(connector) => {
            // Large, and connections without TLS do not pay for it.
            let connecting = Box::pin(connector.connect(offer, stream));
            Ok(Transport::Tls(connecting.await?))
        }
    }
}

impl Pool {
    /// Keeps a connection whose exchange has ended cleanly.
    pub(crate) fn keep(&self, mut connection: Box<UpstreamConnection>) {
        connection.lease = None;
        if !connection.of_client
            && connection.reader.buf.is_empty()
            && connection.writer.is_flushed()
        {
            connection.writer.release();
            connection.reused = true;
            self.put(connection);
        }
    }
}

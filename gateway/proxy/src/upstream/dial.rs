//! New connections to endpoints.
//!
//! Owns what is offered to an endpoint with TLS and what is made of its choice. While nobody knows which
//! version it speaks, or it speaks HTTP/2, one request dials and the others wait for it: see
//! [`versions`](crate::upstream::versions).

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::proxy_protocol::encode;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::tls::Offer;
use crate::transport::Transport;
use crate::upstream::Freshness;
use crate::upstream::Upstream;
use crate::upstream::UpstreamConnection;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Picked;
use crate::upstream::on_stream;
use crate::upstream::versions::Chosen;
use crate::upstream::versions::Turn;
use crate::worker::Worker;

/// A way to the endpoint that was picked, over a new connection of this request or of one that dials
/// now.
///
/// # Errors
///
/// How connecting failed.
pub(super) async fn open(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    picked: Picked,
    freshness: Freshness,
    client: Option<&Ends>,
) -> Result<Upstream, Failure> {
    // A connection that begins with a client's name is that client's: no other's requests may be
    // on it.
    let is_clients = backend.backend.proxy_protocol.is_some();
    if is_clients || !matches!(freshness, Freshness::Any | Freshness::New) {
        let opened = begin(worker, backend, picked, Offer::Http1, client).await;
        return match opened {
            // It may speak HTTP/2 alone.
            Err(Failure::UpstreamTlsHandshake) if freshness.is_for_tunnel() && !is_clients => {
                Box::pin(open_tunnel(worker, backend, picked)).await
            }
            opened => opened,
        };
    }
    if backend.backend.tls.is_none() {
        return begin(worker, backend, picked, Offer::Http, client).await;
    }
    // Large, and connections without TLS do not pay for it.
    Box::pin(open_in_turn(worker, backend, picked)).await
}

/// The same with TLS, where the endpoint chooses the version.
async fn open_in_turn(
    worker: &Worker,
    backend: &Rc<BackendState>,
    picked: Picked,
) -> Result<Upstream, Failure> {
    let (place, endpoint) = picked;
    let limit = worker.timeouts().connect;
    let mut waiting_since = None;
    // Others may take all streams of a connection first: it is the time for connecting that ends this.
    loop {
        let turn = worker.versions.turn((endpoint, backend.connector_id()));
        let dialing = match turn {
            Turn::Dials(dialing) => {
                let opened = begin(worker, backend, picked, Offer::Http, None).await;
                dialing.ended(match &opened {
                    Ok(Upstream::Http1(_)) => Ok(Chosen::Http1),
                    Ok(Upstream::Http2(_)) => Ok(Chosen::Http2),
                    Err(failure) => Err(*failure),
                });
                return opened;
            }
            Turn::Waits(dialing) => dialing,
        };
        let since = *waiting_since.get_or_insert_with(Instant::now);
        let left = limit.saturating_sub(since.elapsed());
        let deadline = worker.wheel.deadline();
        let waited = deadline.limit(left, dialing.outcome()).await;
        waited.map_err(|_| Failure::ConnectTimeout)??;
        if let Some(reservation) = worker.h2.kept(backend, endpoint) {
            let lease = backend.lease(place);
            return Ok(on_stream(worker, reservation, endpoint, lease));
        }
    }
}

/// A stream on a connection of HTTP/2 whose origin opens tunnels on streams (RFC 8441 §3).
///
/// # Errors
///
/// How connecting failed, or [`Failure::UpgradeFailed`] if it opens none.
pub(super) async fn open_tunnel(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    (place, endpoint): Picked,
) -> Result<Upstream, Failure> {
    if backend.backend.proxy_protocol.is_some() {
        return Err(Failure::UpgradeFailed); // It would be another client's.
    }
    let reservation = worker.h2.reserve(worker, backend, endpoint).await?;
    let limit = worker.timeouts().connect;
    // It says so in its first frame, which may not have come yet.
    let announced = worker.wheel.limit(limit, reservation.reserved.greeting());
    announced.await.map_err(|_| Failure::ConnectTimeout)?;
    if !reservation.reserved.opens_tunnels() {
        return Err(Failure::UpgradeFailed);
    }
    let lease = backend.lease(place);
    Ok(on_stream(worker, reservation, endpoint, lease))
}

/// A new connection; with TLS the endpoint chooses the version.
async fn begin(
    worker: &Worker,
    backend: &Rc<BackendState>,
    (place, endpoint): Picked,
    offer: Offer,
    client: Option<&Ends>,
) -> Result<Upstream, Failure> {
    let deadline = worker.wheel.deadline();
    let dialing = dial(backend, endpoint, offer, client);
    let limit = worker.timeouts().connect;
    let transport = match deadline.limit(limit, dialing).await {
        Ok(opened) => opened?,
        Err(_) => return Err(Failure::ConnectTimeout),
    };
    if transport.speaks_http2() {
        let adopting = worker.h2.adopt(worker, backend, endpoint, transport);
        let adopted = deadline.limit(limit, Box::pin(adopting)).await;
        let reservation = adopted.map_err(|_| Failure::ConnectTimeout)??;
        let lease = backend.lease(place);
        return Ok(on_stream(worker, reservation, endpoint, lease));
    }
    let local = transport.tcp().local_addr().ok();
    let (read, write) = transport.into_split();
    Ok(Upstream::Http1(Box::new(UpstreamConnection {
        reader: Reader::new(read, deadline),
        writer: Writer::new(write, worker.wheel.deadline()),
        endpoint,
        connector: backend.connector_id(),
        local,
        reused: false,
        of_client: backend.backend.proxy_protocol.is_some(),
        lease: Some(backend.lease(place)),
    })))
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
    let connector = match offer {
        Offer::ClientsOwn => None,
        _ => backend.connector()?,
    };
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
            let connected = connecting.await.map_err(|(failure, why)| {
                tracing::debug!(%endpoint, "no TLS with an origin: {why}");
                backend.note_tls_failure(why);
                failure
            });
            Ok(Transport::Tls(connected?))
        }
    }
}

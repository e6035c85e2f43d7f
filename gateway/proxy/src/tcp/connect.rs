//! A connection to an origin for one client alone.

use std::net::SocketAddr;
use std::rc::Rc;

use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Ends;

use crate::tls::Offer;
use crate::transport::Transport;
use crate::upstream::Attempts;
use crate::upstream::ConnectError;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Lease;
use crate::upstream::dial;
use crate::worker::Worker;

/// A connection to an origin.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) transport: Transport,
    /// Counts the connection for its endpoint.
    pub(super) lease: Lease,
}

/// Connects to the first endpoint that accepts, as [`crate::upstream::connect_from`] does: as the
/// load balancer picks them, each once. Clients that bring their own TLS get no other around it.
///
/// # Errors
///
/// [`Failure::NoEndpoint`], or how the last attempt failed, and where.
pub(super) async fn connect(
    worker: &Worker,
    backend: &Rc<BackendState>,
    (ends, own_tls): (&Ends, bool),
    attempts: &mut u32,
) -> Result<(Upstream, SocketAddr), ConnectError> {
    let deadline = worker.wheel.deadline();
    let mut tried = Attempts::default();
    while let Some((place, endpoint)) = tried.next(worker, backend) {
        *attempts += 1;
        // Counted from here on, so that a burst of connections is spread.
        let lease = backend.lease(place);
        let offer = if own_tls {
            Offer::ClientsOwn
        } else {
            Offer::Nothing
        };
        let dialing = dial(backend, endpoint, offer, Some(ends));
        let dialed = deadline.limit(worker.timeouts().connect, dialing).await;
        match dialed.unwrap_or(Err(Failure::ConnectTimeout)) {
            Ok(transport) => return Ok((Upstream { transport, lease }, endpoint)),
            Err(failure) => tried.failed((place, endpoint), failure),
        }
    }
    Err(tried.error())
}

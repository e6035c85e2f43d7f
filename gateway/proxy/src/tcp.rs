//! Connections that are passed on as bytes.
//!
//! Owns the way of one: a backend is drawn, an endpoint connected ([`connect`]), then bytes move both
//! ways ([`relay`]), through [`filters`] if there are any, until both peers have said their last, and
//! the end is logged ([`ending`]). A connection keeps the rule it began with: reloads do not touch it.

mod connect;
mod ending;
mod filters;
mod relay;
pub(crate) mod stream;
pub(crate) mod view;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::tcp::TcpRule;

use crate::tcp::connect::Upstream;
use crate::tcp::ending::Ending;
pub(crate) use crate::tcp::ending::LateEnding;
use crate::tcp::filters::Filters;
use crate::tcp::filters::HoldLimits;
use crate::tcp::relay::End;
use crate::tcp::relay::Limits;
use crate::tcp::relay::Relay;
use crate::tcp::stream::ConnectionCell;
use crate::tls::Secured;
use crate::transport::Transport;
use crate::upstream::ConnectError;
use crate::worker::Scene;
use crate::worker::Worker;

/// A client whose bytes are passed on.
#[derive(Debug)]
pub(crate) struct TcpClient {
    pub(crate) transport: Transport,
    /// What was read of it already.
    pub(crate) begun: Bytes,
    pub(crate) peer: SocketAddr,
    /// The address that it connected to.
    pub(crate) local: SocketAddr,
    pub(crate) id: u64,
    /// The name that it asked for (SNI), if it speaks TLS.
    pub(crate) server_name: Option<Arc<str>>,
    /// How its TLS ended here, if it did.
    pub(crate) secured: Option<Rc<Secured>>,
}

/// Passes a client's bytes on until the connection ends.
pub(crate) async fn serve(
    worker: &Rc<Worker>,
    scene: Scene,
    rule: Arc<TcpRule>,
    client: TcpClient,
) {
    let mut ending = Ending::new(worker, &scene, &rule, &client);
    let bind = scene.bind();
    let limits = Limits {
        idle: rule.idle,
        client_stall: bind.timeouts.write_stall,
        upstream_stall: worker.timeouts().write_stall,
    };
    let holds = HoldLimits {
        pause: bind.timeouts.filter_pause,
        bytes: bind.sizes.buffered_body_bytes,
    };
    let filters = match filters::chain(&rule, &scene.generation) {
        Ok(chain) if chain.is_empty() => None,
        Ok(chain) => {
            let generation = &scene.generation;
            let filters = Filters::new(worker, chain, &ending.stream, holds, generation);
            Some(Box::new(filters))
        }
        Err(failure) => return ending.finish(End::Failed(failure)),
    };
    let ends = Ends {
        source: client.peer,
        destination: client.local,
    };
    // The TLS of a client that is passed through is with the origin already: its greeting was read,
    // and did not end here. It need not name anybody.
    let own_tls = !client.begun.is_empty() && client.secured.is_none();
    let connecting = upstream(
        worker,
        scene,
        &rule,
        (&ends, own_tls),
        &ending.stream,
        filters.as_deref(),
    );
    // Large, and not needed any more when the wait begins.
    let upstream = match Box::pin(connecting).await {
        Ok(upstream) => upstream,
        Err(failure) => return ending.finish(End::Failed(failure)),
    };
    let Upstream {
        transport: origin,
        lease: _lease,
    } = upstream;
    let tally = ending.tally();
    let client = (client.transport, client.begun);
    let relay = Relay::new(worker, limits, tally, client, origin, filters);
    let end = relay.run().await;
    ending.finish(end);
}

/// A connection to an endpoint of the backend that is drawn, once filters let the client's pass.
async fn upstream(
    worker: &Worker,
    scene: Scene,
    rule: &TcpRule,
    (ends, own_tls): (&Ends, bool),
    stream: &ConnectionCell,
    filters: Option<&Filters<'_>>,
) -> Result<Upstream, Failure> {
    if let Some(filters) = filters {
        filters.begin().await?;
    }
    let drawn = rule.pick(worker.ids.draw()).and_then(|it| it.backend);
    let backend = drawn.and_then(|id| scene.generation.backend(id, &worker.backends).cloned());
    // Old generations are not kept by long connections.
    drop(scene);
    let backend = backend.ok_or(Failure::NoBackend)?;
    stream.state().facts.backend = Some(Rc::clone(&backend));
    let mut attempts = 0;
    let connected = connect::connect(worker, &backend, (ends, own_tls), &mut attempts).await;
    let facts = &mut stream.state().facts;
    facts.attempts = attempts;
    match connected {
        Ok((upstream, endpoint)) => {
            facts.endpoint = Some(endpoint);
            facts.origin_local = upstream.transport.tcp().local_addr().ok();
            Ok(upstream)
        }
        Err(ConnectError { failure, endpoint }) => {
            facts.endpoint = endpoint;
            Err(failure)
        }
    }
}

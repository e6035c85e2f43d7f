//! One request with its response, from head to log: the driver.
//!
//! Owns the order of phases and the one way in which each exchange ends. The phases live in their
//! own files: [`request`] (filters, route), [`forward`] (upstream and both bodies), [`respond`]
//! (filters on the response, the client's side), [`intake`] and [`pump`] (one body through filters
//! and to a socket).
//!
//! Invariant: whatever happens, `Ending` runs once: contexts are finished and one access log line
//! is written, also if the task is dropped.

pub(crate) mod course;
pub(crate) mod ending;
pub(crate) mod forward;
pub(crate) mod injection;
pub(crate) mod intake;
mod listener;
pub(crate) mod local;
pub(crate) mod mirror;
pub(crate) mod native;
pub(crate) mod pump;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod state;
mod tunnel;
pub(crate) mod upgrade;

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::framing::Framing;
use tidegate_core::hop_by_hop::ConnectionOptions;
use tidegate_core::message::Version;
use tidegate_core::request::Arrival;
use tidegate_core::request::Prepared;
use tidegate_core::request::Received;
use tidegate_core::request::prepare;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;

use crate::downstream::Downstream;
use crate::exchange::course::Exchange;
use crate::exchange::ending::Asked;
use crate::exchange::ending::Ending;
use crate::exchange::respond::Client;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::run::Stop;
use crate::http1::head::ParsedRequest;
use crate::tls::Secured;
use crate::worker::Scene;

/// What the client's connection does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Takes another request.
    KeepAlive,
    /// Closes; everything that was to be read has been.
    Close,
    /// Closes after what the client still sends was read for a moment, so that the answer is not
    /// lost to a reset.
    Linger,
    /// Has changed its protocol: it is a tunnel from here on.
    Upgraded,
    /// Closes with a reset: the client must not take what it got for complete.
    Abort,
}

/// Serves one request.
pub(crate) async fn serve(
    down: &mut Downstream<'_>,
    scene: &Scene,
    parsed: Box<ParsedRequest>,
) -> Next {
    match begin(down, scene, *parsed) {
        Ok(begun) => run(down, scene, begun).await,
        // Large and rare: it is not part of what every exchange moves about.
        Err(refused) => Box::pin(refused.answer(down, scene.bind())).await,
    }
}

/// Serves the request of a stream, or answers why it is refused.
pub(crate) async fn serve_stream(
    down: &mut Downstream<'_>,
    scene: &Scene,
    parsed: ParsedRequest,
    refused: Option<Failure>,
) -> Next {
    let Some(failure) = refused else {
        return serve(down, scene, Box::new(parsed)).await;
    };
    let refused = Refused {
        failure,
        method: parsed.method,
        target: parsed.target,
        version: parsed.version,
    };
    // Large and rare, as above.
    Box::pin(refused.answer(down, scene.bind())).await
}

/// An exchange that has begun: its head is read and in its one form.
struct Begun<'a> {
    stream: Rc<StreamCell>,
    listener: Option<&'a Arc<Listener>>,
    client: Client,
    framing: Framing,
}

/// A request that never becomes an exchange.
struct Refused {
    failure: Failure,
    method: Method,
    target: Bytes,
    version: Version,
}

impl Refused {
    async fn answer(self, down: &mut Downstream<'_>, bind: &Bind) -> Next {
        let asked = Asked {
            method: self.method.as_str(),
            target: &self.target,
            protocol: self.version.as_str(),
        };
        refuse(down, bind, self.failure, &asked).await
    }
}

/// Frames and prepares a request: what is refused here never becomes an exchange.
fn begin<'a>(
    down: &Downstream<'_>,
    scene: &'a Scene,
    parsed: ParsedRequest,
) -> Result<Begun<'a>, Refused> {
    let (method, version) = (parsed.method.clone(), parsed.version);
    let target = parsed.target.clone();
    let (prepared, framing, listener) =
        receive(down, scene, parsed).map_err(|failure| Refused {
            failure,
            method: method.clone(),
            target,
            version,
        })?;
    let nothing = Rc::default();
    let chain = listener.map_or(&nothing, |one| scene.generation.listener_chain(one));
    let facts = down.facts(version, prepared.client);
    let mut state = State::new(facts, prepared.head, chain);
    state.generation = Some(Rc::clone(&scene.generation));
    state.expects_continue = prepared.expects_continue;
    if chain.is_dealt() {
        let dealt = chain.dealt(&mut state, || down.link.worker.ids.draw());
        state.follow(&dealt, 0);
    }
    if let Some(wanted) = prepared.upgrade {
        upgrade::begin(&mut state, wanted);
    }
    Ok(Begun {
        stream: Rc::new(StreamCell::new(state)),
        listener,
        client: Client {
            version,
            head_request: method == Method::HEAD,
            wants_trailers: prepared.options.trailers,
            keep_alive: keeps_alive(version, prepared.options, framing.must_close),
        },
        framing,
    })
}

/// Takes the framing off a request, brings it into its one form, and finds its listener.
fn receive<'a>(
    down: &Downstream<'_>,
    scene: &'a Scene,
    parsed: ParsedRequest,
) -> Result<(Prepared, Framing, Option<&'a Arc<Listener>>), Failure> {
    let ParsedRequest {
        method,
        target,
        version,
        mut headers,
    } = parsed;
    let mut framing = down.inlet.request_framing(&mut headers, version)?;
    let received = Received {
        method,
        target: &target,
        version,
        headers,
    };
    let secured = down.link.secured.as_deref();
    let arrival = Arrival {
        peer: down.link.peer.ip(),
        peer_text: &down.link.peer_text,
        trusted_hops: scene.bind().trusted_hops,
        secure: secured.is_some(),
        client_certificate: secured.and_then(Secured::element),
        forward_client_cert: scene.bind().forward_client_cert.mode,
        random: down.link.worker.ids.next(),
    };
    let prepared = prepare(received, &arrival)?;
    if prepared.upgrade.is_some() && version == Version::Http2 {
        // What follows is the other protocol's, not a body (RFC 8441 §5).
        if matches!(framing.length, BodyLength::Exactly(_)) {
            return Err(Failure::BadContentLength);
        }
        framing.length = BodyLength::Empty;
    }
    let listener = listener::find(scene, secured, &prepared.head.authority)?;
    Ok((prepared, framing, listener))
}

/// Runs an exchange to its one end.
async fn run(down: &mut Downstream<'_>, scene: &Scene, begun: Begun<'_>) -> Next {
    let Begun {
        stream,
        listener,
        client,
        framing,
    } = begun;
    let bind = scene.bind();
    let link = down.link;
    let name = listener.map_or(&bind.name, |listener| &listener.name);
    let mut ending = Ending::new(&link.worker, scene, name, &stream);
    down.inlet.begin_body(framing.length, &bind.sizes);
    let exchange = Exchange {
        scene,
        stream: &stream,
        client: &client,
    };
    let mut next = match listener {
        Some(listener) => exchange.on_listener(down, framing.length, listener).await,
        None => {
            let stop = Failure::NoRoute.into();
            exchange.answer(down, stop).await
        }
    };
    stream.state().facts.received = down.inlet.received();
    if next == Next::Upgraded {
        // Large and rare; and no limit of its rule for an answer holds any more.
        next = Box::pin(tunnel::run(down, scene, &stream)).await;
    }
    if !down.inlet.is_done() && next == Next::KeepAlive {
        next = Next::Linger;
    }
    ending.finish();
    next
}

fn keeps_alive(version: Version, options: ConnectionOptions, must_close: bool) -> bool {
    !must_close
        && !options.close
        && match version {
            Version::Http11 | Version::Http2 => true,
            Version::Http10 => options.keep_alive,
        }
}

/// Answers a request whose head makes no exchange, and logs it.
pub(crate) async fn refuse(
    down: &mut Downstream<'_>,
    bind: &Bind,
    failure: Failure,
    asked: &Asked<'_>,
) -> Next {
    let verdict = failure.verdict();
    let head_request = asked.method == "HEAD";
    let before = down.outlet.written();
    let mut next = Next::Close;
    if failure.is_answerable() {
        let worker = &down.link.worker;
        local::write_refusal(&mut down.outlet, verdict.status, head_request, worker);
        let stall = bind.timeouts.write_stall;
        down.outlet.flush(stall).await.ok();
        next = Next::Linger;
    }
    let sent = down.outlet.written() - before;
    ending::log_refusal(down, bind, failure, asked, sent);
    next
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

//! One gRPC call or stream, from its request to its close.
//!
//! Owns the limits: a call ends in time, a stream as long as its guest sends no faster than the
//! backend takes. A call that the backend has not looked at is made once more.

use std::rc::Rc;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_core::grpc;
use tidegate_host_abi::GrpcEvent;
use tidegate_host_abi::GrpcKind;
use tidegate_host_abi::GrpcStart;

use crate::filters::callout::time_limit;
use crate::filters::grpc::Delivered;
use crate::filters::grpc::inbound::Inbound;
use crate::filters::grpc::outbound;
use crate::filters::grpc::outbound::Outbox;
use crate::filters::grpc::request;
use crate::filters::remarks::Remarks;
use crate::upstream::balance::Target;
use crate::upstream::h2::H2Stream;
use crate::worker::Worker;

/// Whom it is with.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) worker: Rc<Worker>,
    /// `None` if the backend is gone since the guest named it.
    pub(super) backend: Option<Target>,
    pub(super) remarks: Remarks,
}

/// Why there is no stream.
enum Unsent {
    Failed(Failure),
    Refused(&'static str),
}

impl From<Unsent> for Inbound {
    fn from(unsent: Unsent) -> Self {
        match unsent {
            Unsent::Failed(failure) => Self::failed(failure),
            Unsent::Refused(why) => Self::refused(why),
        }
    }
}

impl Peer {
    async fn open(&self, start: &GrpcStart) -> Result<H2Stream, Unsent> {
        let backend = self.backend.as_ref();
        let backend = backend.ok_or(Unsent::Failed(Failure::NoEndpoint))?;
        let head = request::head(start, &backend.backend.authority).map_err(Unsent::Refused)?;
        let state = self.worker.backends.of(backend);
        let opened = self.worker.h2.open(&self.worker, &state, &head).await;
        opened.map_err(Unsent::Failed)
    }

    fn limit(&self) -> usize {
        self.worker.sizes().callout_body_bytes
    }
}

/// Makes a call; the event is its outcome.
pub(super) async fn call(peer: &Peer, start: &GrpcStart) -> GrpcEvent {
    let (message, limit) = match &start.kind {
        GrpcKind::Call {
            message,
            timeout_ms,
        } => (message, time_limit(*timeout_ms)),
        GrpcKind::Stream => return close(grpc::INTERNAL, "not a call"),
    };
    let mut begun = false;
    match tokio::time::timeout(limit, attempts(peer, start, message, &mut begun)).await {
        Ok(outcome) => outcome,
        Err(_) if begun => close(grpc::INTERNAL, "response timeout"),
        Err(_) => close(grpc::UNAVAILABLE, "upstream request timeout"),
    }
}

async fn attempts(peer: &Peer, start: &GrpcStart, message: &Bytes, begun: &mut bool) -> GrpcEvent {
    let (outcome, unprocessed) = attempt(peer, start, message, begun).await;
    if !unprocessed {
        return outcome;
    }
    attempt(peer, start, message, begun).await.0
}

/// One attempt, and whether the backend said that it did not look at it.
async fn attempt(
    peer: &Peer,
    start: &GrpcStart,
    message: &Bytes,
    begun: &mut bool,
) -> (GrpcEvent, bool) {
    let opened = match peer.open(start).await {
        Ok(stream) => stream,
        Err(unsent) => return (outcome(&mut unsent.into(), begun).await, false),
    };
    let H2Stream {
        response,
        mut body,
        place: _place,
    } = opened;
    let mut inbound = Inbound::new(response, peer.limit());
    let mut sending = std::pin::pin!(outbound::send(&mut body, message, true));
    let outcome = {
        let mut receiving = std::pin::pin!(outcome(&mut inbound, begun));
        tokio::select! {
            biased;
            // A backend may answer before it has read everything.
            outcome = &mut receiving => outcome,
            _ = &mut sending => receiving.await,
        }
    };
    (outcome, inbound.is_unprocessed())
}

/// What all events of a call come to: its last message, or its status.
async fn outcome(inbound: &mut Inbound, begun: &mut bool) -> GrpcEvent {
    let mut answer = None;
    while let Some(event) = inbound.next().await {
        *begun = inbound.has_begun();
        match event {
            GrpcEvent::Message(message) => answer = Some(message),
            GrpcEvent::Close {
                status: grpc::OK, ..
            } => {
                return match answer {
                    Some(message) => GrpcEvent::Message(message),
                    None => close(grpc::INTERNAL, "there was no message"),
                };
            }
            GrpcEvent::Close { .. } => return event,
            GrpcEvent::InitialMetadata(_) | GrpcEvent::TrailingMetadata(_) => {}
        }
    }
    close(grpc::INTERNAL, "there was no status")
}

fn close(status: grpc::Status, why: &str) -> GrpcEvent {
    GrpcEvent::Close {
        status,
        message: Bytes::copy_from_slice(why.as_bytes()),
    }
}

/// Runs a stream to its close.
pub(super) async fn stream(
    peer: &Peer,
    start: &GrpcStart,
    outbox: &Outbox,
    deliver: impl Fn(GrpcEvent) -> Delivered,
) {
    let opened = match peer.open(start).await {
        Ok(stream) => stream,
        Err(unsent) => return report_all(&mut unsent.into(), &deliver).await,
    };
    let H2Stream {
        response,
        mut body,
        place: _place,
    } = opened;
    let mut inbound = Inbound::new(response, peer.limit());
    let mut sending = std::pin::pin!(outbox.send_all(&mut body));
    loop {
        tokio::select! {
            event = inbound.next() => {
                let told = event.map_or(Delivered::ToNobody, &deliver);
                if told == Delivered::ToNobody {
                    return;
                }
            }
            _ = &mut sending => return report_all(&mut inbound, &deliver).await,
            () = outbox.overflows() => {
                let why = "more messages wait than are allowed";
                peer.remarks.warn(format_args!(
                    "a gRPC stream is given up: {why}, the backend takes them slowly"
                ));
                inbound.give_up(grpc::RESOURCE_EXHAUSTED, why);
            }
        }
        // A backend that sends without end must not keep the worker from its other work.
        tokio::task::consume_budget().await;
    }
}

/// Reports what comes, now that nothing is sent any more.
async fn report_all(inbound: &mut Inbound, deliver: &impl Fn(GrpcEvent) -> Delivered) {
    while let Some(event) = inbound.next().await {
        if deliver(event) == Delivered::ToNobody {
            return;
        }
        tokio::task::consume_budget().await;
    }
}

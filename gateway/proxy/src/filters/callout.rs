//! HTTP calls that filters make.
//!
//! Owns one call from request to the one answer its filter gets. A call belongs to the instance
//! that asked for it, not to a stream: it ends with its instance. Failures are shaped as Envoy
//! shapes them, because filters look at both forms: a time-out is a 504 and a broken connection a
//! 503, with headers and a body that says why.

mod pairs;

use std::rc::Rc;
use std::rc::Weak;
use std::time::Duration;

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::hop_by_hop;
use tidegate_core::message::RequestHead;
use tidegate_core::message::Version;
use tidegate_core::retry::Attempt;
use tidegate_core::retry::may_resend;
use tidegate_host_abi::CallResponse;
use tidegate_host_abi::HttpCall;

pub(crate) use crate::filters::callout::pairs::append_pairs;
use crate::filters::callout::pairs::headers;
pub(crate) use crate::filters::callout::pairs::pair;
use crate::filters::callout::pairs::request_head;
use crate::filters::remarks::Remarks;
use crate::filters::services::Reach;
use crate::filters::vm::Vm;
use crate::http1::body::Frame;
use crate::http1::encode::BodyEncoder;
use crate::inlet::Inlet;
use crate::outlet::HeadUnwritten;
use crate::outlet::Outlet;
use crate::outlet::Unwritten;
use crate::simulation;
use crate::simulation::Simulation;
use crate::upstream;
use crate::upstream::Freshness;
use crate::upstream::Upstream;
use crate::worker::Worker;

/// What a call without a time limit of its own gets: a call that never ends would hold its filter
/// for ever.
const LONGEST_CALL: Duration = Duration::from_secs(300);

/// Makes a call on a task of its own; the filter is called back when it ends.
pub(crate) fn start(vm: &Rc<Vm>, call: HttpCall) {
    let Some(worker) = vm.worker() else { return };
    let generation = vm.generation();
    // The backends of its generation, also if that is an older one.
    let reach = vm.reach_of(call.token, &call.backend);
    let remarks = vm.remarks();
    let services = vm.services();
    let (namespace, vm) = (vm.namespace().to_owned(), Rc::downgrade(vm));
    // The worker's runtime owns the task; it ends by its time limit.
    tokio::task::spawn_local(async move {
        let simulation = services.simulation();
        let response = answer(&worker, simulation, &remarks, &reach, &namespace, &call).await;
        let Some(vm) = still(&vm, generation) else {
            return;
        };
        let entered = vm.enter(None, |instance, streams| {
            instance.on_http_call_response(streams, call.root, call.token, &response)
        });
        if entered.is_err() {
            tracing::debug!(
                token = call.token.0,
                "a call's answer ended its filter's instance"
            );
        }
    });
}

/// How long a call may take of which its filter says so many milliseconds.
pub(crate) fn time_limit(millis: u32) -> Duration {
    match millis {
        0 => LONGEST_CALL,
        millis => Duration::from_millis(u64::from(millis)).min(LONGEST_CALL),
    }
}

/// The VM that asked for something, if the instance that did is still in place.
pub(crate) fn still(vm: &Weak<Vm>, generation: u64) -> Option<Rc<Vm>> {
    vm.upgrade().filter(|vm| vm.generation() == generation)
}

async fn answer(
    worker: &Rc<Worker>,
    simulation: Option<&Simulation>,
    remarks: &Remarks,
    reach: &Reach,
    namespace: &str,
    call: &HttpCall,
) -> CallResponse {
    let limit = time_limit(call.timeout_ms);
    let outcome = exchange(worker, reach, namespace, call);
    match simulation::timeout(simulation, limit, outcome).await {
        Some(Ok(response)) => response,
        Some(Err(failure @ Failure::ResponseBufferOverflow)) => {
            let limit = worker.sizes().callout_body_bytes;
            remarks.warn(format_args!(
                "the answer to its call has more than {limit} bytes"
            ));
            failed(failure)
        }
        Some(Err(failure)) => failed(failure),
        None => synthesized(504, "upstream request timeout"),
    }
}

fn failed(failure: Failure) -> CallResponse {
    match failure {
        Failure::ConnectTimeout | Failure::UpstreamTimeout => {
            synthesized(504, "upstream request timeout")
        }
        Failure::InvalidHeader => CallResponse::default(),
        _ => synthesized(
            503,
            &format!(
                "upstream connect error or disconnect/reset before headers. reset reason: {}",
                failure.verdict().flag
            ),
        ),
    }
}

fn synthesized(status: u16, body: &str) -> CallResponse {
    CallResponse {
        headers: vec![
            pair(":status", &status.to_string()),
            pair("content-length", &body.len().to_string()),
            pair("content-type", "text/plain"),
        ],
        body: Bytes::copy_from_slice(body.as_bytes()),
        trailers: Vec::new(),
    }
}

async fn exchange(
    worker: &Rc<Worker>,
    reach: &Reach,
    namespace: &str,
    call: &HttpCall,
) -> Result<CallResponse, Failure> {
    let backend = reach.backend(namespace, &call.backend);
    let backend = worker.backends.of(&backend.ok_or(Failure::NoEndpoint)?);
    let head = request_head(call).ok_or(Failure::InvalidHeader)?;
    let mut freshness = Freshness::Any;
    loop {
        let mut upstream = upstream::connect(worker, &backend, freshness)
            .await
            .map_err(|err| err.failure)?;
        let reused = upstream.is_reused();
        match on_connection(worker, &mut upstream, call, &head).await {
            Ok((response, Reusable::Yes)) => {
                upstream.keep(worker);
                return Ok(response);
            }
            Ok((response, Reusable::No)) => return Ok(response),
            Err(Failure::UpstreamReset) if freshness == Freshness::Any => {
                let attempt = Attempt {
                    reused,
                    answered: upstream.has_bytes(),
                    unprocessed: upstream.is_unprocessed(),
                    body_started: !call.body.is_empty(),
                };
                if !may_resend(&head.method, attempt) {
                    return Err(Failure::UpstreamReset);
                }
                freshness = Freshness::New;
            }
            Err(failure) => return Err(failure),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reusable {
    Yes,
    No,
}

async fn on_connection(
    worker: &Worker,
    upstream: &mut Upstream,
    call: &HttpCall,
    head: &RequestHead,
) -> Result<(CallResponse, Reusable), Failure> {
    let (mut inlet, outlet) = upstream.ends();
    send(worker, outlet, call, head).await?;
    let idle = worker.timeouts().stream_idle;
    let mut parsed = inlet.response_head(&worker.sizes(), idle).await?;
    while parsed.status.is_informational() {
        let next = inlet.response_head(&worker.sizes(), idle).await;
        // An answer has begun: the call must not be made again.
        parsed = next.map_err(|_| Failure::UpstreamBodyCut)?;
    }
    let (version, status) = (parsed.version, parsed.status);
    let framing = inlet.response_framing(&mut parsed, &head.method)?;
    let options = hop_by_hop::strip(&mut parsed.headers);
    inlet.begin_body(framing.length, &worker.sizes());
    let (content, trailer_map) = collect(worker, &mut inlet).await?;
    let mut fields = vec![pair(":status", status.as_str())];
    append_pairs(&mut fields, &parsed.headers);
    let mut trailers = Vec::new();
    append_pairs(&mut trailers, &trailer_map);
    let keeps = match version {
        Version::Http11 | Version::Http2 => !options.close,
        Version::Http10 => options.keep_alive,
    };
    let reusable = if keeps && !framing.must_close {
        Reusable::Yes
    } else {
        Reusable::No
    };
    Ok((
        CallResponse {
            headers: fields,
            body: content,
            trailers,
        },
        reusable,
    ))
}

async fn send(
    worker: &Worker,
    mut outlet: Outlet<'_>,
    call: &HttpCall,
    head: &RequestHead,
) -> Result<(), Failure> {
    let stall = worker.timeouts().write_stall;
    let trailers = headers(&call.trailers).ok_or(Failure::InvalidHeader)?;
    let length = match call.body.len() as u64 {
        _ if !trailers.is_empty() => BodyLength::Chunked,
        0 => BodyLength::Empty,
        bytes => BodyLength::Exactly(bytes),
    };
    let host = head.authority.as_bytes();
    let ends = length == BodyLength::Empty;
    let written = outlet.request(head, host, length, false, ends);
    written.map_err(|err| match err {
        HeadUnwritten::Invalid => Failure::InvalidHeader,
        HeadUnwritten::Sink(_) => Failure::UpstreamReset,
    })?;
    let mut encoder = BodyEncoder::new(length);
    let failed = |err| match err {
        Unwritten::Length => Failure::InvalidHeader,
        Unwritten::Sink(_) => Failure::UpstreamReset,
    };
    if !call.body.is_empty() {
        let last = trailers.is_empty();
        let sent = outlet
            .send(&mut encoder, call.body.clone(), last, stall)
            .await;
        sent.map_err(failed)?;
    }
    outlet.end(&mut encoder, Some(&trailers)).map_err(failed)?;
    let flushed = outlet.flush(stall).await;
    flushed.map_err(|_| Failure::UpstreamReset)
}

async fn collect(worker: &Worker, inlet: &mut Inlet<'_>) -> Result<(Bytes, HeaderMap), Failure> {
    let limit = worker.sizes().callout_body_bytes;
    let mut content = BytesMut::new();
    loop {
        let idle = worker.timeouts().stream_idle;
        let next = inlet.frame(idle).await;
        match next.map_err(|_| Failure::UpstreamBodyCut)? {
            Frame::Data { bytes, last } => {
                if content.len() + bytes.len() > limit {
                    return Err(Failure::ResponseBufferOverflow);
                }
                content.extend_from_slice(&bytes);
                if last {
                    return Ok((content.freeze(), HeaderMap::new()));
                }
            }
            Frame::End(trailers) => {
                return Ok((
                    content.freeze(),
                    trailers.map_or_else(HeaderMap::new, |trailers| *trailers),
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::time_limit;

    #[test]
    fn a_call_ends_in_five_minutes_whatever_its_filter_says() {
        assert_eq!(time_limit(0), Duration::from_secs(300));
        assert_eq!(time_limit(20), Duration::from_millis(20));
        assert_eq!(time_limit(u32::MAX), Duration::from_secs(300));
    }
}

//! Responses that the gateway or a filter makes.
//!
//! Owns their heads and bodies. A failure's text says no more than its status does: what went
//! wrong inside is for the access log.

use std::rc::Rc;

use bytes::Bytes;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use http::header::DATE;
use http::header::HeaderName;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::grpc;
use tidegate_core::message::ResponseHead;
use tidegate_host_abi::LocalResponse;
use tidegate_host_abi::Outage;

use crate::exchange::state::Local;
use crate::exchange::state::StreamCell;
use crate::filters::run::Stop;
use crate::http1::encode;
use crate::http1::encode::After;
use crate::http2::head;
use crate::outlet::Outlet;
use crate::worker::Worker;

/// A response to send instead of the origin's.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) body: Bytes,
    /// The failure it reports, if it reports one.
    pub(crate) failure: Option<Failure>,
    /// Short reason for the log.
    pub(crate) flag: &'static str,
    pub(crate) details: Bytes,
    /// The gRPC status that a filter gave with it; without one it follows from the HTTP status.
    pub(crate) grpc_status: Option<u8>,
}

/// The flag of responses that filters make.
pub(crate) const LOCAL_RESPONSE: &str = "local_response";
/// The flag of exchanges whose attempt failed because a filter wanted it.
pub(crate) const FAULT_INJECTED: &str = "fault_injected";

impl Answer {
    /// The answer that a stop asks for.
    pub(crate) fn of(stop: Stop, stream: &Rc<StreamCell>) -> Self {
        match stop {
            Stop::Failure(failure) => {
                let blame = stream.state().blame.take();
                let blame = blame.filter(|_| failure.has_details());
                Self {
                    details: blame.map_or_else(Bytes::new, Bytes::from),
                    ..Self::failure(failure)
                }
            }
            Stop::Local => {
                let local = stream.state().local.take();
                match local.map(Self::made_here) {
                    Some(Ok(answer)) => answer,
                    Some(Err(failure)) => Self::failure(failure),
                    None => Self::failure(Failure::PluginFault),
                }
            }
        }
    }

    /// The answer to a failure.
    pub(crate) fn failure(failure: Failure) -> Self {
        let verdict = failure.verdict();
        let mut head = ResponseHead {
            status: verdict.status,
            ..ResponseHead::default()
        };
        head.headers.insert(CONTENT_TYPE, TEXT);
        Self {
            body: failure_body(verdict.status),
            head,
            failure: Some(failure),
            flag: verdict.flag,
            details: Bytes::new(),
            grpc_status: match failure {
                Failure::RequestTimeout | Failure::BackendRequestTimeout => Some(DEADLINE),
                _ => None,
            },
        }
    }

    /// The answer that a backend would have given, or that its failure leads to.
    pub(crate) fn of_fault(outage: Outage) -> Self {
        let (status, grpc_status) = match outage {
            Outage::Http(status) => (StatusCode::from_u16(status).ok(), None),
            Outage::Grpc(status) => (Some(grpc::http_of(status.into())), Some(status)),
            Outage::Reset => (Some(Failure::UpstreamReset.verdict().status), None),
            Outage::Unreachable => (Some(Failure::ConnectFailed.verdict().status), None),
        };
        let mut head = ResponseHead {
            status: status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            ..ResponseHead::default()
        };
        let mut body = Bytes::new();
        // The others have none (RFC 9110 §15.3.5, §15.3.6 and §15.4.5).
        if !matches!(head.status.as_u16(), 204 | 205 | 304) {
            head.headers.insert(CONTENT_TYPE, TEXT);
            body = Bytes::from_static(b"fault filter abort");
        }
        Self {
            head,
            body,
            failure: None,
            flag: FAULT_INJECTED,
            details: Bytes::from_static(b"fault_filter_abort"),
            grpc_status,
        }
    }

    /// The answer of a filter.
    fn made_here(local: Local) -> Result<Self, Failure> {
        let Local { response, flag } = local;
        let LocalResponse {
            status,
            details,
            body,
            headers,
            grpc_status,
        } = response;
        let status = u16::try_from(status)
            .ok()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let status = status.filter(|status| !status.is_informational());
        let mut head = ResponseHead {
            status: status.ok_or(Failure::InvalidHeader)?,
            ..ResponseHead::default()
        };
        for (name, value) in headers {
            if name.first() == Some(&b':') {
                continue; // The status was given apart.
            }
            let name = HeaderName::from_bytes(&name).map_err(|_| Failure::InvalidHeader)?;
            let value =
                HeaderValue::from_maybe_shared(value).map_err(|_| Failure::InvalidHeader)?;
            head.headers.append(name, value);
        }
        for ours in [
            "content-length",
            "transfer-encoding",
            "connection",
            "upgrade",
        ] {
            head.headers.remove(ours);
        }
        if !body.is_empty() && !head.headers.contains_key(CONTENT_TYPE) {
            head.headers.insert(CONTENT_TYPE, TEXT);
        }
        Ok(Self {
            head,
            body,
            failure: None,
            flag,
            details,
            grpc_status,
        })
    }

    /// Gives it the form that gRPC clients read: a head alone, with the status and the text in it.
    pub(crate) fn make_grpc(&mut self) {
        let body = std::mem::take(&mut self.body);
        let ResponseHead { status, headers } = &mut self.head;
        grpc::answer(status, headers, body.trim_ascii_end(), self.grpc_status);
    }
}

/// What gRPC clients are told about an exchange that took too long: DEADLINE_EXCEEDED.
const DEADLINE: u8 = 4;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain");

fn failure_body(status: StatusCode) -> Bytes {
    Bytes::from(format!(
        "{} {}\n",
        status.as_str(),
        status.canonical_reason().unwrap_or("Error")
    ))
}

/// Sets `date`, as every answer made here has one (RFC 9110 §6.6.1).
pub(crate) fn set_date(head: &mut ResponseHead, worker: &Worker) {
    head.headers
        .entry(DATE)
        .or_insert_with(|| worker.http_date());
}

/// Gathers the answer to a request that never became an exchange.
pub(crate) fn write_refusal(
    outlet: &mut Outlet<'_>,
    status: StatusCode,
    head_request: bool,
    worker: &Worker,
) {
    let body = failure_body(status);
    let mut head = ResponseHead {
        status,
        ..ResponseHead::default()
    };
    head.headers.insert(CONTENT_TYPE, TEXT);
    set_date(&mut head, worker);
    let length = BodyLength::Exactly(body.len() as u64);
    match outlet {
        Outlet::Http1(writer) => {
            encode::response_head(&mut writer.out, &head, length, false, After::Close);
            if !head_request {
                writer.out.extend_from_slice(&body);
            }
        }
        Outlet::Http2(writer) => {
            let headers = head::for_client(&head, length, false);
            let sent = writer.response(status, headers, head_request);
            // A small text: more than its window need not be waited for. What cannot be sent is
            // reset by who has the stream.
            if sent.is_ok() && !head_request && writer.has_room(body.len()) {
                writer.send_now(body, true).ok();
            }
        }
    }
}

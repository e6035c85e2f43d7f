//! Calls of the filter to backends.
//!
//! Failures have the form that Tidegate and Envoy give them: a time-out is a 504 and a broken
//! connection a 503, with headers and a body that says why.

use tidegate_sdk_sys::Pairs;

use crate::backends::Listens;
use crate::native::state::{CallAnswer, CallKind, NewCall, ROOT, pairs};
use crate::native::{Event, Native};
use crate::reply::{Course, Received, Reply};

/// What a call without a time limit gets.
const LONGEST: u64 = 300_000_000_000;

impl Native {
    /// Sends the calls that the last callbacks asked for; false if there are none.
    pub(super) fn start_calls(&mut self) -> bool {
        let calls = std::mem::take(&mut self.world.state().new_calls);
        let any = !calls.is_empty();
        for mut call in calls {
            self.open_calls.insert(call.token, call.backend.clone());
            let limit = match call.timeout {
                0 => LONGEST,
                milliseconds => (u64::from(milliseconds) * 1_000_000).min(LONGEST),
            };
            if let CallKind::Grpc { path } = &mut call.kind {
                let path = std::mem::take(path);
                self.plan_grpc(call, path, limit);
                continue;
            }
            let token = call.token;
            let (after, answer) = self.outcome(call, limit);
            self.plan_event(after, Event::CallEnds { token, answer });
        }
        any
    }

    /// When a call ends, and how.
    fn outcome(&self, call: NewCall, limit: u64) -> (u64, CallAnswer) {
        let (request, backend) = received(call);
        if self.plan.backends.listens(&backend) == Listens::Grpc {
            return (0, synthesized(503, "protocol error"));
        }
        let Some(reply) = self.plan.backends.call(&backend, &request) else {
            return (0, synthesized(503, "connection refused"));
        };
        self.seen
            .with(|seen| seen.calls.entry(backend).or_default().push(request));
        let after = super::nanoseconds(reply.after);
        match reply.course {
            _ if after >= limit => (limit, synthesized(504, "")),
            Course::Never => (limit, synthesized(504, "")),
            Course::Reset | Course::Cut => (after, synthesized(503, "connection termination")),
            Course::Whole => (after, answer(&reply)),
        }
    }

    /// Hands the answer of a call to the filter.
    pub(super) fn call_ends(&mut self, token: u32, answer: CallAnswer) {
        if self.open_calls.remove(&token).is_none() {
            return;
        }
        let sizes = (
            answer.headers.len(),
            answer.body.len(),
            answer.trailers.len(),
        );
        self.world.state().answer = Some(answer);
        self.call(ROOT, |guest| {
            guest.on_http_call_response(ROOT, token, sizes.0, sizes.1, sizes.2);
        });
        self.world.state().answer = None;
    }
}

fn received(call: NewCall) -> (Received, String) {
    let mut headers = call.headers;
    let mut take = |name: &str| {
        let value = headers.get(name).unwrap_or_default();
        headers.remove(name);
        value
    };
    let (method, path, host) = (take(":method"), take(":path"), take(":authority"));
    take(":scheme");
    if !call.body.is_empty() && !headers.has("content-length") {
        headers.add("content-length", call.body.len().to_string());
    }
    let request = Received {
        method,
        path,
        host,
        headers,
        body: call.body,
        trailers: call.trailers,
        ended: true,
    };
    (request, call.backend)
}

fn answer(reply: &Reply) -> CallAnswer {
    let mut headers = status(reply.status);
    headers.extend(pairs(&reply.framed_headers()));
    CallAnswer {
        headers,
        body: reply.body.concat(),
        trailers: pairs(&reply.trailers),
    }
}

/// An answer that the host makes in the place of one that did not come.
fn synthesized(code: u16, why: &str) -> CallAnswer {
    let body = match code {
        504 => "upstream request timeout".to_owned(),
        _ => format!(
            "upstream connect error or disconnect/reset before headers. reset reason: {why}"
        ),
    };
    let mut headers = status(code);
    let pair = |name: &str, value: &str| (name.as_bytes().to_vec(), value.as_bytes().to_vec());
    headers.push(pair("content-length", &body.len().to_string()));
    headers.push(pair("content-type", "text/plain"));
    CallAnswer {
        headers,
        body: body.into_bytes(),
        trailers: Pairs::new(),
    }
}

pub(super) fn status(code: u16) -> Pairs {
    vec![(b":status".to_vec(), code.to_string().into_bytes())]
}

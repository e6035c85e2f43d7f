//! gRPC calls of the filter to backends. They end as they do in Tidegate and in Envoy.

use tidegate_sdk_sys::host::GrpcCall;
use tidegate_sdk_sys::{Result, Status};

use crate::backends::Listens;
use crate::fields::Fields;
use crate::grpc::{self, Ended};
use crate::native::state::{CallKind, NewCall, ROOT, State};
use crate::native::{Event, Native, all_fields};
use crate::reply::{Course, Received};

impl State {
    /// Takes a call that the filter asks for.
    pub(super) fn ask_grpc(&mut self, call: &GrpcCall<'_>, message: &[u8]) -> Result<u32> {
        self.may("proxy_grpc_call")?;
        let backend = crate::fields::text(call.backend);
        if !self.backends.contains(&backend) {
            return Err(Status::INTERNAL_FAILURE);
        }
        let token = self.next_token() | 1;
        let service = crate::fields::text(call.service);
        let method = crate::fields::text(call.method);
        self.new_calls.push(NewCall {
            token,
            backend,
            kind: CallKind::Grpc {
                path: ["/", &service, "/", &method].concat(),
            },
            headers: headers(call),
            body: grpc::framed(message),
            trailers: Fields::default(),
            timeout: call.timeout_milliseconds,
        });
        Ok(token)
    }
}

fn headers(call: &GrpcCall<'_>) -> Fields {
    let metadata = call.metadata.iter();
    let metadata = metadata.map(|(name, value)| (name.to_ascii_lowercase(), value.to_vec()));
    let mut headers = all_fields(&metadata.collect());
    if call.timeout_milliseconds > 0 {
        let limit = format!("{}m", call.timeout_milliseconds);
        headers.remove("grpc-timeout");
        headers.add("grpc-timeout", limit);
    }
    if !headers.has("content-type") {
        headers.add("content-type", "application/grpc");
    }
    headers
}

impl Native {
    /// When a call ends, and how.
    pub(super) fn grpc_outcome(&self, call: NewCall, path: String, limit: u64) -> (u64, Ended) {
        let backend = call.backend;
        let request = Received {
            method: "POST".to_owned(),
            path,
            host: backend.clone(),
            headers: call.headers,
            body: call.body,
            trailers: Fields::default(),
            ended: true,
        };
        if self.plan.backends.listens(&backend) == Listens::Http {
            return (0, grpc::unreachable("protocol error"));
        }
        let Some(reply) = self.plan.backends.call(&backend, &request) else {
            return (0, grpc::unreachable("remote connection failure"));
        };
        self.seen
            .with(|seen| seen.calls.entry(backend).or_default().push(request));
        let after = super::nanoseconds(reply.after);
        let late = "upstream request timeout".to_owned();
        match reply.course {
            _ if after >= limit => (limit, Ended::Status(grpc::UNAVAILABLE, late)),
            Course::Never => (limit, Ended::Status(grpc::UNAVAILABLE, late)),
            Course::Reset => (after, grpc::unreachable("remote reset")),
            Course::Cut => (after, grpc::cut()),
            Course::Whole => (after, grpc::ended(&reply)),
        }
    }

    /// Tells the filter how a call ended.
    pub(super) fn grpc_ends(&mut self, token: u32, ended: Ended) {
        if self.open_calls.remove(&token).is_none() {
            return;
        }
        self.world.state().grpc_end = Some(ended.clone());
        self.call(ROOT, |guest| match ended {
            Ended::Message(message) => guest.on_grpc_receive(ROOT, token, message.len()),
            Ended::Status(status, _) => guest.on_grpc_close(ROOT, token, status),
        });
        self.world.state().grpc_end = None;
    }

    /// Plans how a gRPC call ends.
    pub(super) fn plan_grpc(&mut self, call: NewCall, path: String, limit: u64) {
        let token = call.token;
        let (after, ended) = self.grpc_outcome(call, path, limit);
        self.plan_event(after, Event::GrpcEnds { token, ended });
    }
}

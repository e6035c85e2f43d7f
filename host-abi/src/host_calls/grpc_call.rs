//! gRPC calls and streams of a guest to backends.
//!
//! Owns how a service is named, the state of streams as far as the guest's side of them goes, and
//! the statuses. Making calls is the embedder's, after the callback: nothing is reported before the
//! host call has returned.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, callout, env_fn};
use crate::calls::CallKind;
use crate::grpc_service::{self, GrpcService};
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::pairs;
use crate::services::{CalloutToken, GrpcCommand, GrpcKind, GrpcStart};
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    link_starts(linker)?;
    env_fn!(
        linker,
        "proxy_grpc_send",
        |guest, token: u32, ptr: u32, len: u32, end: u32| {
            send(guest, token, Region::new(ptr, len), end != 0)
        }
    );
    env_fn!(linker, "proxy_grpc_cancel", |guest, token: u32| {
        cancel(guest, token)
    });
    env_fn!(linker, "proxy_grpc_close", |guest, token: u32| {
        close(guest, token)
    });
    Ok(())
}

fn link_starts(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_grpc_call",
        |guest,
         backend: u32,
         backend_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         message: u32,
         message_len: u32,
         timeout_ms: u32,
         token: u32| {
            let target = Target {
                backend: Region::new(backend, backend_len),
                service: Region::new(service, service_len),
                method: Region::new(method, method_len),
                metadata: Region::new(metadata, metadata_len),
            };
            let call = Unary {
                message: Region::new(message, message_len),
                timeout_ms,
            };
            start(guest, &target, Some(call), Slot(token))
        }
    );
    env_fn!(
        linker,
        "proxy_grpc_stream",
        |guest,
         backend: u32,
         backend_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         token: u32| {
            let target = Target {
                backend: Region::new(backend, backend_len),
                service: Region::new(service, service_len),
                method: Region::new(method, method_len),
                metadata: Region::new(metadata, metadata_len),
            };
            start(guest, &target, None, Slot(token))
        }
    );
    Ok(())
}

/// Where the parts of a call lie in guest memory.
struct Target {
    backend: Region,
    service: Region,
    method: Region,
    metadata: Region,
}

/// What a call has beyond a stream.
struct Unary {
    message: Region,
    timeout_ms: u32,
}

/// What the two are called in the log.
const fn name(is_call: bool) -> &'static str {
    if is_call { "grpc_call" } else { "grpc_stream" }
}

fn start(guest: &mut Guest<'_, '_>, target: &Target, unary: Option<Unary>, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let upstream = target.backend.read(memory)?;
    let service = target.service.read(memory)?;
    let method = target.method.read(memory)?;
    let metadata = pairs::decode(target.metadata.read(memory)?);
    let message = match &unary {
        Some(unary) => unary.message.read(memory)?,
        None => &[],
    };

    let what = name(unary.is_some());
    let (backend, described) = resolve(state, what, upstream)?;
    let mut all = described.metadata;
    all.extend_from_slice(&metadata);
    // A call costs more than its bytes, and so does a pair: empty ones must not be free.
    let bytes = callout::size(&all)
        + all.len() * size_of::<(Bytes, Bytes)>()
        + described.authority.len()
        + service.len()
        + method.len()
        + message.len()
        + size_of::<GrpcCommand>();
    if !callout::has_room(state, what, bytes) {
        return Err(Status::InternalFailure.into());
    }

    let kind = match unary {
        Some(_) => CallKind::GrpcCall,
        None => CallKind::GrpcStream,
    };
    let (_, token) = callout::open(state, kind)?;
    let authority = described.authority;
    let start = GrpcStart {
        token: CalloutToken(token),
        backend: backend.to_owned(),
        authority: (!authority.is_empty()).then(|| Bytes::copy_from_slice(authority)),
        service: Bytes::copy_from_slice(service),
        method: Bytes::copy_from_slice(method),
        metadata: callout::own(&all),
        kind: match unary {
            Some(Unary { timeout_ms, .. }) => GrpcKind::Call {
                message: Bytes::copy_from_slice(message),
                timeout_ms,
            },
            None => GrpcKind::Stream,
        },
    };
    out.write_u32(memory, token)?;
    state.calls.queued_bytes += bytes;
    state.calls.grpc_queued.push(GrpcCommand::Start(start));
    Ok(())
}

/// The backend a guest means: by its name, or by a description that names it. Envoy tells apart
/// what it cannot read and what it cannot reach.
fn resolve<'m>(
    state: &State,
    what: &str,
    upstream: &'m [u8],
) -> Result<(&'m str, GrpcService<'m>), Status> {
    if let Some(backend) = callout::allowed(state, upstream) {
        return Ok((backend, GrpcService::default()));
    }
    let Some(described) = grpc_service::parse(upstream) else {
        callout::no_backend(state, what, upstream);
        return Err(Status::ParseFailure);
    };
    match callout::allowed(state, described.cluster) {
        Some(backend) => Ok((backend, described)),
        None => {
            callout::no_backend(state, what, described.cluster);
            Err(Status::InternalFailure)
        }
    }
}

/// An open call or stream of the calling plugin.
fn find(state: &State, token: u32) -> Result<CallKind, Status> {
    let kind = CallKind::of(token);
    if !matches!(kind, CallKind::GrpcCall | CallKind::GrpcStream) {
        return Err(Status::BadArgument);
    }
    let plugin = state.contexts.effective().plugin;
    match state.calls.open.get(&token) {
        // Plugins that share an instance do not share calls.
        Some(call) if call.plugin == plugin => Ok(kind),
        _ => Err(Status::NotFound),
    }
}

fn send(guest: &mut Guest<'_, '_>, token: u32, message: Region, end: bool) -> Answer {
    let (memory, state) = guest.parts()?;
    let message = message.read(memory)?;
    if CallKind::of(token) != CallKind::GrpcStream {
        return Err(Status::BadArgument.into());
    }
    find(state, token)?;
    let is_closed = |state: &State| {
        state
            .calls
            .open
            .get(&token)
            .is_some_and(|call| call.half_closed)
    };
    if is_closed(state) {
        state.note(
            LogLevel::Warn,
            format_args!("grpc_send: stream {token} was closed by this plugin"),
        );
        return Err(Status::BadArgument.into());
    }
    if !callout::fits(state, "grpc_send", message.len()) {
        return Err(Status::BadArgument.into());
    }
    let command = GrpcCommand::Send {
        token: CalloutToken(token),
        message: Bytes::copy_from_slice(message),
    };
    // A message costs more than its bytes: empty ones must not be free.
    state.calls.queued_bytes += message.len() + size_of::<GrpcCommand>();
    state.calls.grpc_queued.push(command);
    if end {
        half_close(state, token);
    }
    Ok(())
}

fn half_close(state: &mut State, token: u32) {
    if let Some(call) = state.calls.open.get_mut(&token)
        && !std::mem::replace(&mut call.half_closed, true)
    {
        let token = CalloutToken(token);
        let command = GrpcCommand::HalfClose { token };
        state.calls.grpc_queued.push(command);
    }
}

fn cancel(guest: &mut Guest<'_, '_>, token: u32) -> Answer {
    let state = guest.state();
    find(state, token)?;
    state.calls.open.remove(&token);
    let token = CalloutToken(token);
    state.calls.queued_bytes += size_of::<GrpcCommand>();
    state.calls.grpc_queued.push(GrpcCommand::Cancel { token });
    Ok(())
}

/// Ends the guest's side of a stream; a call has none and is cancelled.
fn close(guest: &mut Guest<'_, '_>, token: u32) -> Answer {
    match find(guest.state(), token)? {
        CallKind::GrpcStream => {
            half_close(guest.state(), token);
            Ok(())
        }
        _ => cancel(guest, token),
    }
}

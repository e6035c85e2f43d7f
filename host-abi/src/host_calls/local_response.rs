//! What a guest does to the stream as a whole: continue, close, answer, reroute.
//!
//! Owns nothing but the hand-over: all of it is queued in the embedder's stream and takes effect
//! after the callback. From a context that is no stream it has no effect and is answered OK,
//! because the Rust SDK panics on anything else.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::{LogLevel, Status, StreamKind};
use crate::memory::{OutBytes, Region, Slot};
use crate::pairs;
use crate::services::GrpcEvent;
use crate::state::{Input, State};
use crate::stream::{LocalResponse, StreamHost};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(linker, "proxy_continue_stream", |guest, kind: u32| {
        let kind = StreamKind::try_from(kind)?;
        resume(guest, "continue_stream", kind)
    });
    env_fn!(linker, "proxy_close_stream", |guest, kind: u32| {
        let kind = StreamKind::try_from(kind)?;
        on_stream(guest, "close_stream", |stream| stream.close_stream(kind))
    });
    env_fn!(linker, "proxy_continue_request", |guest| {
        resume(guest, "continue_request", StreamKind::Request)
    });
    env_fn!(linker, "proxy_continue_response", |guest| {
        resume(guest, "continue_response", StreamKind::Response)
    });
    env_fn!(linker, "proxy_clear_route_cache", |guest| {
        on_stream(guest, "clear_route_cache", |stream| {
            stream.clear_route_cache();
        })
    });
    env_fn!(
        linker,
        "proxy_send_local_response",
        |guest,
         status: u32,
         details: u32,
         details_len: u32,
         body: u32,
         body_len: u32,
         headers: u32,
         headers_len: u32,
         grpc_status: i32| {
            let response = Regions {
                details: Region::new(details, details_len),
                body: Region::new(body, body_len),
                headers: Region::new(headers, headers_len),
            };
            send(guest, status, &response, grpc_status)
        }
    );
    env_fn!(
        linker,
        "proxy_get_status",
        |guest, code: u32, ptr: u32, len: u32| {
            status(guest, Slot(code), OutBytes::new(ptr, len))
        }
    );
    Ok(())
}

/// Where the parts of a response lie in guest memory.
struct Regions {
    details: Region,
    body: Region,
    headers: Region,
}

/// Queues the resumption of one direction.
fn resume(guest: &mut Guest<'_, '_>, what: &str, kind: StreamKind) -> Answer {
    let state = guest.state();
    match kind {
        StreamKind::Request => state.running.continued.request = true,
        StreamKind::Response => state.running.continued.response = true,
        StreamKind::Downstream => {}
        // Envoy has no such function; a Rust guest cannot represent the answer.
        StreamKind::Upstream => state.lenient(Status::Unimplemented)?,
    }
    on_stream(guest, what, |stream| stream.continue_stream(kind))
}

/// Runs an action on the effective stream, or warns that there is none.
pub(super) fn on_stream(
    guest: &mut Guest<'_, '_>,
    what: &str,
    action: impl FnOnce(&mut dyn StreamHost),
) -> Answer {
    let state = guest.state();
    if state.with_stream(action).is_none() {
        no_stream(state, what);
    }
    Ok(())
}

pub(super) fn no_stream(state: &State, what: &str) {
    state.note(
        LogLevel::Warn,
        format_args!("{what} has no effect, the context is no stream"),
    );
}

fn send(guest: &mut Guest<'_, '_>, status: u32, parts: &Regions, grpc_status: i32) -> Answer {
    let (memory, state) = guest.parts()?;
    let headers = pairs::decode(parts.headers.read(memory)?)
        .into_iter()
        // The status is an argument of its own.
        .filter(|(name, _)| *name != b":status")
        .map(|(name, value)| (Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)))
        .collect();
    let response = LocalResponse {
        status,
        details: without_spaces(parts.details.read(memory)?),
        body: Bytes::copy_from_slice(parts.body.read(memory)?),
        headers,
        grpc_status: u8::try_from(grpc_status)
            .ok()
            .filter(|status| *status <= 16),
    };
    if state
        .with_stream(|stream| stream.send_local_response(response))
        .is_none()
    {
        no_stream(state, "send_local_response");
    }
    Ok(())
}

/// Details are one word in logs, as in Envoy.
fn without_spaces(details: &[u8]) -> Bytes {
    let word = details.iter().map(|byte| match byte {
        byte if byte.is_ascii_whitespace() => b'_',
        byte => *byte,
    });
    word.collect()
}

/// How the call that the running callback is about ended.
fn status(guest: &mut Guest<'_, '_>, code_out: Slot, message_out: OutBytes) -> Answer {
    /// Envoy's number for a call that never became a stream.
    const BROKEN: u32 = 11;

    let (memory, state) = guest.parts()?;
    message_out.check(memory)?;
    let (code, message) = match &state.running.input {
        Input::CallResponse(response) if response.headers.is_empty() => {
            (BROKEN, Bytes::from_static(b"reset"))
        }
        Input::Grpc(GrpcEvent::Close { status, message }) => (*status, message.clone()),
        _ => (0, Bytes::new()),
    };
    code_out.write_u32(memory, code)?;
    guest.give(&message, message_out)
}

//! HTTP calls of a guest to backends.
//!
//! Owns what a call must have. Making it is the embedder's, after the callback: the answer never comes before this call has returned.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, callout, env_fn};
use crate::calls::CallKind;
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::pairs;
use crate::services::{CalloutToken, HttpCall};
use crate::state::State;

/// What every call must say.
const REQUIRED: [&[u8]; 3] = [b":method", b":path", b":authority"];

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_http_call",
        |guest,
         backend: u32,
         backend_len: u32,
         headers: u32,
         headers_len: u32,
         body: u32,
         body_len: u32,
         trailers: u32,
         trailers_len: u32,
         timeout_ms: u32,
         token: u32| {
            let regions = Regions {
                backend: Region::new(backend, backend_len),
                headers: Region::new(headers, headers_len),
                body: Region::new(body, body_len),
                trailers: Region::new(trailers, trailers_len),
            };
            call(guest, &regions, timeout_ms, Slot(token))
        }
    );
    Ok(())
}

/// Where the parts of a call lie in guest memory.
struct Regions {
    backend: Region,
    headers: Region,
    body: Region,
    trailers: Region,
}

fn call(guest: &mut Guest<'_, '_>, regions: &Regions, timeout_ms: u32, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let backend = regions.backend.read(memory)?;
    let headers = pairs::decode(regions.headers.read(memory)?);
    let body = regions.body.read(memory)?;
    let trailers = pairs::decode(regions.trailers.read(memory)?);

    let Some(backend) = callout::allowed(state, backend) else {
        callout::no_backend(state, "http_call", backend);
        return Err(Status::BadArgument.into());
    };
    has_required(state, &headers)?;
    let bytes = body.len() + callout::size(&headers) + callout::size(&trailers);
    if !callout::has_room(state, "http_call", bytes) {
        return Err(Status::InternalFailure.into());
    }

    let (root, token) = callout::open(state, CallKind::Http)?;
    let call = HttpCall {
        token: CalloutToken(token),
        root,
        backend: backend.to_owned(),
        headers: callout::own(&headers),
        body: Bytes::copy_from_slice(body),
        trailers: callout::own(&trailers),
        timeout_ms,
    };
    out.write_u32(memory, token)?;
    state.calls.queued_bytes += bytes;
    state.calls.queued.push(call);
    Ok(())
}

fn has_required(state: &State, headers: &[(&[u8], &[u8])]) -> Result<(), Status> {
    for required in REQUIRED {
        if !headers.iter().any(|(name, _)| *name == required) {
            let name = String::from_utf8_lossy(required);
            state.note(
                LogLevel::Warn,
                format_args!("http_call: the header {name} is missing"),
            );
            return Err(Status::BadArgument);
        }
    }
    Ok(())
}

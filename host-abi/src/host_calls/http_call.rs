//! HTTP calls of a guest to backends.
//!
//! Owns what a call must have, its token and how many may be open. Making it is the embedder's,
//! after the callback: the answer never comes before this call has returned.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::pairs;
use crate::services::{CalloutToken, HttpCall};
use crate::state::State;

/// What every call must say.
const REQUIRED: [&[u8]; 3] = [b":method", b":path", b":authority"];

/// Tokens of HTTP calls are the multiples of four; the rest is for other kinds of calls.
const TOKEN_STEP: u32 = 4;

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

    let backend = allowed_backend(state, backend)?;
    has_required(state, &headers)?;
    let bytes = body.len() + size(&headers) + size(&trailers);
    has_room(state, bytes)?;

    let Some(root) = state.root() else {
        return Err(Status::InternalFailure.into());
    };
    let root = root.context;
    let plugin = state.contexts.effective().plugin;
    let token = new_token(state);
    let call = HttpCall {
        token: CalloutToken(token),
        root,
        backend,
        headers: own(&headers),
        body: Bytes::copy_from_slice(body),
        trailers: own(&trailers),
        timeout_ms,
    };
    out.write_u32(memory, token)?;
    state.calls.open.insert(token, plugin);
    state.calls.queued_bytes += bytes;
    state.calls.queued.push(call);
    Ok(())
}

fn allowed_backend(state: &State, backend: &[u8]) -> Result<String, Status> {
    let plugin = state.root().ok_or(Status::InternalFailure)?.plugin.name();
    match std::str::from_utf8(backend) {
        Ok(name) if state.services.may_call(plugin, name) => Ok(name.to_owned()),
        _ => {
            let name = String::from_utf8_lossy(backend);
            state.note(
                LogLevel::Warn,
                format_args!("http_call: there is no backend {name:?} for this plugin"),
            );
            Err(Status::BadArgument)
        }
    }
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

fn has_room(state: &State, bytes: usize) -> Result<(), Status> {
    let limits = state.limits().ok_or(Status::InternalFailure)?;
    let plugin = state.contexts.effective().plugin;
    let open = state
        .calls
        .open
        .values()
        .filter(|other| **other == plugin)
        .count();
    let problem = if open >= limits.open_calls {
        format!("{open} calls are open")
    } else if state.calls.queued_bytes.saturating_add(bytes) > limits.buffered_bytes {
        format!("{bytes} bytes are too much")
    } else {
        return Ok(());
    };
    state.note(LogLevel::Warn, format_args!("http_call: {problem}"));
    Err(Status::InternalFailure)
}

/// A token that no open call has; never 0.
fn new_token(state: &mut State) -> u32 {
    let calls = &mut state.calls;
    loop {
        calls.last_token = calls.last_token.wrapping_add(TOKEN_STEP);
        if calls.last_token != 0 && !calls.open.contains_key(&calls.last_token) {
            return calls.last_token;
        }
    }
}

fn size(pairs: &[(&[u8], &[u8])]) -> usize {
    pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

fn own(pairs: &[(&[u8], &[u8])]) -> Vec<(Bytes, Bytes)> {
    let own = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    pairs
        .iter()
        .map(|(name, value)| (own(name), own(value)))
        .collect()
}

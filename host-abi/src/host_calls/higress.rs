//! Higress's own functions: the endpoints of a backend, the choice among them, and data injected
//! into a response.
//!
//! Owns what a guest reads for an endpoint: its address, and JSON with `health_status`. Everything is
//! asked of the effective stream; a context that is none has no backend.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::Status;
use crate::memory::{OutBytes, Region};
use crate::pairs;
use crate::protobuf::Fields;
use crate::state::State;
use crate::stream::{HostHealth, Injected};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_upstream_hosts",
        |guest, ptr: u32, len: u32| { hosts(guest, OutBytes::new(ptr, len)) }
    );
    env_fn!(
        linker,
        "proxy_set_upstream_override_host",
        |guest, ptr: u32, len: u32| { override_host(guest, Region::new(ptr, len)) }
    );
    env_fn!(
        linker,
        "proxy_inject_encoded_data_to_filter_chain",
        |guest, ptr: u32, len: u32, end: u32| { inject(guest, Region::new(ptr, len), end != 0) }
    );
    Ok(())
}

fn hosts(guest: &mut Guest<'_, '_>, out: OutBytes) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let hosts = state
        .with_stream(|stream| stream.upstream_hosts())
        .flatten()
        .ok_or(Status::NotFound)?;
    let mut wire = guest.take_scratch();
    pairs::encode(&mut wire, &mut |pair| {
        for host in &hosts {
            let about: &[u8] = match host.health {
                HostHealth::Healthy => br#"{"health_status":"Healthy"}"#,
                HostHealth::Degraded => br#"{"health_status":"Degraded"}"#,
                HostHealth::Unhealthy => br#"{"health_status":"Unhealthy"}"#,
            };
            pair(host.address.as_bytes(), about);
        }
    });
    guest.give_scratch(wire, out)
}

fn override_host(guest: &mut Guest<'_, '_>, host: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let host = host.read(memory)?;
    let host = std::str::from_utf8(host).map_err(|_| Status::BadArgument)?;
    let chosen = state.with_stream(|stream| stream.override_upstream_host(host));
    match chosen {
        Some(true) => Ok(()),
        Some(false) => Err(Status::BadArgument.into()),
        None => Err(Status::NotFound.into()),
    }
}

fn inject(guest: &mut Guest<'_, '_>, data: Region, end: bool) -> Answer {
    let (memory, state) = guest.parts()?;
    let data = Bytes::copy_from_slice(data.read(memory)?);
    into_response(state, data, end)
}

/// The foreign function of the same purpose, whose arguments are a message: `body`, `endstream`.
pub(super) fn inject_on_header(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let (mut body, mut end): (&[u8], _) = (&[], false);
    for field in Fields::of(args.read(memory)?) {
        match field.map_err(Status::from)? {
            (1, field) => body = field.bytes().ok_or(Status::BadArgument)?,
            (2, field) => end = field.number().ok_or(Status::BadArgument)? != 0,
            _ => {}
        }
    }
    let body = Bytes::copy_from_slice(body);
    into_response(state, body, end)
}

fn into_response(state: &mut State, data: Bytes, end: bool) -> Answer {
    match state.with_stream(|stream| stream.inject_response(data, end)) {
        Some(Injected::Queued) => Ok(()),
        Some(Injected::TooMuch) => Err(Status::InternalFailure.into()),
        Some(Injected::Unavailable) | None => Err(Status::BadArgument.into()),
    }
}

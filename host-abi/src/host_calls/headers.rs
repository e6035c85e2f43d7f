//! Header maps and trailers, of the stream and of the answer to a call.
//!
//! Owns the statuses, which are Envoy's except where Envoy's make Rust filters panic: a write that
//! cannot take effect is answered OK. Validation of names and values is the embedder's.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::functions::AbiVersion;
use crate::kinds::{LogLevel, MapKind, Status};
use crate::memory::{OutBytes, Region, Slot};
use crate::pairs;
use crate::services::GrpcEvent;
use crate::state::{Input, State};
use crate::stream::{Edited, Field, HeaderEdit};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_header_map_value",
        |guest, map: u32, key: u32, key_len: u32, ptr: u32, len: u32| {
            get(
                guest,
                map,
                Region::new(key, key_len),
                OutBytes::new(ptr, len),
            )
        }
    );
    env_fn!(
        linker,
        "proxy_get_header_map_pairs",
        |guest, map: u32, ptr: u32, len: u32| { get_pairs(guest, map, OutBytes::new(ptr, len)) }
    );
    env_fn!(
        linker,
        "proxy_get_header_map_size",
        |guest, map: u32, out: u32| { size(guest, map, Slot(out)) }
    );
    env_fn!(
        linker,
        "proxy_set_header_map_pairs",
        |guest, map: u32, ptr: u32, len: u32| { set_pairs(guest, map, Region::new(ptr, len)) }
    );
    env_fn!(
        linker,
        "proxy_add_header_map_value",
        |guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (name, value) = (Region::new(key, key_len), Region::new(value, value_len));
            change(guest, map, name, value, |name, value| HeaderEdit::Add {
                name,
                value,
            })
        }
    );
    env_fn!(
        linker,
        "proxy_replace_header_map_value",
        |guest, map: u32, key: u32, key_len: u32, value: u32, value_len: u32| {
            let (name, value) = (Region::new(key, key_len), Region::new(value, value_len));
            change(guest, map, name, value, |name, value| HeaderEdit::Set {
                name,
                value,
            })
        }
    );
    env_fn!(
        linker,
        "proxy_remove_header_map_value",
        |guest, map: u32, key: u32, len: u32| {
            let nothing = Region::new(0, 0);
            change(guest, map, Region::new(key, len), nothing, |name, _| {
                HeaderEdit::Remove { name }
            })
        }
    );
    Ok(())
}

/// Whose map a guest means.
enum Whose {
    Stream(MapKind),
    CallHeaders,
    CallTrailers,
    GrpcInitial,
    GrpcTrailing,
}

fn whose(map: u32) -> Result<Whose, Status> {
    Ok(
        match MapKind::try_from(map).map_err(|_| Status::BadArgument)? {
            kind @ (MapKind::RequestHeaders
            | MapKind::RequestTrailers
            | MapKind::ResponseHeaders
            | MapKind::ResponseTrailers) => Whose::Stream(kind),
            MapKind::CallResponseHeaders => Whose::CallHeaders,
            MapKind::CallResponseTrailers => Whose::CallTrailers,
            MapKind::GrpcInitialMetadata => Whose::GrpcInitial,
            MapKind::GrpcTrailingMetadata => Whose::GrpcTrailing,
        },
    )
}

/// The map of the answer that the running callback is about.
fn call_map<'s>(state: &'s State, whose: &Whose) -> Option<&'s [(Bytes, Bytes)]> {
    match (whose, &state.running.input) {
        (Whose::CallHeaders, Input::CallResponse(response)) => Some(&response.headers),
        (Whose::CallTrailers, Input::CallResponse(response)) => Some(&response.trailers),
        (Whose::GrpcInitial, Input::Grpc(GrpcEvent::InitialMetadata(pairs)))
        | (Whose::GrpcTrailing, Input::Grpc(GrpcEvent::TrailingMetadata(pairs))) => Some(pairs),
        _ => None,
    }
}

fn get(guest: &mut Guest<'_, '_>, map: u32, name: Region, out: OutBytes) -> Answer {
    let mut value = guest.take_scratch();
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let name = name.read(memory)?;
    let whose = whose(map)?;
    let found = find(state, &whose, name, &mut value);
    let refusal = match found {
        Found::Yes => None,
        Found::NoMap if state.strict => Some(Status::BadArgument),
        // In 0.1.0 a missing field is an empty one.
        Found::NoMap | Found::NoField if state.abi == AbiVersion::V0_1_0 => None,
        Found::NoMap | Found::NoField => Some(Status::NotFound),
    };
    if let Some(status) = refusal {
        guest.keep_scratch(value);
        return Err(status.into());
    }
    guest.give_scratch(value, out)
}

/// What a look-up found.
enum Found {
    Yes,
    NoField,
    NoMap,
}

/// Copies the first value of a field.
fn find(state: &mut State, whose: &Whose, name: &[u8], value: &mut Vec<u8>) -> Found {
    if let Whose::Stream(kind) = whose {
        if is_gone(state, *kind) {
            return Found::NoMap;
        }
        let found = state.with_stream(|stream| match stream.field(*kind, name) {
            Field::Value(bytes) => {
                value.extend_from_slice(bytes);
                Found::Yes
            }
            Field::Absent => Found::NoField,
            Field::Unavailable => Found::NoMap,
        });
        return found.unwrap_or(Found::NoMap);
    }
    let Some(map) = call_map(state, whose) else {
        return Found::NoMap;
    };
    let field = map
        .iter()
        .find(|(other, _)| other.eq_ignore_ascii_case(name));
    match field {
        Some((_, bytes)) => {
            value.extend_from_slice(bytes);
            Found::Yes
        }
        None => Found::NoField,
    }
}

/// Whether a strict guest has given a map out of its hands by continuing the stream.
fn is_gone(state: &State, kind: MapKind) -> bool {
    let continued = state.running.continued;
    state.strict
        && match kind {
            MapKind::RequestHeaders | MapKind::RequestTrailers => continued.request,
            MapKind::ResponseHeaders | MapKind::ResponseTrailers => continued.response,
            _ => false,
        }
}

/// Calls `visit` with every pair; nothing for a map that is not available. Says whether it is.
fn visit(state: &mut State, whose: &Whose, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
    if let Whose::Stream(kind) = whose {
        if is_gone(state, *kind) {
            return false;
        }
        let visited = state.with_stream(|stream| stream.visit_fields(*kind, visit));
        return visited == Some(true);
    }
    let map = call_map(state, whose);
    for (name, value) in map.unwrap_or_default() {
        visit(name, value);
    }
    map.is_some()
}

fn get_pairs(guest: &mut Guest<'_, '_>, map: u32, out: OutBytes) -> Answer {
    let mut wire = guest.take_scratch();
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let whose = whose(map)?;
    pairs::encode(&mut wire, &mut |pair| {
        visit(state, &whose, pair);
    });
    guest.give_scratch(wire, out)
}

/// The bytes of all names and values, as in Envoy; not the number of fields.
fn size(guest: &mut Guest<'_, '_>, map: u32, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let mut bytes = 0_usize;
    let is_there = visit(state, &whose(map)?, &mut |name, value| {
        bytes += name.len() + value.len();
    });
    if !is_there {
        state.lenient(Status::BadArgument)?;
    }
    Ok(out.write_u32(memory, u32::try_from(bytes).unwrap_or(u32::MAX))?)
}

fn set_pairs(guest: &mut Guest<'_, '_>, map: u32, wire: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let pairs = pairs::decode(wire.read(memory)?);
    edit(state, map, HeaderEdit::ReplaceAll(&pairs))
}

fn change(
    guest: &mut Guest<'_, '_>,
    map: u32,
    name: Region,
    value: Region,
    make: for<'m> fn(&'m [u8], &'m [u8]) -> HeaderEdit<'m>,
) -> Answer {
    let (memory, state) = guest.parts()?;
    let memory = &*memory;
    edit(state, map, make(name.read(memory)?, value.read(memory)?))
}

/// Applies an edit. One that has no effect is answered OK, because the Rust SDK panics on anything
/// else, and said in the log.
fn edit(state: &mut State, map: u32, edit: HeaderEdit<'_>) -> Answer {
    let Whose::Stream(kind) = whose(map)? else {
        state.note(
            LogLevel::Debug,
            format_args!("an edit of read-only map {map} has no effect"),
        );
        return state.lenient(Status::BadArgument);
    };
    if is_gone(state, kind) {
        return Err(Status::BadArgument.into());
    }
    match state.with_stream(|stream| stream.edit(kind, edit)) {
        Some(Edited::Done) => return Ok(()),
        Some(Edited::Unavailable) => state.note(
            LogLevel::Debug,
            format_args!("an edit of {kind:?} has no effect, the map is not there now"),
        ),
        None => state.note(
            LogLevel::Warn,
            format_args!("an edit of {kind:?} has no effect, the context is no stream"),
        ),
    }
    state.lenient(Status::BadArgument)
}

//! `set_envoy_filter_state` and `declare_property`: typed state of a stream, as far as a host
//! without Envoy's filters can have it.
//!
//! Owns Envoy's messages `SetEnvoyFilterStateArguments` and `DeclarePropertyArguments`, and which keys
//! of Envoy's own there are. Values are kept as bytes for the exchange and can be read back as
//! `filter_state`; no key of Envoy's steers this host.

use super::super::guest::Guest;
use crate::host_calls::Answer;
use crate::kinds::{LogLevel, Status};
use crate::memory::Region;
use crate::protobuf::{Fields, Malformed};
use crate::state::{Declared, State};

/// The keys for which Envoy can make an object of bytes; it knows no others.
const KEYS: &[&str] = &[
    "envoy.filters.network.http_connection_manager.local_reply_owner",
    "envoy.network.application_protocols",
    "envoy.network.ip",
    "envoy.network.network_namespace",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.ratelimit.hits_addend",
    "envoy.string",
    "envoy.tcp_proxy.cluster",
    "envoy.tcp_proxy.disable_tunneling",
    "envoy.udp_proxy.cluster",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
];

/// Declarations that a plugin may make.
const MAX_DECLARED: usize = 256;
/// The longest name and the largest schema of one.
const MAX_NAME: usize = 4096;

impl From<Malformed> for Status {
    fn from(_: Malformed) -> Self {
        Self::BadArgument
    }
}

pub(super) fn set(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let (mut path, mut value) = ("", "");
    for field in Fields::of(args.read(memory)?) {
        match field.map_err(Status::from)? {
            (1, field) => path = field.text().ok_or(Status::BadArgument)?,
            (2, field) => value = field.text().ok_or(Status::BadArgument)?,
            _ => {}
        }
    }
    if !KEYS.contains(&path) {
        return Err(Status::NotFound.into());
    }
    let set = state.with_stream(|stream| stream.set_property(path.as_bytes(), value.as_bytes()));
    match set {
        Some(true) => Ok(()),
        Some(false) => Err(Status::InternalFailure.into()),
        None => Err(Status::NotFound.into()),
    }
}

pub(super) fn declare(guest: &mut Guest<'_, '_>, args: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let (mut name, mut read_only) = ("", false);
    for field in Fields::of(args.read(memory)?) {
        match field.map_err(Status::from)? {
            (1, field) => name = field.text().ok_or(Status::BadArgument)?,
            (2, field) => read_only = field.number().ok_or(Status::BadArgument)? != 0,
            // The type, the schema and the life span: every value is bytes here, for the exchange.
            _ => {}
        }
    }
    keep(state, name, read_only)
}

fn keep(state: &mut State, name: &str, read_only: bool) -> Answer {
    let root = state.root_mut().ok_or(Status::InternalFailure)?;
    if root.declared.iter().any(|known| *known.name == *name) {
        return Err(Status::BadArgument.into());
    }
    if name.len() > MAX_NAME || root.declared.len() >= MAX_DECLARED {
        state.note(
            LogLevel::Warn,
            format_args!("declare_property: too many declarations, or too long a name"),
        );
        return Err(Status::InternalFailure.into());
    }
    root.declared.push(Declared {
        name: name.into(),
        read_only,
    });
    Ok(())
}

//! Name resolution, which only Envoy offers (`envoy_resolve_dns`).
//!
//! Owns tokens and how many names may be looked up at once. Looking them up is the embedder's, after
//! the callback: the answer never comes before this call has returned.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::services::{DnsLookup, DnsToken};
use crate::state::State;

/// The longest name (RFC 1035 §2.3.4), with a last dot.
const MAX_NAME: usize = 254;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "envoy_resolve_dns",
        |guest, name: u32, len: u32, token: u32| {
            resolve(guest, Region::new(name, len), Slot(token))
        }
    );
    Ok(())
}

fn resolve(guest: &mut Guest<'_, '_>, name: Region, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let name = name.read(memory)?;
    let name = std::str::from_utf8(name)
        .ok()
        .filter(|name| name.len() <= MAX_NAME)
        .ok_or(Status::BadArgument)?
        .to_owned();
    let limit = state.limits().map_or(0, |limits| limits.open_calls);
    let plugin = state.contexts.effective().plugin;
    let asking = state.root().ok_or(Status::InternalFailure)?;
    if !state.services.may_resolve(asking.plugin.name()) {
        state.note(
            LogLevel::Warn,
            format_args!("resolve_dns: this plugin may not look up names"),
        );
        return Err(Status::InternalFailure.into());
    }
    let root = asking.context;
    let open = state.lookups.open.values();
    if open.filter(|other| **other == plugin).count() >= limit {
        state.note(
            LogLevel::Warn,
            format_args!("resolve_dns: {limit} names are being looked up"),
        );
        return Err(Status::InternalFailure.into());
    }
    let token = state.lookups.token();
    out.write_u32(memory, token)?;
    state.lookups.open.insert(token, plugin);
    state.lookups.queued.push(DnsLookup {
        token: DnsToken(token),
        root,
        name,
    });
    Ok(())
}

//! What all calls of a guest to backends have in common: permission, room, tokens.
//!
//! Owns the bounds: how many calls of a plugin may be open, and how many bytes may wait to be taken
//! by the embedder.

use bytes::Bytes;

use crate::calls::{CallKind, OpenCall};
use crate::context::ContextId;
use crate::kinds::{LogLevel, Status};
use crate::state::State;

/// Pairs as a guest wrote them.
pub(super) type Pairs<'m> = [(&'m [u8], &'m [u8])];

/// The named backend, if the calling plugin may call it.
pub(super) fn allowed<'m>(state: &State, backend: &'m [u8]) -> Option<&'m str> {
    let plugin = state.root()?.plugin.name();
    let name = std::str::from_utf8(backend).ok()?;
    state.services.may_call(plugin, name).then_some(name)
}

/// Says that there is no such backend.
#[cold]
pub(super) fn no_backend(state: &State, what: &str, backend: &[u8]) {
    let name = String::from_utf8_lossy(backend);
    state.note(
        LogLevel::Warn,
        format_args!("{what}: there is no backend {name:?} for this plugin"),
    );
}

/// Whether one more call with so many bytes may be queued; says why not.
pub(super) fn has_room(state: &State, what: &str, bytes: usize) -> bool {
    let Some(limits) = state.limits() else {
        return false;
    };
    let plugin = state.contexts.effective().plugin;
    let all = state.calls.open.values();
    let open = all.filter(|other| other.plugin == plugin).count();
    if open >= limits.open_calls {
        state.note(
            LogLevel::Warn,
            format_args!("{what}: {open} calls are open"),
        );
        return false;
    }
    fits(state, what, bytes)
}

/// Whether so many bytes more may be queued; says why not.
pub(super) fn fits(state: &State, what: &str, bytes: usize) -> bool {
    let limit = state.limits().map_or(0, |limits| limits.buffered_bytes);
    let fits = state.calls.queued_bytes.saturating_add(bytes) <= limit;
    if !fits {
        state.note(
            LogLevel::Warn,
            format_args!("{what}: {bytes} bytes are too much"),
        );
    }
    fits
}

/// The root context that calls, and a token for what it calls.
pub(super) fn open(state: &mut State, kind: CallKind) -> Result<(ContextId, u32), Status> {
    let root = state.root().ok_or(Status::InternalFailure)?.context;
    let asker = state.contexts.effective();
    let token = state.calls.new_token(kind);
    let call = OpenCall {
        plugin: asker.plugin,
        asker: asker.id,
        half_closed: false,
    };
    state.calls.open.insert(token, call);
    Ok((root, token))
}

/// The bytes of all names and values.
pub(super) fn size(pairs: &Pairs<'_>) -> usize {
    pairs
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum()
}

/// A copy that outlives the guest's memory.
pub(super) fn own(pairs: &Pairs<'_>) -> Vec<(Bytes, Bytes)> {
    let own = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    pairs
        .iter()
        .map(|(name, value)| (own(name), own(value)))
        .collect()
}

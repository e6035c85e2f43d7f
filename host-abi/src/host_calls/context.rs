//! The effective context, and the end of a context that asked to wait.
//!
//! Owns only the bookkeeping; `instance` resets the effective context at every entry and deletes
//! what was released.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::context::{ContextId, Kind};
use crate::kinds::{LogLevel, Status};
use crate::state::{RootEnd, State};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_set_effective_context",
        |guest, context: u32| { set_effective(guest, ContextId::from_guest(context)) }
    );
    env_fn!(linker, "proxy_done", |guest| done(guest));
    Ok(())
}

/// Makes later calls of this callback act on another live context of the plugin it belongs to.
fn set_effective(guest: &mut Guest<'_, '_>, id: ContextId) -> Answer {
    let state = guest.state();
    let own = state.running.plugin;
    let context = state.contexts.get(id).ok_or(Status::BadArgument)?;
    if context.plugin != own {
        // Plugins that share an instance are still strangers.
        state.note(
            LogLevel::Warn,
            format_args!("context {id} is another plugin's"),
        );
        return Err(Status::BadArgument.into());
    }
    state.contexts.set_effective(context);
    Ok(())
}

fn done(guest: &mut Guest<'_, '_>) -> Answer {
    let state = guest.state();
    if state.contexts.effective().kind != Kind::Root {
        return Err(Status::NotFound.into());
    }
    match state.root_mut() {
        Some(root) if root.end == RootEnd::Pending => {
            root.end = RootEnd::Released;
            Ok(())
        }
        _ => Err(Status::NotFound.into()),
    }
}

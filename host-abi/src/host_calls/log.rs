//! Logging by the guest.
//!
//! Owns the bound on a line. Escaping and attribution are the embedder's.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::LogLevel;
use crate::memory::{Region, Slot};
use crate::state::State;

/// The longest line; the rest is cut.
pub(super) const MAX_LINE: usize = 1 << 20;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_log",
        |guest, level: u32, ptr: u32, len: u32| { log(guest, level, Region::new(ptr, len)) }
    );
    env_fn!(linker, "proxy_get_log_level", |guest, out: u32| log_level(
        guest,
        Slot(out)
    ));
    Ok(())
}

fn log(guest: &mut Guest<'_, '_>, level: u32, text: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let text = text.read(memory)?;
    let level = LogLevel::try_from(level)?;
    state.log(level, text.get(..MAX_LINE).unwrap_or(text));
    Ok(())
}

fn log_level(guest: &mut Guest<'_, '_>, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    Ok(out.write_u32(memory, state.services.log_level().into())?)
}

//! The time of day and timers.
//!
//! Owns periods only as numbers: the embedder has the timers and calls `on_tick`.

use std::time::Duration;

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::memory::Slot;
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_current_time_nanoseconds",
        |guest, out: u32| { now(guest, Slot(out)) }
    );
    env_fn!(
        linker,
        "proxy_set_tick_period_milliseconds",
        |guest, period: u32| { set_tick_period(guest, period) }
    );
    Ok(())
}

fn now(guest: &mut Guest<'_, '_>, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    Ok(out.write_u64(memory, state.services.unix_nanos())?)
}

/// Sets the one timer of the effective context's root, also when a stream asks; 0 stops it.
fn set_tick_period(guest: &mut Guest<'_, '_>, millis: u32) -> Answer {
    let state = guest.state();
    let period = (millis > 0).then(|| Duration::from_millis(millis.into()));
    if let Some(root) = state.root_mut()
        && root.tick != period
    {
        root.tick = period;
        state.ticks_changed = true;
    }
    Ok(())
}

//! Environment variables, arguments, clocks, randomness and waiting.
//!
//! Owns only the calls; time and randomness are the embedder's, the variables the plugin's.

use wasmtime::Linker;

use super::{Errno, Guest, WasiAnswer, wasi_fn};
use crate::memory::{Region, Slot};
use crate::state::State;

/// The most random bytes at once, as in Envoy's host.
const MAX_RANDOM: u32 = 65_536;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(linker, "args_sizes_get", |guest, count: u32, bytes: u32| {
        let (memory, _) = guest.parts()?;
        Slot(count).write_u32(memory, 0)?;
        Ok(Slot(bytes).write_u32(memory, 0)?)
    });
    wasi_fn!(linker, "args_get", |_guest, _argv: u32, _text: u32| Ok(()));
    wasi_fn!(
        linker,
        "environ_sizes_get",
        |guest, count: u32, bytes: u32| { environment_sizes(guest, Slot(count), Slot(bytes)) }
    );
    wasi_fn!(linker, "environ_get", |guest, pointers: u32, text: u32| {
        environment(guest, Slot(pointers), text)
    });
    wasi_fn!(
        linker,
        "clock_time_get",
        |guest, clock: u32, _precision: u64, out: u32| {
            let (memory, state) = guest.parts()?;
            let now = match clock {
                0 => state.services.unix_nanos(),
                1 => state.services.monotonic_nanos(),
                _ => return Err(Errno::NOTSUP),
            };
            Ok(Slot(out).write_u64(memory, now)?)
        }
    );
    wasi_fn!(linker, "clock_res_get", |guest, clock: u32, out: u32| {
        let (memory, _) = guest.parts()?;
        if clock > 1 {
            return Err(Errno::NOTSUP);
        }
        Ok(Slot(out).write_u64(memory, 1)?)
    });
    wasi_fn!(linker, "random_get", |guest, ptr: u32, len: u32| random(
        guest, ptr, len
    ));
    wasi_fn!(linker, "sched_yield", |_guest| Ok(()));
    // Nothing ever happens at once: Go's runtime aborts on any error here.
    wasi_fn!(
        linker,
        "poll_oneoff",
        |guest, _in: u32, _out: u32, _subscriptions: u32, n: u32| {
            let (memory, _) = guest.parts()?;
            Ok(Slot(n).write_u32(memory, 0)?)
        }
    );
    Ok(())
}

fn variables(state: &State) -> &[(String, String)] {
    state
        .plugins
        .first()
        .map_or(&[], |root| &root.plugin.spec().env)
}

/// The bytes of `NAME=value` and its NUL.
fn packed_len((name, value): &(String, String)) -> usize {
    name.len() + value.len() + 2
}

fn environment_sizes(guest: &mut Guest<'_, '_>, count: Slot, bytes: Slot) -> WasiAnswer {
    let (memory, state) = guest.parts()?;
    let variables = variables(state);
    let total: usize = variables.iter().map(packed_len).sum();
    let number = |value: usize| u32::try_from(value).map_err(|_| Errno::INVAL);
    count.write_u32(memory, number(variables.len())?)?;
    Ok(bytes.write_u32(memory, number(total)?)?)
}

fn environment(guest: &mut Guest<'_, '_>, pointers: Slot, text: u32) -> WasiAnswer {
    let (memory, state) = guest.parts()?;
    let (mut pointer, mut text) = (pointers, text);
    for variable in variables(state) {
        let packed = format!("{}={}\0", variable.0, variable.1);
        let len = u32::try_from(packed.len()).map_err(|_| Errno::INVAL)?;
        pointer.write_u32(memory, text)?;
        Region::new(text, len).fill(memory, packed.as_bytes())?;
        pointer = pointer.plus(4);
        text = text.saturating_add(len);
    }
    Ok(())
}

fn random(guest: &mut Guest<'_, '_>, ptr: u32, len: u32) -> WasiAnswer {
    if len > MAX_RANDOM {
        return Err(Errno::INVAL);
    }
    let (memory, state) = guest.parts()?;
    state
        .services
        .fill_random(Region::new(ptr, len).get_mut(memory)?);
    Ok(())
}

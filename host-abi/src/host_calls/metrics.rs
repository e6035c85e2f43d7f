//! Metrics of the guest.
//!
//! Owns the numbers a guest has for metrics: those of Envoy, with the kind in the low two bits, and
//! never 0. They belong to the instance; the values behind them to the process.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::{MetricKind, Status};
use crate::memory::{Region, Slot};
use crate::metrics::{MetricHandle, WrongKind};
use crate::state::State;

/// The bits of a number that say the kind.
const KIND_BITS: u32 = 2;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_define_metric",
        |guest, kind: u32, name: u32, len: u32, out: u32| {
            define(guest, kind, Region::new(name, len), Slot(out))
        }
    );
    env_fn!(
        linker,
        "proxy_increment_metric",
        |guest, id: u32, delta: i64| {
            let state = guest.state();
            let handle = handle(state, id)?;
            handle.increment(delta).map_err(wrong_kind)?;
            if delta == 0 && handle.kind() == MetricKind::Counter {
                state.lenient(Status::BadArgument)?;
            }
            Ok(())
        }
    );
    env_fn!(
        linker,
        "proxy_record_metric",
        |guest, id: u32, value: u64| {
            handle(guest.state(), id)?.record(value);
            Ok(())
        }
    );
    env_fn!(linker, "proxy_get_metric", |guest, id: u32, out: u32| get(
        guest,
        id,
        Slot(out)
    ));
    Ok(())
}

const fn wrong_kind(WrongKind: WrongKind) -> Status {
    Status::BadArgument
}

fn define(guest: &mut Guest<'_, '_>, kind: u32, name: Region, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 4)?;
    let name = name.read(memory)?;
    let kind = MetricKind::try_from(kind)?;
    let plugin = state.root().ok_or(Status::InternalFailure)?.plugin.name();
    let handle = state.services.metrics().define(plugin, kind, name);
    let known = state.metrics.iter().position(|other| other.is(&handle));
    let at = known.unwrap_or(state.metrics.len());
    if known.is_none() {
        state.metrics.push(handle);
    }
    let number = u32::try_from(at + 1).map_err(|_| Status::InternalFailure)?;
    Ok(out.write_u32(memory, (number << KIND_BITS) | u32::from(kind))?)
}

fn get(guest: &mut Guest<'_, '_>, id: u32, out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory, 8)?;
    // As Envoy, which looks at the kind in the number first: only counters and gauges can be read.
    if id & ((1 << KIND_BITS) - 1) > u32::from(MetricKind::Gauge) {
        return Err(Status::BadArgument.into());
    }
    let value = handle(state, id)?.get().map_err(wrong_kind)?;
    Ok(out.write_u64(memory, value)?)
}

fn handle(state: &State, id: u32) -> Result<&MetricHandle, Status> {
    let at = (id >> KIND_BITS).checked_sub(1).ok_or(Status::NotFound)?;
    state
        .metrics
        .get(at as usize)
        .filter(|handle| u32::from(handle.kind()) == id & ((1 << KIND_BITS) - 1))
        .ok_or(Status::NotFound)
}

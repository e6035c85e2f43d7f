//! Shared data.
//!
//! Owns the statuses; the data are in `shared`, in the space of the calling plugin.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::Status;
use crate::memory::{OutBytes, Region, Slot};
use crate::shared::CasMismatch;
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_shared_data",
        |guest, key: u32, key_len: u32, ptr: u32, len: u32, cas: u32| {
            get(
                guest,
                Region::new(key, key_len),
                OutBytes::new(ptr, len),
                Slot(cas),
            )
        }
    );
    env_fn!(
        linker,
        "proxy_set_shared_data",
        |guest, key: u32, key_len: u32, value: u32, value_len: u32, cas: u32| {
            set(
                guest,
                Region::new(key, key_len),
                Region::new(value, value_len),
                cas,
            )
        }
    );
    Ok(())
}

fn get(guest: &mut Guest<'_, '_>, key: Region, out: OutBytes, cas_out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    cas_out.check(memory, 4)?;
    let key = key.read(memory)?;
    let space = state
        .root()
        .ok_or(Status::InternalFailure)?
        .plugin
        .shared_space();
    let (value, cas) = state
        .services
        .shared()
        .get(space, key)
        .ok_or(Status::NotFound)?;
    cas_out.write_u32(memory, cas)?;
    guest.give(&value, out)
}

fn set(guest: &mut Guest<'_, '_>, key: Region, value: Region, cas: u32) -> Answer {
    let (memory, state) = guest.parts()?;
    let (key, value) = (key.read(memory)?, value.read(memory)?);
    let space = state
        .root()
        .ok_or(Status::InternalFailure)?
        .plugin
        .shared_space();
    match state.services.shared().set(space, key, value, cas) {
        Ok(()) => Ok(()),
        Err(CasMismatch) => Err(Status::CasMismatch.into()),
    }
}

//! Foreign functions: host features by name, which a host may lack without refusing the module.
//!
//! Owns the names. Every other name is NOT_FOUND, which all SDKs take.

use wasmtime::Linker;

use super::guest::Guest;
use super::local_response::on_stream;
use super::{Answer, env_fn};
use crate::kinds::Status;
use crate::memory::{Region, Slot};
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_call_foreign_function",
        |guest, name: u32, name_len: u32, args: u32, args_len: u32, ptr: u32, len: u32| {
            let (name, args) = (Region::new(name, name_len), Region::new(args, args_len));
            call(
                guest,
                name,
                args,
                Wanted {
                    ptr: slot(ptr),
                    len: slot(len),
                },
            )
        }
    );
    Ok(())
}

/// Where the result goes; a guest may want neither.
#[derive(Clone, Copy)]
struct Wanted {
    ptr: Option<Slot>,
    len: Option<Slot>,
}

fn slot(address: u32) -> Option<Slot> {
    (address != 0).then_some(Slot(address))
}

fn call(guest: &mut Guest<'_, '_>, name: Region, args: Region, wanted: Wanted) -> Answer {
    let (memory, state) = guest.parts()?;
    for out in [wanted.ptr, wanted.len].into_iter().flatten() {
        out.check(memory, 4)?;
    }
    args.read(memory)?;
    match name.read(memory)? {
        b"clear_route_cache" => {
            on_stream(guest, "clear_route_cache", |stream| {
                stream.clear_route_cache();
            })?;
            give(guest, &[], wanted)
        }
        b"get_log_level" => {
            let level = u32::from(state.services.log_level());
            give(guest, &level.to_le_bytes(), wanted)
        }
        _ => Err(Status::NotFound.into()),
    }
}

fn give(guest: &mut Guest<'_, '_>, result: &[u8], wanted: Wanted) -> Answer {
    let len = u32::try_from(result.len()).map_err(|_| Status::InternalFailure)?;
    if let Some(out) = wanted.ptr {
        let ptr = guest.allocate(len)?;
        let (memory, _) = guest.parts()?;
        Region::new(ptr, len).fill(memory, result)?;
        out.write_u32(memory, ptr)?;
    }
    if let Some(out) = wanted.len {
        let (memory, _) = guest.parts()?;
        out.write_u32(memory, len)?;
    }
    Ok(())
}

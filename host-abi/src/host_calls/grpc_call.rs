//! gRPC calls, which this host cannot make yet.
//!
//! Owns answers that every SDK turns into an error of the one call: modules that can do without
//! gRPC load and run.

use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::kinds::Status;
use crate::memory::Region;
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_grpc_call",
        |guest,
         backend: u32,
         backend_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         message: u32,
         message_len: u32,
         _timeout: u32,
         token: u32| {
            let regions = [
                Region::new(backend, backend_len),
                Region::new(service, service_len),
                Region::new(method, method_len),
                Region::new(metadata, metadata_len),
                Region::new(message, message_len),
                Region::new(token, 4),
            ];
            refuse(guest, &regions, Status::ParseFailure)
        }
    );
    env_fn!(
        linker,
        "proxy_grpc_stream",
        |guest,
         backend: u32,
         backend_len: u32,
         service: u32,
         service_len: u32,
         method: u32,
         method_len: u32,
         metadata: u32,
         metadata_len: u32,
         token: u32| {
            let regions = [
                Region::new(backend, backend_len),
                Region::new(service, service_len),
                Region::new(method, method_len),
                Region::new(metadata, metadata_len),
                Region::new(token, 4),
            ];
            refuse(guest, &regions, Status::ParseFailure)
        }
    );
    env_fn!(
        linker,
        "proxy_grpc_send",
        |guest, _token: u32, ptr: u32, len: u32, _end: u32| {
            refuse(guest, &[Region::new(ptr, len)], Status::NotFound)
        }
    );
    env_fn!(linker, "proxy_grpc_cancel", |guest, _token: u32| {
        refuse(guest, &[], Status::NotFound)
    });
    env_fn!(linker, "proxy_grpc_close", |guest, _token: u32| {
        refuse(guest, &[], Status::NotFound)
    });
    Ok(())
}

/// Refuses a call, its addresses first: a broken guest hears of those in any case.
fn refuse(guest: &mut Guest<'_, '_>, regions: &[Region], status: Status) -> Answer {
    let (memory, _) = guest.parts()?;
    for region in regions {
        region.read(memory)?;
    }
    Err(status.into())
}

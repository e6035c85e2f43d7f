//! Foreign functions: host features by name, which a host may lack without refusing the module.
//!
//! Owns the names and where results go. Every other name is NOT_FOUND, which all SDKs take; Envoy's
//! `expr_create`, `expr_evaluate` and `expr_delete` are among those, because there is no CEL here.

mod compression;
mod fail_attempt;
mod filter_state;
mod limit;
mod redis;
mod select;
mod setup;
mod signature;
mod verify;

use wasmtime::Linker;

use super::guest::Guest;
use super::local_response::on_stream;
use super::{Answer, env_fn};
use crate::fault::HostCallError;
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

/// A function the guest means.
#[derive(Clone, Copy)]
enum Function {
    ClearRouteCache,
    GetLogLevel,
    Compress,
    Uncompress,
    SetFilterState,
    DeclareProperty,
    VerifySignature,
    Sign,
    Inject,
    Limit,
    Redis,
    SelectBackend,
    FailAttempt,
    SetupPending,
    SetupDone,
    Verify,
}

/// The names that `proxy_call_foreign_function` of ABI 0.2.1 knows here. The specification leaves them
/// to hosts: these are Envoy's, Higress's and our own.
pub const FOREIGN_FUNCTIONS: &[&str] = &[
    "clear_route_cache",
    "compress",
    "declare_property",
    "get_log_level",
    "inject_encoded_data_to_filter_chain_on_header",
    "set_envoy_filter_state",
    "sign",
    "tidegate.fail_attempt",
    "tidegate.limit",
    "tidegate.redis",
    "tidegate.select_backend",
    "tidegate.setup_done",
    "tidegate.setup_pending",
    "tidegate.verify",
    "uncompress",
    "verify_signature",
];

fn named(name: &[u8]) -> Option<Function> {
    Some(match name {
        b"clear_route_cache" => Function::ClearRouteCache,
        b"get_log_level" => Function::GetLogLevel,
        b"compress" => Function::Compress,
        b"uncompress" => Function::Uncompress,
        b"set_envoy_filter_state" => Function::SetFilterState,
        b"declare_property" => Function::DeclareProperty,
        b"verify_signature" => Function::VerifySignature,
        b"sign" => Function::Sign,
        b"inject_encoded_data_to_filter_chain_on_header" => Function::Inject,
        b"tidegate.fail_attempt" => Function::FailAttempt,
        b"tidegate.limit" => Function::Limit,
        b"tidegate.redis" => Function::Redis,
        b"tidegate.select_backend" => Function::SelectBackend,
        b"tidegate.setup_pending" => Function::SetupPending,
        b"tidegate.setup_done" => Function::SetupDone,
        b"tidegate.verify" => Function::Verify,
        _ => return None,
    })
}

fn call(guest: &mut Guest<'_, '_>, name: Region, args: Region, wanted: Wanted) -> Answer {
    let (memory, _) = guest.parts()?;
    for out in [wanted.ptr, wanted.len].into_iter().flatten() {
        out.check(memory, 4)?;
    }
    args.read(memory)?;
    let function = named(name.read(memory)?).ok_or(Status::NotFound)?;
    let mut result = guest.take_scratch();
    let ran = run(guest, function, args, &mut result);
    if ran.is_err() {
        result.clear();
    }
    if let Err(HostCallError::Fault(_)) = ran {
        return ran;
    }
    // As in Envoy the guest finds an empty result beside a refusal, not what was there before.
    let given = give(guest, &result, wanted);
    guest.keep_scratch(result);
    given.and(ran)
}

fn run(
    guest: &mut Guest<'_, '_>,
    function: Function,
    args: Region,
    result: &mut Vec<u8>,
) -> Answer {
    match function {
        Function::ClearRouteCache => on_stream(guest, "clear_route_cache", |stream| {
            stream.clear_route_cache();
        }),
        Function::GetLogLevel => {
            let level = u32::from(guest.state().services.log_level());
            result.extend_from_slice(&level.to_le_bytes());
            Ok(())
        }
        Function::Compress => compression::compress(guest, args, result),
        Function::Uncompress => compression::uncompress(guest, args, result),
        Function::SetFilterState => filter_state::set(guest, args),
        Function::DeclareProperty => filter_state::declare(guest, args),
        Function::VerifySignature => signature::verify(guest, args, result),
        Function::Sign => signature::sign(guest, args, result),
        Function::Inject => super::higress::inject_on_header(guest, args),
        Function::FailAttempt => fail_attempt::plan(guest, args),
        Function::Limit => limit::ask(guest, args, result),
        Function::Redis => redis::call(guest, args, result),
        Function::SelectBackend => select::select(guest, args),
        Function::SetupPending => setup::pending(guest),
        Function::SetupDone => setup::done(guest, args),
        Function::Verify => verify::verify(guest, args, result),
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

#[cfg(test)]
mod tests {
    use super::{FOREIGN_FUNCTIONS, named};

    #[test]
    fn every_listed_name_is_known() {
        for name in FOREIGN_FUNCTIONS {
            assert!(named(name.as_bytes()).is_some(), "{name}");
        }
        assert!(named(b"expr_create").is_none());
    }
}

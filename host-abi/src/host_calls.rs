//! What a guest may call: one file for each chapter of the specification.
//!
//! Owns the glue between wasmtime and those files: every call passes through [`answer`], which
//! checks permission and turns the outcome into a number or a trap. The files decide statuses and
//! never meet wasmtime's errors.
//!
//! Invariant: no host call enters the guest, except for the guest's own allocator.

mod body;
mod callout;
mod clock;
mod context;
mod dns;
pub(crate) mod foreign;
mod grpc_call;
mod guest;
mod headers;
mod higress;
mod http_call;
mod local_response;
mod log;
mod metrics;
mod property;
mod redis_call;
mod shared_data;
mod shared_queue;
mod wasi;

#[cfg(test)]
mod tests;

use wasmtime::{Caller, Linker};

use crate::fault::HostCallError;
use crate::functions::{ImportId, Namespace};
use crate::kinds::{LogLevel, Status, UnknownNumber};
use crate::state::State;
use guest::Guest;

/// What a host call of `env` comes to.
type Answer = Result<(), HostCallError>;

/// Defines a function of `env` whose body sees the guest and its arguments.
macro_rules! env_fn {
    ($linker:ident, $name:literal, |$guest:ident $(, $arg:ident: $ty:ty)*| $body:expr) => {{
        let id = $crate::host_calls::row("env", $name)?;
        $linker.func_wrap(
            "env",
            $name,
            move |mut caller: wasmtime::Caller<'_, $crate::state::State> $(, $arg: $ty)*| {
                $crate::host_calls::answer(&mut caller, id, |$guest| $body)
            },
        )?;
    }};
}
use env_fn;

/// Puts every host function into the linker.
pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    body::link(linker)?;
    clock::link(linker)?;
    context::link(linker)?;
    dns::link(linker)?;
    foreign::link(linker)?;
    grpc_call::link(linker)?;
    headers::link(linker)?;
    higress::link(linker)?;
    http_call::link(linker)?;
    local_response::link(linker)?;
    log::link(linker)?;
    metrics::link(linker)?;
    property::link(linker)?;
    redis_call::link(linker)?;
    shared_data::link(linker)?;
    shared_queue::link(linker)?;
    wasi::link(linker)
}

fn row(module: &str, name: &str) -> wasmtime::Result<ImportId> {
    ImportId::find(module, name)
        .ok_or_else(|| wasmtime::Error::msg(format!("{module}.{name} is not in the ABI table")))
}

/// Runs a host call and gives the guest its status.
fn answer(
    caller: &mut Caller<'_, State>,
    id: ImportId,
    call: impl FnOnce(&mut Guest<'_, '_>) -> Answer,
) -> wasmtime::Result<u32> {
    if caller.data().forbidden.has(id) {
        refuse(caller, id, Namespace::Env);
        return Ok(Status::InternalFailure.into());
    }
    match call(&mut Guest::new(caller)) {
        Ok(()) => Ok(Status::Ok.into()),
        Err(HostCallError::Refuse(status)) => Ok(status.into()),
        Err(HostCallError::Fault(fault)) => Err(wasmtime::Error::new(fault)),
    }
}

/// Says why a call was refused before it was looked at.
#[cold]
fn refuse(caller: &Caller<'_, State>, id: ImportId, namespace: Namespace) {
    let state = caller.data();
    let name = id.name();
    if state.denied().has(id) {
        state.note(
            LogLevel::Error,
            format_args!("{name} is not allowed for this plugin"),
        );
    } else if namespace == Namespace::Env {
        state.note(LogLevel::Warn, format_args!("{name} cannot be called now"));
    }
}

impl From<UnknownNumber> for HostCallError {
    fn from(_: UnknownNumber) -> Self {
        Self::Refuse(Status::BadArgument)
    }
}

//! WASI, as far as filters need it: standard output, clocks, randomness, environment.
//!
//! Owns both module names with the real preview 1 arities. There are no files and no sockets; what
//! concerns them answers an errno that the C library, Rust's std and Go's runtime take calmly at
//! their start. The behaviour is that of Envoy's host, whose deviations real modules depend on:
//! `poll_oneoff` returns at once, `fd_prestat_get` ends the scan for folders.

mod environment;
mod files;
mod output;

use wasmtime::{Caller, Linker};

use super::guest::Guest;
use crate::fault::HostCallError;
use crate::functions::{ImportId, Namespace};
use crate::kinds::Status;
use crate::state::State;

/// A WASI error number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Errno(u32);

impl Errno {
    const SUCCESS: Self = Self(0);
    const BADF: Self = Self(8);
    const NOTDIR: Self = Self(20);
    const FAULT: Self = Self(21);
    const INVAL: Self = Self(28);
    const NOENT: Self = Self(44);
    const NOSYS: Self = Self(52);
    const NOTSUP: Self = Self(58);
    const SPIPE: Self = Self(70);
    const NOTCAPABLE: Self = Self(76);
}

/// What a WASI call comes to. None of them ends the guest: they never call its allocator.
type WasiAnswer = Result<(), Errno>;

/// Memory is checked as for `env`; here a bad address is a fault.
impl From<Status> for Errno {
    fn from(_: Status) -> Self {
        Self::FAULT
    }
}

impl From<HostCallError> for Errno {
    fn from(_: HostCallError) -> Self {
        Self::FAULT
    }
}

/// Defines a WASI function under both module names.
macro_rules! wasi_fn {
    ($linker:ident, $name:literal, |$guest:ident $(, $arg:ident: $ty:ty)*| $body:expr) => {
        for module in $crate::functions::Namespace::Wasi.modules() {
            let id = $crate::host_calls::row(module, $name)?;
            $linker.func_wrap(
                module,
                $name,
                move |mut caller: wasmtime::Caller<'_, $crate::state::State> $(, $arg: $ty)*| {
                    $crate::host_calls::wasi::answer(&mut caller, id, |$guest| $body)
                },
            )?;
        }
    };
}
use wasi_fn;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    environment::link(linker)?;
    output::link(linker)?;
    files::link(linker)
}

fn answer(
    caller: &mut Caller<'_, State>,
    id: ImportId,
    call: impl FnOnce(&mut Guest<'_, '_>) -> WasiAnswer,
) -> wasmtime::Result<u32> {
    if caller.data().forbidden.has(id) {
        super::refuse(caller, id, Namespace::Wasi);
        return Ok(Errno::NOTCAPABLE.0);
    }
    Ok(call(&mut Guest::new(caller))
        .err()
        .unwrap_or(Errno::SUCCESS)
        .0)
}

//! Standard output and error, which become log lines; and the end of the process.
//!
//! Owns the non-WASI helpers of `env` too, which exist for the same runtimes.

use wasmtime::{Caller, Linker};

use super::{Errno, Guest, WasiAnswer, wasi_fn};
use crate::fault::{Fault, FaultKind, GuestExit};
use crate::host_calls::log::MAX_LINE;
use crate::kinds::{LogLevel, Status};
use crate::memory::{Region, Slot};
use crate::state::State;

/// Vectors of one write, as on Linux.
const MAX_VECTORS: u32 = 1024;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(
        linker,
        "fd_write",
        |guest, fd: u32, iovs: u32, count: u32, out: u32| {
            write(guest, fd, Vectors { iovs, count }, Slot(out))
        }
    );
    wasi_fn!(
        linker,
        "fd_pwrite",
        |guest, fd: u32, iovs: u32, count: u32, _offset: u64, out: u32| {
            write(guest, fd, Vectors { iovs, count }, Slot(out))
        }
    );
    for module in ["wasi_snapshot_preview1", "wasi_unstable"] {
        linker.func_wrap(module, "proc_exit", |code: u32| -> wasmtime::Result<()> {
            Err(wasmtime::Error::new(GuestExit(code)))
        })?;
    }
    linker.func_wrap("env", "emscripten_notify_memory_growth", |_memory: u32| {})?;
    linker.func_wrap("env", "pthread_equal", |a: u32, b: u32| u32::from(a == b))?;
    linker.func_wrap("env", "abort", abort)?;
    Ok(())
}

/// Where the pieces of a write are listed.
#[derive(Clone, Copy)]
struct Vectors {
    iovs: u32,
    count: u32,
}

/// Logs what is written as one line, without its last newline.
fn write(guest: &mut Guest<'_, '_>, fd: u32, vectors: Vectors, out: Slot) -> WasiAnswer {
    let level = match fd {
        1 => LogLevel::Info,
        2 => LogLevel::Error,
        _ => return Err(Errno::BADF),
    };
    let mut line = guest.take_scratch();
    let written = collect(guest, vectors, out, &mut line);
    if written.is_ok() {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        guest
            .state()
            .log(level, text.get(..MAX_LINE).unwrap_or(text));
    }
    guest.keep_scratch(line);
    written
}

/// Puts the pieces together, up to a bound, and tells the guest that all of them were written.
fn collect(
    guest: &mut Guest<'_, '_>,
    Vectors { iovs, count }: Vectors,
    out: Slot,
    line: &mut Vec<u8>,
) -> WasiAnswer {
    if count > MAX_VECTORS {
        return Err(Errno::INVAL);
    }
    let (memory, _) = guest.parts()?;
    let mut total: u32 = 0;
    for vector in Region::new(iovs, count * 8)
        .read(memory)?
        .as_chunks::<8>()
        .0
    {
        let [a, b, c, d, e, f, g, h] = *vector;
        let piece = Region::new(
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        total = total.saturating_add(piece.len());
        if line.len() <= MAX_LINE {
            line.extend_from_slice(piece.read(memory)?);
        }
    }
    Ok(out.write_u32(memory, total)?)
}

/// AssemblyScript's failed assertion: logs what it says and where, then traps.
fn abort(
    mut caller: Caller<'_, State>,
    message: u32,
    file: u32,
    line: u32,
    column: u32,
) -> wasmtime::Result<()> {
    let mut guest = Guest::new(&mut caller);
    let text = utf16(&mut guest, message).unwrap_or_default();
    let file = utf16(&mut guest, file).unwrap_or_default();
    let said = format!("abort: {text} at {file}:{line}:{column}");
    guest.state().log(LogLevel::Critical, said.as_bytes());
    let callback = guest.state().running.callback;
    Err(wasmtime::Error::new(Fault {
        kind: FaultKind::Trap,
        callback,
        message: said.into(),
        backtrace: Default::default(),
    }))
}

/// A string of AssemblyScript: UTF-16 with its length in bytes before it.
fn utf16(guest: &mut Guest<'_, '_>, ptr: u32) -> Option<String> {
    const MAX_BYTES: u32 = 4096;

    let (memory, _) = guest.parts().ok()?;
    let read = |region: Region| -> Result<&[u8], Status> { region.read(memory) };
    let len = read(Region::new(ptr.checked_sub(4)?, 4)).ok()?;
    let len = u32::from_le_bytes(*len.first_chunk()?).min(MAX_BYTES);
    let units = read(Region::new(ptr, len)).ok()?.as_chunks::<2>().0;
    let units = units.iter().map(|unit| u16::from_le_bytes(*unit));
    Some(
        char::decode_utf16(units)
            .map(|unit| unit.unwrap_or('\u{fffd}'))
            .collect(),
    )
}

//! Files and sockets, of which there are none.
//!
//! Owns the errnos. Those of standard output and error succeed where a runtime would give up
//! otherwise.

use wasmtime::Linker;

use super::{Errno, Guest, WasiAnswer, wasi_fn};
use crate::memory::{Region, Slot};
use crate::state::State;

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    status(linker)?;
    inert(linker)?;
    paths(linker)?;
    sockets(linker)
}

/// Whether a file descriptor is standard output or error, the only ones there are.
fn standard(fd: u32) -> WasiAnswer {
    match fd {
        1 | 2 => Ok(()),
        _ => Err(Errno::BADF),
    }
}

/// Calls that write something.
fn status(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(linker, "fd_fdstat_get", |guest, fd: u32, out: u32| fdstat(
        guest, fd, out
    ));
    wasi_fn!(
        linker,
        "fd_readdir",
        |guest, _fd: u32, _buffer: u32, _len: u32, _cookie: u64, used: u32| {
            let (memory, _) = guest.parts()?;
            Slot(used).write_u32(memory, 0)?;
            Err(Errno::NOTDIR)
        }
    );
    wasi_fn!(linker, "fd_tell", |guest, _fd: u32, out: u32| {
        let (memory, _) = guest.parts()?;
        Ok(Slot(out).write_u64(memory, 0)?)
    });
    Ok(())
}

/// A status of zeros with the right to write.
fn fdstat(guest: &mut Guest<'_, '_>, fd: u32, out: u32) -> WasiAnswer {
    const SIZE: u32 = 24;
    const RIGHTS_AT: usize = 8;
    const RIGHT_TO_WRITE: u8 = 64;

    standard(fd)?;
    let mut status = [0; SIZE as usize];
    if let Some(rights) = status.get_mut(RIGHTS_AT) {
        *rights = RIGHT_TO_WRITE;
    }
    let (memory, _) = guest.parts()?;
    Ok(Region::new(out, SIZE).fill(memory, &status)?)
}

/// Calls on file descriptors that do nothing.
fn inert(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(
        linker,
        "fd_advise",
        |_guest, _fd: u32, _a: u64, _b: u64, _c: u32| Ok(())
    );
    wasi_fn!(
        linker,
        "fd_allocate",
        |_guest, fd: u32, _a: u64, _b: u64| standard(fd)
    );
    wasi_fn!(linker, "fd_datasync", |_guest, fd: u32| standard(fd));
    wasi_fn!(linker, "fd_sync", |_guest, fd: u32| standard(fd));
    wasi_fn!(
        linker,
        "fd_fdstat_set_rights",
        |_guest, fd: u32, _a: u64, _b: u64| standard(fd)
    );
    wasi_fn!(
        linker,
        "fd_filestat_set_size",
        |_guest, fd: u32, _a: u64| standard(fd)
    );
    wasi_fn!(
        linker,
        "fd_filestat_set_times",
        |_guest, fd: u32, _a: u64, _b: u64, _c: u32| standard(fd)
    );
    wasi_fn!(linker, "fd_close", |_guest, _fd: u32| Ok(()));
    wasi_fn!(linker, "fd_filestat_get", |_guest, _fd: u32, _a: u32| Err(
        Errno::BADF
    ));
    wasi_fn!(linker, "fd_prestat_get", |_guest, _fd: u32, _a: u32| Err(
        Errno::BADF
    ));
    wasi_fn!(
        linker,
        "fd_prestat_dir_name",
        |_guest, _fd: u32, _a: u32, _b: u32| Err(Errno::NOSYS)
    );
    wasi_fn!(
        linker,
        "fd_fdstat_set_flags",
        |_guest, _fd: u32, _a: u32| Err(Errno::NOSYS)
    );
    wasi_fn!(
        linker,
        "fd_read",
        |_guest, _fd: u32, _a: u32, _b: u32, _c: u32| Err(Errno::NOSYS)
    );
    wasi_fn!(
        linker,
        "fd_pread",
        |_guest, _fd: u32, _a: u32, _b: u32, _c: u64, _d: u32| Err(Errno::NOSYS)
    );
    wasi_fn!(linker, "fd_renumber", |_guest, _a: u32, _b: u32| Err(
        Errno::NOTSUP
    ));
    wasi_fn!(
        linker,
        "fd_seek",
        |_guest, _fd: u32, _a: u64, _b: u32, _c: u32| Err(Errno::SPIPE)
    );
    Ok(())
}

fn paths(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(
        linker,
        "path_open",
        |_guest,
         _a: u32,
         _b: u32,
         _c: u32,
         _d: u32,
         _e: u32,
         _f: u64,
         _g: u64,
         _h: u32,
         _i: u32| Err(Errno::NOENT)
    );
    wasi_fn!(
        linker,
        "path_filestat_get",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_filestat_set_times",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u64, _f: u64, _g: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_create_directory",
        |_guest, _a: u32, _b: u32, _c: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_link",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u32, _f: u32, _g: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_readlink",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u32, _f: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_remove_directory",
        |_guest, _a: u32, _b: u32, _c: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_rename",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u32, _f: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_symlink",
        |_guest, _a: u32, _b: u32, _c: u32, _d: u32, _e: u32| Err(Errno::NOTSUP)
    );
    wasi_fn!(
        linker,
        "path_unlink_file",
        |_guest, _a: u32, _b: u32, _c: u32| Err(Errno::NOTSUP)
    );
    Ok(())
}

/// No sockets; the numbers these calls would give are zeroed all the same.
fn sockets(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasi_fn!(
        linker,
        "sock_accept",
        |guest, _fd: u32, _flags: u32, new_fd: u32| {
            let (memory, _) = guest.parts()?;
            Slot(new_fd).write_u32(memory, 0)?;
            Err(Errno::NOTSUP)
        }
    );
    wasi_fn!(
        linker,
        "sock_recv",
        |guest, _fd: u32, _data: u32, _count: u32, _flags: u32, read: u32, flags: u32| {
            let (memory, _) = guest.parts()?;
            Slot(read).write_u32(memory, 0)?;
            // A 16-bit number.
            Region::new(flags, 2).fill(memory, &[0; 2])?;
            Err(Errno::NOTSUP)
        }
    );
    wasi_fn!(
        linker,
        "sock_send",
        |guest, _fd: u32, _data: u32, _count: u32, _flags: u32, written: u32| {
            let (memory, _) = guest.parts()?;
            Slot(written).write_u32(memory, 0)?;
            Err(Errno::NOTSUP)
        }
    );
    wasi_fn!(linker, "sock_shutdown", |_guest, _a: u32, _b: u32| Err(
        Errno::NOTSUP
    ));
    Ok(())
}

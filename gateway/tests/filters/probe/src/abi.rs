//! The host functions by name, and the guest's memory as the host sees it.
//!
//! Owns all `unsafe` code of the probe: a call with any arguments at all, and a read at an address
//! that the host gave, after a check that it lies in memory.

#![expect(
    unsafe_code,
    clippy::cast_possible_truncation,
    reason = "host functions are foreign, and take 32 bits of what a script says"
)]

/// Declares host functions, and the way to one by its name.
macro_rules! host {
    ($($module:literal { $($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),*) $(-> $result:ty)?;)+ })+) => {
        $(
            #[link(wasm_import_module = $module)]
            unsafe extern "C" {
                $($(#[$meta])* fn $name($($arg: $ty),*) $(-> $result)?;)+
            }
        )+

        /// Calls a host function.
        ///
        /// # Errors
        ///
        /// If there is none of that name, or it takes another number of arguments.
        pub(crate) fn call(name: &str, args: &[i64]) -> Result<Option<i32>, String> {
            $($(
                $(#[$meta])*
                if stringify!($name) == name || stringify!($name).strip_prefix("proxy_") == Some(name) {
                    let &[$($arg),*] = args else {
                        return Err(format!("not with {} arguments", args.len()));
                    };
                    // SAFETY: the host checks every argument; it must survive them all.
                    let result = unsafe { $name($($arg as $ty),*) };
                    return Ok(Status::number(result));
                }
            )+)+
            Err("there is no such function".to_owned())
        }
    };
}

/// What a host function returns: a status, or nothing.
trait Status {
    fn number(self) -> Option<i32>;
}

impl Status for i32 {
    fn number(self) -> Option<i32> {
        Some(self)
    }
}

impl Status for () {
    fn number(self) -> Option<i32> {
        None
    }
}

host! {
    "env" {
        fn proxy_log(level: i32, p: i32, n: i32) -> i32;
        #[cfg(not(feature = "abi-0-1"))]
        fn proxy_get_log_level(level: i32) -> i32;
        fn proxy_get_current_time_nanoseconds(time: i32) -> i32;
        fn proxy_set_tick_period_milliseconds(ms: i32) -> i32;
        fn proxy_set_effective_context(context: i32) -> i32;
        fn proxy_done() -> i32;
        fn proxy_get_buffer_bytes(kind: i32, start: i32, max: i32, p: i32, n: i32) -> i32;
        fn proxy_set_buffer_bytes(kind: i32, start: i32, len: i32, p: i32, n: i32) -> i32;
        fn proxy_get_buffer_status(kind: i32, size: i32, flags: i32) -> i32;
        #[cfg(feature = "abi-0-1")]
        fn proxy_get_configuration(p: i32, n: i32) -> i32;
        fn proxy_get_header_map_value(map: i32, kp: i32, kn: i32, p: i32, n: i32) -> i32;
        fn proxy_get_header_map_pairs(map: i32, p: i32, n: i32) -> i32;
        fn proxy_get_header_map_size(map: i32, size: i32) -> i32;
        fn proxy_set_header_map_pairs(map: i32, p: i32, n: i32) -> i32;
        fn proxy_add_header_map_value(map: i32, kp: i32, kn: i32, p: i32, n: i32) -> i32;
        fn proxy_replace_header_map_value(map: i32, kp: i32, kn: i32, p: i32, n: i32) -> i32;
        fn proxy_remove_header_map_value(map: i32, kp: i32, kn: i32) -> i32;
        #[cfg(not(feature = "abi-0-1"))]
        fn proxy_continue_stream(kind: i32) -> i32;
        #[cfg(not(feature = "abi-0-1"))]
        fn proxy_close_stream(kind: i32) -> i32;
        #[cfg(feature = "abi-0-1")]
        fn proxy_continue_request() -> i32;
        #[cfg(feature = "abi-0-1")]
        fn proxy_continue_response() -> i32;
        #[cfg(feature = "abi-0-1")]
        fn proxy_clear_route_cache() -> i32;
        fn proxy_send_local_response(
            status: i32, dp: i32, dn: i32, bp: i32, bn: i32, hp: i32, hn: i32, grpc: i32
        ) -> i32;
        fn proxy_get_status(code: i32, p: i32, n: i32) -> i32;
        fn proxy_http_call(
            up: i32, un: i32, hp: i32, hn: i32, bp: i32, bn: i32, tp: i32, tn: i32, ms: i32, token: i32
        ) -> i32;
        fn proxy_grpc_call(
            up: i32, un: i32, sp: i32, sn: i32, mp: i32, mn: i32, ip: i32, il: i32, bp: i32, bn: i32,
            ms: i32, token: i32
        ) -> i32;
        fn proxy_grpc_stream(
            up: i32, un: i32, sp: i32, sn: i32, mp: i32, mn: i32, ip: i32, il: i32, token: i32
        ) -> i32;
        fn proxy_grpc_send(token: i32, p: i32, n: i32, end: i32) -> i32;
        fn proxy_grpc_cancel(token: i32) -> i32;
        fn proxy_grpc_close(token: i32) -> i32;
        fn proxy_get_shared_data(kp: i32, kn: i32, p: i32, n: i32, cas: i32) -> i32;
        fn proxy_set_shared_data(kp: i32, kn: i32, p: i32, n: i32, cas: i32) -> i32;
        fn proxy_register_shared_queue(p: i32, n: i32, token: i32) -> i32;
        fn proxy_resolve_shared_queue(vp: i32, vn: i32, p: i32, n: i32, token: i32) -> i32;
        fn proxy_enqueue_shared_queue(token: i32, p: i32, n: i32) -> i32;
        fn proxy_dequeue_shared_queue(token: i32, p: i32, n: i32) -> i32;
        fn proxy_define_metric(kind: i32, p: i32, n: i32, id: i32) -> i32;
        fn proxy_increment_metric(id: i32, by: i64) -> i32;
        fn proxy_record_metric(id: i32, value: i64) -> i32;
        fn proxy_get_metric(id: i32, value: i32) -> i32;
        fn proxy_get_property(pp: i32, pn: i32, p: i32, n: i32) -> i32;
        fn proxy_set_property(pp: i32, pn: i32, p: i32, n: i32) -> i32;
        fn proxy_call_foreign_function(fp: i32, fl: i32, ap: i32, al: i32, p: i32, n: i32) -> i32;
        #[cfg(not(feature = "abi-0-1"))]
        fn envoy_resolve_dns(p: i32, n: i32, token: i32) -> i32;
        fn emscripten_notify_memory_growth(memory: i32);
    }
    "wasi_snapshot_preview1" {
        fn args_get(p: i32, n: i32) -> i32;
        fn args_sizes_get(p: i32, n: i32) -> i32;
        fn clock_res_get(id: i32, time: i32) -> i32;
        fn clock_time_get(id: i32, precision: i64, time: i32) -> i32;
        fn environ_get(p: i32, n: i32) -> i32;
        fn environ_sizes_get(p: i32, n: i32) -> i32;
        fn fd_advise(fd: i32, a: i64, b: i64, c: i32) -> i32;
        fn fd_allocate(fd: i32, a: i64, b: i64) -> i32;
        fn fd_close(fd: i32) -> i32;
        fn fd_datasync(fd: i32) -> i32;
        fn fd_fdstat_get(fd: i32, out: i32) -> i32;
        fn fd_fdstat_set_flags(fd: i32, flags: i32) -> i32;
        fn fd_fdstat_set_rights(fd: i32, a: i64, b: i64) -> i32;
        fn fd_filestat_get(fd: i32, out: i32) -> i32;
        fn fd_filestat_set_size(fd: i32, size: i64) -> i32;
        fn fd_filestat_set_times(fd: i32, a: i64, b: i64, c: i32) -> i32;
        fn fd_pread(fd: i32, p: i32, n: i32, at: i64, out: i32) -> i32;
        fn fd_prestat_dir_name(fd: i32, p: i32, n: i32) -> i32;
        fn fd_prestat_get(fd: i32, out: i32) -> i32;
        fn fd_pwrite(fd: i32, p: i32, n: i32, at: i64, out: i32) -> i32;
        fn fd_read(fd: i32, p: i32, n: i32, out: i32) -> i32;
        fn fd_readdir(fd: i32, p: i32, n: i32, cookie: i64, out: i32) -> i32;
        fn fd_renumber(fd: i32, to: i32) -> i32;
        fn fd_seek(fd: i32, by: i64, whence: i32, out: i32) -> i32;
        fn fd_sync(fd: i32) -> i32;
        fn fd_tell(fd: i32, out: i32) -> i32;
        fn fd_write(fd: i32, p: i32, n: i32, out: i32) -> i32;
        fn path_create_directory(fd: i32, p: i32, n: i32) -> i32;
        fn path_filestat_get(fd: i32, flags: i32, p: i32, n: i32, out: i32) -> i32;
        fn path_filestat_set_times(
            fd: i32, flags: i32, p: i32, n: i32, a: i64, b: i64, c: i32
        ) -> i32;
        fn path_open(
            fd: i32, flags: i32, p: i32, n: i32, o: i32, a: i64, b: i64, f: i32, out: i32
        ) -> i32;
        fn path_readlink(fd: i32, p: i32, n: i32, bp: i32, bn: i32, out: i32) -> i32;
        fn path_remove_directory(fd: i32, p: i32, n: i32) -> i32;
        fn path_rename(fd: i32, p: i32, n: i32, to: i32, tp: i32, tn: i32) -> i32;
        fn path_unlink_file(fd: i32, p: i32, n: i32) -> i32;
        fn poll_oneoff(p: i32, out: i32, n: i32, events: i32) -> i32;
        fn proc_exit(code: i32);
        fn random_get(p: i32, n: i32) -> i32;
        fn sched_yield() -> i32;
        fn sock_accept(fd: i32, flags: i32, out: i32) -> i32;
        fn sock_recv(fd: i32, p: i32, n: i32, flags: i32, out: i32, oflags: i32) -> i32;
        fn sock_send(fd: i32, p: i32, n: i32, flags: i32, out: i32) -> i32;
        fn sock_shutdown(fd: i32, how: i32) -> i32;
    }
}

/// A copy of guest memory, if all of it is there.
pub(crate) fn read(address: u32, len: u32) -> Option<Vec<u8>> {
    let pages = core::arch::wasm32::memory_size(0) as u64;
    if u64::from(address) + u64::from(len) > pages * 65536 {
        return None;
    }
    if len == 0 {
        return Some(Vec::new());
    }
    // SAFETY: the range is in memory, nothing else runs, and the bytes are copied at once.
    Some(
        unsafe { core::slice::from_raw_parts(address as usize as *const u8, len as usize) }
            .to_vec(),
    )
}

/// The address of bytes that the host reads or writes.
pub(crate) fn address(bytes: &[u8]) -> i64 {
    bytes.as_ptr() as usize as i64
}

/// Asks for more memory.
pub(crate) fn grow(pages: usize) -> usize {
    core::arch::wasm32::memory_grow(0, pages)
}

/// Ends the guest.
pub(crate) fn trap() -> ! {
    core::arch::wasm32::unreachable()
}

/// Gives the host memory of its own; it is never freed, for a wrong host might use it twice.
pub(crate) fn allocate(len: usize) -> *mut u8 {
    let bytes = Vec::<u8>::with_capacity(len);
    bytes.leak().as_mut_ptr()
}

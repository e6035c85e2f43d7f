//! What a host calls: one method for each callback of the ABI, and the exports that call them.
//!
//! A module has one [`Guest`]. `export_guest!` writes the exported functions into the crate that
//! is the module; natively a test calls the methods itself.

use crate::kinds::Action;

/// A filter's side of the ABI. Sizes are bytes, numbers of headers are pairs.
pub trait Guest {
    /// `proxy_on_context_create`: `parent` is 0 for a plugin's own context.
    fn on_context_create(&self, context: u32, parent: u32);
    /// `proxy_on_vm_start`: false refuses to start.
    fn on_vm_start(&self, context: u32, configuration_size: usize) -> bool;
    /// `proxy_on_configure`: false refuses the configuration.
    fn on_configure(&self, context: u32, configuration_size: usize) -> bool;
    /// `proxy_on_tick`
    fn on_tick(&self, context: u32);
    /// `proxy_on_queue_ready`
    fn on_queue_ready(&self, context: u32, queue: u32);
    /// `proxy_on_http_call_response`
    fn on_http_call_response(
        &self,
        context: u32,
        token: u32,
        headers: usize,
        body_size: usize,
        trailers: usize,
    );
    /// `proxy_on_grpc_receive_initial_metadata`
    fn on_grpc_initial_metadata(&self, context: u32, token: u32, headers: usize);
    /// `proxy_on_grpc_receive`
    fn on_grpc_receive(&self, context: u32, token: u32, message_size: usize);
    /// `proxy_on_grpc_receive_trailing_metadata`
    fn on_grpc_trailing_metadata(&self, context: u32, token: u32, trailers: usize);
    /// `proxy_on_grpc_close`
    fn on_grpc_close(&self, context: u32, token: u32, status: u32);
    /// `proxy_on_redis_call_response` (Higress and Tidegate): a status of 0 has a reply of so many bytes.
    fn on_redis_reply(&self, context: u32, token: u32, status: u32, size: usize);
    /// `proxy_on_request_headers`
    fn on_request_headers(&self, context: u32, headers: usize, end: bool) -> Action;
    /// `proxy_on_request_body`
    fn on_request_body(&self, context: u32, size: usize, end: bool) -> Action;
    /// `proxy_on_request_trailers`
    fn on_request_trailers(&self, context: u32, trailers: usize) -> Action;
    /// `proxy_on_response_headers`
    fn on_response_headers(&self, context: u32, headers: usize, end: bool) -> Action;
    /// `proxy_on_response_body`
    fn on_response_body(&self, context: u32, size: usize, end: bool) -> Action;
    /// `proxy_on_response_trailers`
    fn on_response_trailers(&self, context: u32, trailers: usize) -> Action;
    /// `proxy_on_new_connection`
    fn on_new_connection(&self, context: u32) -> Action;
    /// `proxy_on_downstream_data`
    fn on_downstream_data(&self, context: u32, size: usize, end: bool) -> Action;
    /// `proxy_on_downstream_connection_close`: by whom is a peer type.
    fn on_downstream_close(&self, context: u32, by: u32);
    /// `proxy_on_upstream_data`
    fn on_upstream_data(&self, context: u32, size: usize, end: bool) -> Action;
    /// `proxy_on_upstream_connection_close`
    fn on_upstream_close(&self, context: u32, by: u32);
    /// `proxy_on_done`: false asks to wait for `proxy_done`.
    fn on_done(&self, context: u32) -> bool;
    /// `proxy_on_log`
    fn on_log(&self, context: u32);
    /// `proxy_on_delete`
    fn on_delete(&self, context: u32);
}

/// Writes the exports of a module: the marker of the ABI, the allocator, `_initialize`, which
/// calls `$start`, and those callbacks that the kind of plugin has (`http` or `network`), which
/// call the methods of the [`Guest`] that the expression `$guest` gives.
///
/// Natively it writes nothing. A filter is a unit struct, which a parameter of the same name would be
/// taken for: hence their names.
#[macro_export]
macro_rules! export_guest {
    (http, $start:path, $guest:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::__export_common!($start, $guest);
            $crate::__export!($guest, on_request_headers, proxy_on_request_headers(the_headers: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_request_body, proxy_on_request_body(the_size: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_request_trailers, proxy_on_request_trailers(the_trailers: u32 as usize) -> u32);
            $crate::__export!($guest, on_response_headers, proxy_on_response_headers(the_headers: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_response_body, proxy_on_response_body(the_size: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_response_trailers, proxy_on_response_trailers(the_trailers: u32 as usize) -> u32);
        };
    };
    (network, $start:path, $guest:expr) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::__export_common!($start, $guest);
            $crate::__export!($guest, on_new_connection, proxy_on_new_connection() -> u32);
            $crate::__export!($guest, on_downstream_data, proxy_on_downstream_data(the_size: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_upstream_data, proxy_on_upstream_data(the_size: u32 as usize, the_end: u32 as bool) -> u32);
            $crate::__export!($guest, on_downstream_close, proxy_on_downstream_connection_close(the_by: u32 as u32));
            $crate::__export!($guest, on_upstream_close, proxy_on_upstream_connection_close(the_by: u32 as u32));
        };
    };
}

/// The exports of every kind of plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_common {
    ($start:path, $guest:expr) => {
        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            $start();
        }
        #[unsafe(no_mangle)]
        extern "C" fn proxy_abi_version_0_2_1() {}
        #[unsafe(no_mangle)]
        extern "C" fn proxy_on_memory_allocate(the_size: usize) -> *mut u8 {
            $crate::memory::allocate(the_size)
        }
        $crate::__export!($guest, on_context_create, proxy_on_context_create(the_parent: u32 as u32));
        $crate::__export!($guest, on_vm_start, proxy_on_vm_start(the_size: u32 as usize) -> u32);
        $crate::__export!($guest, on_configure, proxy_on_configure(the_size: u32 as usize) -> u32);
        $crate::__export!($guest, on_tick, proxy_on_tick());
        $crate::__export!($guest, on_queue_ready, proxy_on_queue_ready(the_queue: u32 as u32));
        $crate::__export!($guest, on_http_call_response, proxy_on_http_call_response(the_token: u32 as u32, the_headers: u32 as usize, the_size: u32 as usize, the_trailers: u32 as usize));
        $crate::__export!($guest, on_grpc_initial_metadata, proxy_on_grpc_receive_initial_metadata(the_token: u32 as u32, the_headers: u32 as usize));
        $crate::__export!($guest, on_grpc_receive, proxy_on_grpc_receive(the_token: u32 as u32, the_size: u32 as usize));
        $crate::__export!($guest, on_grpc_trailing_metadata, proxy_on_grpc_receive_trailing_metadata(the_token: u32 as u32, the_trailers: u32 as usize));
        $crate::__export!($guest, on_grpc_close, proxy_on_grpc_close(the_token: u32 as u32, the_status: u32 as u32));
        $crate::__export!($guest, on_redis_reply, proxy_on_redis_call_response(the_token: u32 as u32, the_status: u32 as u32, the_size: u32 as usize));
        $crate::__export!($guest, on_done, proxy_on_done() -> u32);
        $crate::__export!($guest, on_log, proxy_on_log());
        $crate::__export!($guest, on_delete, proxy_on_delete());
    };
}

/// One export.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($guest:expr, $method:ident, $name:ident($($arg:ident: u32 as $to:tt),*)) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name(the_context: u32 $(, $arg: u32)*) {
            $crate::Guest::$method($guest, the_context $(, $crate::__convert!($arg as $to))*);
        }
    };
    ($guest:expr, $method:ident, $name:ident($($arg:ident: u32 as $to:tt),*) -> u32) => {
        #[unsafe(no_mangle)]
        extern "C" fn $name(the_context: u32 $(, $arg: u32)*) -> u32 {
            let the_answer = $crate::Guest::$method($guest, the_context $(, $crate::__convert!($arg as $to))*);
            u32::from($crate::guest::Answer::from(the_answer))
        }
    };
}

/// An argument as the method wants it.
#[doc(hidden)]
#[macro_export]
macro_rules! __convert {
    ($arg:ident as bool) => {
        $arg != 0
    };
    ($arg:ident as $to:ty) => {
        $arg as $to
    };
}

/// What a callback answers, as the number that the host gets.
#[doc(hidden)]
#[derive(Debug)]
pub struct Answer(u32);

impl From<Action> for Answer {
    fn from(action: Action) -> Self {
        Self(action as u32)
    }
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        Self(u32::from(yes))
    }
}

impl From<Answer> for u32 {
    fn from(answer: Answer) -> Self {
        answer.0
    }
}

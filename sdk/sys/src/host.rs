//! What a filter can ask its host, as safe methods: one for each function of the ABI.
//!
//! In a module the implementation is the imports; natively it is a fake that a test installs.
//! A method that an implementation does not have answers `UNIMPLEMENTED`.

use crate::kinds::{BufferType, Clock, LogLevel, MapType, MetricType, StreamType};
use crate::status::{Result, Status};

/// Names and values, in the order of the message.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;
/// Names and values that are lent for one call.
pub type PairsRef<'a> = &'a [(&'a [u8], &'a [u8])];

const NO: Status = Status::UNIMPLEMENTED;

macro_rules! host_functions {
    ($(#[$trait_doc:meta])* trait { $(
        $(#[$doc:meta])*
        fn $name:ident($($arg:ident: $kind:ty),*) -> $out:ty = $without:expr;
    )* }) => {
        $(#[$trait_doc])*
        pub trait Host { $(
            $(#[$doc])*
            fn $name(&self $(, $arg: $kind)*) -> $out {
                $(let _ = $arg;)*
                $without
            }
        )* }

        impl<T: Host + ?Sized> Host for std::rc::Rc<T> { $(
            fn $name(&self $(, $arg: $kind)*) -> $out {
                (**self).$name($($arg),*)
            }
        )* }
    };
}

host_functions! {
    /// A Proxy-Wasm host. Each method is the function of the ABI whose name its documentation says;
    /// errors are the statuses that function answers with.
    trait {
    /// `proxy_log`
    fn log(level: LogLevel, message: &[u8]) -> Result<()> = Err(NO);
    /// `proxy_get_log_level`: lines below it go nowhere. The number may be above all levels.
    fn log_level() -> Result<u32> = Err(NO);
    /// `clock_time_get` of WASI: nanoseconds.
    fn now(clock: Clock) -> u64 = 0;
    /// `random_get` of WASI: fills `bytes`.
    fn random(bytes: &mut [u8]) -> Result<()> = Err(NO);
    /// `proxy_set_tick_period_milliseconds`: 0 stops the ticks of the effective context's root.
    fn set_tick_period(milliseconds: u32) -> Result<()> = Err(NO);
    /// `proxy_set_effective_context`: whom the next calls are about, until the callback ends.
    fn set_effective_context(context: u32) -> Result<()> = Err(NO);
    /// `proxy_done`
    fn done() -> Result<()> = Err(NO);

    /// `proxy_get_header_map_value`: `None` if there is no such name.
    fn header(map: MapType, name: &[u8]) -> Result<Option<Vec<u8>>> = Err(NO);
    /// `proxy_get_header_map_pairs`
    fn headers(map: MapType) -> Result<Pairs> = Err(NO);
    /// `proxy_set_header_map_pairs`: replaces them all.
    fn set_headers(map: MapType, pairs: PairsRef<'_>) -> Result<()> = Err(NO);
    /// `proxy_add_header_map_value`
    fn add_header(map: MapType, name: &[u8], value: &[u8]) -> Result<()> = Err(NO);
    /// `proxy_replace_header_map_value`
    fn replace_header(map: MapType, name: &[u8], value: &[u8]) -> Result<()> = Err(NO);
    /// `proxy_remove_header_map_value`
    fn remove_header(map: MapType, name: &[u8]) -> Result<()> = Err(NO);

    /// `proxy_get_buffer_bytes`: at most `max` bytes from `start`.
    fn buffer(buffer: BufferType, start: usize, max: usize) -> Result<Vec<u8>> = Err(NO);
    /// `proxy_set_buffer_bytes`: puts `bytes` in the place of `size` bytes from `start`.
    fn set_buffer(buffer: BufferType,
        start: usize,
        size: usize,
        bytes: &[u8]) -> Result<()> = Err(NO);

    /// `proxy_continue_stream`
    fn continue_stream(stream: StreamType) -> Result<()> = Err(NO);
    /// `proxy_close_stream`
    fn close_stream(stream: StreamType) -> Result<()> = Err(NO);
    /// `proxy_send_local_response`
    fn send_local_response(status: u32,
        details: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        grpc_status: Option<u32>) -> Result<()> = Err(NO);

    /// `proxy_http_call`: the token of the answer. A timeout of 0 is none.
    fn http_call(backend: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        trailers: PairsRef<'_>,
        timeout_milliseconds: u32) -> Result<u32> = Err(NO);
    /// `proxy_grpc_call`: the token of the answer.
    fn grpc_call(call: &GrpcCall<'_>, message: &[u8]) -> Result<u32> = Err(NO);
    /// `proxy_grpc_stream`: the token of the stream.
    fn grpc_stream(call: &GrpcCall<'_>) -> Result<u32> = Err(NO);
    /// `proxy_grpc_send`
    fn grpc_send(token: u32, message: &[u8], end: bool) -> Result<()> = Err(NO);
    /// `proxy_grpc_cancel`
    fn grpc_cancel(token: u32) -> Result<()> = Err(NO);
    /// `proxy_grpc_close`
    fn grpc_close(token: u32) -> Result<()> = Err(NO);
    /// `proxy_get_status`: why a call ended, and the text that came with it.
    fn call_status() -> Result<(u32, Vec<u8>)> = Err(NO);

    /// `proxy_get_shared_data`: the value and its version, or `None`.
    fn shared_data(key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> = Err(NO);
    /// `proxy_set_shared_data`: only if the version is still `version`, unless that is 0.
    fn set_shared_data(key: &[u8], value: &[u8], version: u32) -> Result<()> = Err(NO);
    /// `proxy_register_shared_queue`
    fn register_queue(name: &[u8]) -> Result<u32> = Err(NO);
    /// `proxy_resolve_shared_queue`
    fn resolve_queue(vm_id: &[u8], name: &[u8]) -> Result<Option<u32>> = Err(NO);
    /// `proxy_enqueue_shared_queue`
    fn enqueue(queue: u32, value: &[u8]) -> Result<()> = Err(NO);
    /// `proxy_dequeue_shared_queue`: `None` if it is empty.
    fn dequeue(queue: u32) -> Result<Option<Vec<u8>>> = Err(NO);

    /// `proxy_define_metric`: its number, the same for the same name.
    fn define_metric(kind: MetricType, name: &[u8]) -> Result<u32> = Err(NO);
    /// `proxy_increment_metric`
    fn increment_metric(metric: u32, by: i64) -> Result<()> = Err(NO);
    /// `proxy_record_metric`
    fn record_metric(metric: u32, value: u64) -> Result<()> = Err(NO);
    /// `proxy_get_metric`
    fn metric(metric: u32) -> Result<u64> = Err(NO);

    /// `proxy_get_property`: parts of a path are separated by zero bytes.
    fn property(path: &[u8]) -> Result<Option<Vec<u8>>> = Err(NO);
    /// `proxy_set_property`
    fn set_property(path: &[u8], value: &[u8]) -> Result<()> = Err(NO);
    /// `proxy_call_foreign_function`
    fn call_foreign_function(name: &[u8], argument: &[u8]) -> Result<Vec<u8>> = Err(NO);
    }
}

/// Where a gRPC call goes.
#[derive(Debug, Clone, Copy)]
pub struct GrpcCall<'a> {
    /// The name of a backend.
    pub backend: &'a [u8],
    /// The service with its package.
    pub service: &'a [u8],
    /// The method's name.
    pub method: &'a [u8],
    /// Metadata to send first.
    pub metadata: PairsRef<'a>,
    /// Milliseconds until it fails; 0 for none. A stream has none.
    pub timeout_milliseconds: u32,
}

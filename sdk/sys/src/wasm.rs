//! The imports of a module, and [`Host`] on top of them.
//!
//! Imports return `u32`, never an enum: a host may answer any number. Only what a filter uses is
//! imported, because each call is inlined where it is made.

#![expect(unsafe_code, reason = "imports are foreign functions")]
// Each block is one call, whose arguments are live references or out-parameters of this frame.
#![allow(
    clippy::undocumented_unsafe_blocks,
    clippy::multiple_unsafe_ops_per_block,
    clippy::allow_attributes,
    reason = "one comment for all: pointers come from references that outlive the call"
)]

mod env;
mod wasi;

use crate::host::{GrpcCall, Host, Pairs, PairsRef};
use crate::kinds::{BufferType, Clock, LogLevel, MapType, MetricType, StreamType};
use crate::memory::adopt;
use crate::pairs;
use crate::service;
use crate::status::{Result, Status};

/// The host that runs this module.
#[must_use]
pub const fn host() -> Module {
    Module
}

/// The imports.
#[derive(Debug, Clone, Copy)]
pub struct Module;

/// What a call gives that writes an address and a length.
fn owned(call: impl FnOnce(*mut *mut u8, *mut usize) -> u32) -> Result<Vec<u8>> {
    let mut address = core::ptr::null_mut();
    let mut size = 0;
    Status(call(&raw mut address, &raw mut size)).ok()?;
    // SAFETY: the call was OK: it left both, from our allocator, and nobody else has them.
    Ok(unsafe { adopt(address, size) })
}

/// What a call gives that writes a number.
fn number<T: Default>(call: impl FnOnce(*mut T) -> u32) -> Result<T> {
    let mut number = T::default();
    Status(call(&raw mut number)).ok()?;
    Ok(number)
}

fn unless_missing<T>(found: Result<T>, missing: Status) -> Result<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(status) if status == missing => Ok(None),
        Err(status) => Err(status),
    }
}

fn read_pairs(bytes: &[u8]) -> Result<Pairs> {
    pairs::decode(bytes).ok_or(Status::PARSE_FAILURE)
}

impl Host for Module {
    #[inline]
    fn log(&self, level: LogLevel, message: &[u8]) -> Result<()> {
        Status(unsafe { env::proxy_log(level as u32, message.as_ptr(), message.len()) }).ok()
    }

    #[inline]
    fn log_level(&self) -> Result<u32> {
        number(|level| unsafe { env::proxy_get_log_level(level) })
    }

    #[inline]
    fn now(&self, clock: Clock) -> u64 {
        let mut time = 0;
        // A host without the clock leaves 0.
        let _errno = unsafe { wasi::clock_time_get(clock as u32, 1, &raw mut time) };
        time
    }

    #[inline]
    fn random(&self, bytes: &mut [u8]) -> Result<()> {
        for part in bytes.chunks_mut(65_536) {
            if unsafe { wasi::random_get(part.as_mut_ptr(), part.len()) } != 0 {
                return Err(Status::INTERNAL_FAILURE);
            }
        }
        Ok(())
    }

    #[inline]
    fn set_tick_period(&self, milliseconds: u32) -> Result<()> {
        Status(unsafe { env::proxy_set_tick_period_milliseconds(milliseconds) }).ok()
    }

    #[inline]
    fn set_effective_context(&self, context: u32) -> Result<()> {
        Status(unsafe { env::proxy_set_effective_context(context) }).ok()
    }

    #[inline]
    fn done(&self) -> Result<()> {
        Status(unsafe { env::proxy_done() }).ok()
    }

    #[inline]
    fn header(&self, map: MapType, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = owned(|value, size| unsafe {
            env::proxy_get_header_map_value(map as u32, name.as_ptr(), name.len(), value, size)
        });
        unless_missing(value, Status::NOT_FOUND)
    }

    #[inline]
    fn headers(&self, map: MapType) -> Result<Pairs> {
        read_pairs(&owned(|value, size| unsafe {
            env::proxy_get_header_map_pairs(map as u32, value, size)
        })?)
    }

    #[inline]
    fn set_headers(&self, map: MapType, pairs: PairsRef<'_>) -> Result<()> {
        let bytes = pairs::encode(pairs);
        Status(unsafe { env::proxy_set_header_map_pairs(map as u32, bytes.as_ptr(), bytes.len()) })
            .ok()
    }

    #[inline]
    fn add_header(&self, map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
        Status(unsafe {
            env::proxy_add_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
        .ok()
    }

    #[inline]
    fn replace_header(&self, map: MapType, name: &[u8], value: &[u8]) -> Result<()> {
        Status(unsafe {
            env::proxy_replace_header_map_value(
                map as u32,
                name.as_ptr(),
                name.len(),
                value.as_ptr(),
                value.len(),
            )
        })
        .ok()
    }

    #[inline]
    fn remove_header(&self, map: MapType, name: &[u8]) -> Result<()> {
        Status(unsafe { env::proxy_remove_header_map_value(map as u32, name.as_ptr(), name.len()) })
            .ok()
    }

    #[inline]
    fn buffer(&self, buffer: BufferType, start: usize, max: usize) -> Result<Vec<u8>> {
        owned(|value, size| unsafe {
            env::proxy_get_buffer_bytes(buffer as u32, start, max, value, size)
        })
    }

    #[inline]
    fn set_buffer(
        &self,
        buffer: BufferType,
        start: usize,
        size: usize,
        bytes: &[u8],
    ) -> Result<()> {
        Status(unsafe {
            env::proxy_set_buffer_bytes(buffer as u32, start, size, bytes.as_ptr(), bytes.len())
        })
        .ok()
    }

    #[inline]
    fn continue_stream(&self, stream: StreamType) -> Result<()> {
        Status(unsafe { env::proxy_continue_stream(stream as u32) }).ok()
    }

    #[inline]
    fn close_stream(&self, stream: StreamType) -> Result<()> {
        Status(unsafe { env::proxy_close_stream(stream as u32) }).ok()
    }

    fn send_local_response(
        &self,
        status: u32,
        details: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        grpc_status: Option<u32>,
    ) -> Result<()> {
        let headers = pairs::encode(headers);
        Status(unsafe {
            env::proxy_send_local_response(
                status,
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                headers.as_ptr(),
                headers.len(),
                grpc_status.unwrap_or(u32::MAX),
            )
        })
        .ok()
    }

    fn http_call(
        &self,
        backend: &[u8],
        headers: PairsRef<'_>,
        body: &[u8],
        trailers: PairsRef<'_>,
        timeout_milliseconds: u32,
    ) -> Result<u32> {
        let headers = pairs::encode(headers);
        let trailers = pairs::encode(trailers);
        number(|token| unsafe {
            env::proxy_http_call(
                backend.as_ptr(),
                backend.len(),
                headers.as_ptr(),
                headers.len(),
                body.as_ptr(),
                body.len(),
                trailers.as_ptr(),
                trailers.len(),
                timeout_milliseconds,
                token,
            )
        })
    }

    fn grpc_call(&self, call: &GrpcCall<'_>, message: &[u8]) -> Result<u32> {
        let metadata = pairs::encode(call.metadata);
        let service = service::describe(call.backend);
        number(|token| unsafe {
            env::proxy_grpc_call(
                service.as_ptr(),
                service.len(),
                call.service.as_ptr(),
                call.service.len(),
                call.method.as_ptr(),
                call.method.len(),
                metadata.as_ptr(),
                metadata.len(),
                message.as_ptr(),
                message.len(),
                call.timeout_milliseconds,
                token,
            )
        })
    }

    fn grpc_stream(&self, call: &GrpcCall<'_>) -> Result<u32> {
        let metadata = pairs::encode(call.metadata);
        let service = service::describe(call.backend);
        number(|token| unsafe {
            env::proxy_grpc_stream(
                service.as_ptr(),
                service.len(),
                call.service.as_ptr(),
                call.service.len(),
                call.method.as_ptr(),
                call.method.len(),
                metadata.as_ptr(),
                metadata.len(),
                token,
            )
        })
    }

    #[inline]
    fn grpc_send(&self, token: u32, message: &[u8], end: bool) -> Result<()> {
        Status(unsafe {
            env::proxy_grpc_send(token, message.as_ptr(), message.len(), u32::from(end))
        })
        .ok()
    }

    #[inline]
    fn grpc_cancel(&self, token: u32) -> Result<()> {
        Status(unsafe { env::proxy_grpc_cancel(token) }).ok()
    }

    #[inline]
    fn grpc_close(&self, token: u32) -> Result<()> {
        Status(unsafe { env::proxy_grpc_close(token) }).ok()
    }

    #[inline]
    fn call_status(&self) -> Result<(u32, Vec<u8>)> {
        let mut code = 0;
        let message =
            owned(|message, size| unsafe { env::proxy_get_status(&raw mut code, message, size) })?;
        Ok((code, message))
    }

    #[inline]
    fn shared_data(&self, key: &[u8]) -> Result<Option<(Vec<u8>, u32)>> {
        let mut version = 0;
        let value = owned(|value, size| unsafe {
            env::proxy_get_shared_data(key.as_ptr(), key.len(), value, size, &raw mut version)
        });
        Ok(unless_missing(value, Status::NOT_FOUND)?.map(|value| (value, version)))
    }

    #[inline]
    fn set_shared_data(&self, key: &[u8], value: &[u8], version: u32) -> Result<()> {
        Status(unsafe {
            env::proxy_set_shared_data(
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                version,
            )
        })
        .ok()
    }

    #[inline]
    fn register_queue(&self, name: &[u8]) -> Result<u32> {
        number(|queue| unsafe {
            env::proxy_register_shared_queue(name.as_ptr(), name.len(), queue)
        })
    }

    #[inline]
    fn resolve_queue(&self, vm_id: &[u8], name: &[u8]) -> Result<Option<u32>> {
        let queue = number(|queue| unsafe {
            env::proxy_resolve_shared_queue(
                vm_id.as_ptr(),
                vm_id.len(),
                name.as_ptr(),
                name.len(),
                queue,
            )
        });
        unless_missing(queue, Status::NOT_FOUND)
    }

    #[inline]
    fn enqueue(&self, queue: u32, value: &[u8]) -> Result<()> {
        Status(unsafe { env::proxy_enqueue_shared_queue(queue, value.as_ptr(), value.len()) }).ok()
    }

    #[inline]
    fn dequeue(&self, queue: u32) -> Result<Option<Vec<u8>>> {
        let value =
            owned(|value, size| unsafe { env::proxy_dequeue_shared_queue(queue, value, size) });
        unless_missing(value, Status::EMPTY)
    }

    #[inline]
    fn define_metric(&self, kind: MetricType, name: &[u8]) -> Result<u32> {
        number(|metric| unsafe {
            env::proxy_define_metric(kind as u32, name.as_ptr(), name.len(), metric)
        })
    }

    #[inline]
    fn increment_metric(&self, metric: u32, by: i64) -> Result<()> {
        Status(unsafe { env::proxy_increment_metric(metric, by) }).ok()
    }

    #[inline]
    fn record_metric(&self, metric: u32, value: u64) -> Result<()> {
        Status(unsafe { env::proxy_record_metric(metric, value) }).ok()
    }

    #[inline]
    fn metric(&self, metric: u32) -> Result<u64> {
        number(|value| unsafe { env::proxy_get_metric(metric, value) })
    }

    #[inline]
    fn property(&self, path: &[u8]) -> Result<Option<Vec<u8>>> {
        let value = owned(|value, size| unsafe {
            env::proxy_get_property(path.as_ptr(), path.len(), value, size)
        });
        unless_missing(value, Status::NOT_FOUND)
    }

    #[inline]
    fn set_property(&self, path: &[u8], value: &[u8]) -> Result<()> {
        Status(unsafe {
            env::proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
        })
        .ok()
    }

    #[inline]
    fn call_foreign_function(&self, name: &[u8], argument: &[u8]) -> Result<Vec<u8>> {
        owned(|value, size| unsafe {
            env::proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                argument.as_ptr(),
                argument.len(),
                value,
                size,
            )
        })
    }
}

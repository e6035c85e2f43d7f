//! Buffers: bodies, configurations and the answers to calls.
//!
//! Owns the ranges and who may read what when. Only bodies and the data of connections can be
//! edited.

use bytes::Bytes;
use wasmtime::Linker;

use super::guest::Guest;
use super::{Answer, env_fn};
use crate::body::BodyBuffer;
use crate::kinds::{BufferKind, LogLevel, Status};
use crate::memory::{OutBytes, Region, Slot};
use crate::services::GrpcEvent;
use crate::state::{Input, State};
use crate::stream::{Side, StreamHost};

pub(super) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    env_fn!(
        linker,
        "proxy_get_buffer_bytes",
        |guest, kind: u32, start: u32, max: u32, ptr: u32, len: u32| {
            get(
                guest,
                kind,
                Range { start, len: max },
                OutBytes::new(ptr, len),
            )
        }
    );
    env_fn!(
        linker,
        "proxy_set_buffer_bytes",
        |guest, kind: u32, start: u32, len: u32, ptr: u32, bytes: u32| {
            set(guest, kind, Range { start, len }, Region::new(ptr, bytes))
        }
    );
    env_fn!(
        linker,
        "proxy_get_buffer_status",
        |guest, kind: u32, size: u32, flags: u32| { status(guest, kind, Slot(size), Slot(flags)) }
    );
    env_fn!(
        linker,
        "proxy_get_configuration",
        |guest, ptr: u32, len: u32| { configuration(guest, OutBytes::new(ptr, len)) }
    );
    Ok(())
}

/// A part of a buffer as a guest names it; it may lie outside.
#[derive(Clone, Copy)]
struct Range {
    start: u32,
    len: u32,
}

/// What a buffer kind stands for now.
enum Buffer {
    Stream(Place),
    Fixed(Bytes),
    /// Not available in this callback.
    None,
}

/// A buffer of the stream.
#[derive(Clone, Copy)]
enum Place {
    Body(Side),
    Data(Side),
}

impl Place {
    fn of(self, stream: &mut dyn StreamHost) -> Option<&mut BodyBuffer> {
        match self {
            Self::Body(side) => stream.body(side),
            Self::Data(side) => stream.data(side),
        }
    }
}

fn buffer(state: &State, kind: BufferKind) -> Buffer {
    let spec = |of: fn(&crate::plugin::PluginSpec) -> &Bytes| match state.root() {
        Some(root) => Buffer::Fixed(of(root.plugin.spec()).clone()),
        None => Buffer::None,
    };
    match (kind, &state.running.input) {
        (BufferKind::RequestBody, _) => Buffer::Stream(Place::Body(Side::Request)),
        (BufferKind::ResponseBody, _) => Buffer::Stream(Place::Body(Side::Response)),
        (BufferKind::DownstreamData, _) => Buffer::Stream(Place::Data(Side::Request)),
        (BufferKind::UpstreamData, _) => Buffer::Stream(Place::Data(Side::Response)),
        (BufferKind::CallResponseBody, Input::CallResponse(response)) => {
            Buffer::Fixed(response.body.clone())
        }
        (BufferKind::ForeignArguments, Input::CallData(bytes)) => Buffer::Fixed(bytes.clone()),
        (BufferKind::GrpcMessage, Input::Grpc(GrpcEvent::Message(message))) => {
            Buffer::Fixed(message.clone())
        }
        (BufferKind::RedisReply, Input::RedisReply(reply)) => Buffer::Fixed(reply.clone()),
        (BufferKind::VmConfiguration, _) => spec(|spec| &spec.vm_config),
        (BufferKind::PluginConfiguration, Input::PluginConfiguration) => spec(|spec| &spec.config),
        _ => Buffer::None,
    }
}

/// Gives a part of a buffer; what lies behind its end is nothing, not an error.
fn get(guest: &mut Guest<'_, '_>, kind: u32, range: Range, out: OutBytes) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let kind = BufferKind::try_from(kind)?;
    match buffer(state, kind) {
        Buffer::Stream(place) => give_stream(guest, place, range, out),
        Buffer::Fixed(bytes) => {
            let part = bytes.get(range.start as usize..).unwrap_or_default();
            guest.give(part.get(..range.len as usize).unwrap_or(part), out)
        }
        Buffer::None => match unavailable(kind) {
            Some(status) => Err(status.into()),
            None => guest.give(&[], out),
        },
    }
}

/// What a buffer that is not there now answers; nothing if it is empty then. Other hosts do not know
/// Higress's at all.
const fn unavailable(kind: BufferKind) -> Option<Status> {
    match kind {
        BufferKind::RedisReply => Some(Status::BadArgument),
        kind if is_of_callback(kind) => Some(Status::NotFound),
        _ => None,
    }
}

/// Whether a buffer is there in its callback only. Outside of theirs, the others are empty: so it is
/// in Envoy, and to SDKs both mean that there are no bytes.
const fn is_of_callback(kind: BufferKind) -> bool {
    matches!(
        kind,
        BufferKind::CallResponseBody | BufferKind::PluginConfiguration
    )
}

/// Copies chunks straight into the guest: bodies are too large for a detour.
fn give_stream(guest: &mut Guest<'_, '_>, place: Place, range: Range, out: OutBytes) -> Answer {
    let size = guest
        .state()
        .with_stream(|stream| place.of(stream).map(|body| body.len()))
        .flatten()
        .unwrap_or_default();
    let start = range.start as usize;
    let len = size.saturating_sub(start).min(range.len as usize);
    let len = u32::try_from(len).map_err(|_| Status::InternalFailure)?;
    let ptr = guest.allocate(len)?;
    let (memory, state) = guest.parts()?;
    let mut rest = Region::new(ptr, len).get_mut(memory)?;
    state.with_stream(|stream| {
        let Some(body) = place.of(stream) else {
            return;
        };
        body.copy_range(start, len as usize, &mut |part| {
            if let Some((place, behind)) =
                std::mem::take(&mut rest).split_at_mut_checked(part.len())
            {
                place.copy_from_slice(part);
                rest = behind;
            }
        });
    });
    Ok(out.write(memory, ptr, len)?)
}

fn set(guest: &mut Guest<'_, '_>, kind: u32, range: Range, bytes: Region) -> Answer {
    let (memory, state) = guest.parts()?;
    let bytes = bytes.read(memory)?;
    let place = match BufferKind::try_from(kind)? {
        BufferKind::RequestBody => Place::Body(Side::Request),
        BufferKind::ResponseBody => Place::Body(Side::Response),
        BufferKind::DownstreamData => Place::Data(Side::Request),
        BufferKind::UpstreamData => Place::Data(Side::Response),
        kind @ (BufferKind::CallResponseBody | BufferKind::PluginConfiguration)
            if matches!(buffer(state, kind), Buffer::None) =>
        {
            return Err(Status::NotFound.into());
        }
        BufferKind::CallResponseBody
        | BufferKind::GrpcMessage
        | BufferKind::VmConfiguration
        | BufferKind::PluginConfiguration
        | BufferKind::ForeignArguments
        | BufferKind::RedisReply => return Err(Status::BadArgument.into()),
    };
    let limit = state.limits().map_or(0, |limits| limits.buffered_bytes);
    let strict = state.strict;
    let edited = state.with_stream(|stream| {
        let body = place.of(stream)?;
        let start = range.start as usize;
        if strict && start > 0 && start < body.len() {
            return Some(Edit::InTheMiddle);
        }
        let fits = body.len().saturating_add(bytes.len()) <= limit;
        if fits {
            body.set(start, range.len as usize, bytes);
        }
        Some(if fits { Edit::Done } else { Edit::TooLarge })
    });
    match edited.flatten() {
        Some(Edit::Done) => Ok(()),
        // Envoy prepends, replaces from the beginning, or appends.
        Some(Edit::InTheMiddle) => Err(Status::BadArgument.into()),
        Some(Edit::TooLarge) => {
            state.note(
                LogLevel::Error,
                format_args!("a body may not grow over {limit} bytes"),
            );
            Err(Status::InternalFailure.into())
        }
        None => no_effect(state, kind),
    }
}

/// An edit outside the phase of the body is answered OK: the Rust SDK panics on anything else.
fn no_effect(state: &State, kind: u32) -> Answer {
    state.note(
        LogLevel::Debug,
        format_args!("an edit of buffer {kind} has no effect now"),
    );
    state.lenient(Status::BadArgument)
}

/// What came of an edit of a body.
enum Edit {
    Done,
    TooLarge,
    InTheMiddle,
}

fn status(guest: &mut Guest<'_, '_>, kind: u32, size_out: Slot, flags_out: Slot) -> Answer {
    let (memory, state) = guest.parts()?;
    size_out.check(memory, 4)?;
    flags_out.check(memory, 4)?;
    let kind = BufferKind::try_from(kind)?;
    let size = match buffer(state, kind) {
        Buffer::Stream(place) => {
            let size = state.with_stream(|stream| place.of(stream).map(|body| body.len()));
            size.flatten().unwrap_or_default()
        }
        Buffer::Fixed(bytes) => bytes.len(),
        Buffer::None => match unavailable(kind) {
            Some(status) => return Err(status.into()),
            None => 0,
        },
    };
    size_out.write_u32(memory, u32::try_from(size).unwrap_or(u32::MAX))?;
    Ok(flags_out.write_u32(memory, 0)?)
}

/// The configuration as guests of ABI 0.1.0 read it: the plugin's while it is configured, else that
/// of the VM.
fn configuration(guest: &mut Guest<'_, '_>, out: OutBytes) -> Answer {
    let (memory, state) = guest.parts()?;
    out.check(memory)?;
    let kind = match state.running.input {
        Input::PluginConfiguration => BufferKind::PluginConfiguration,
        _ => BufferKind::VmConfiguration,
    };
    match buffer(state, kind) {
        Buffer::Fixed(bytes) => guest.give(&bytes, out),
        Buffer::Stream(_) | Buffer::None => guest.give(&[], out),
    }
}

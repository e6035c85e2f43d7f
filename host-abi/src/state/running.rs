//! What host calls may read of the callback that runs.
//!
//! Owns the input that some callbacks have besides their streams.

use bytes::Bytes;

use crate::services::{CallResponse, GrpcEvent};

/// What the running callback may read besides streams.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) callback: &'static str,
    /// The place of the plugin that it is a callback of; its contexts are all it can reach.
    pub(crate) plugin: usize,
    /// It has continued this side of its stream: then Envoy gives it that side's maps no more.
    pub(crate) continued: Continued,
    pub(crate) input: Input,
}

/// The sides of streams that the running callback has continued.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Continued {
    pub(crate) request: bool,
    pub(crate) response: bool,
}

/// The extra input of some callbacks.
#[derive(Debug)]
pub(crate) enum Input {
    /// None.
    None,
    /// Buffer 6.
    VmConfiguration,
    /// Buffer 7.
    PluginConfiguration,
    /// Buffer 4, maps 6 and 7, and the status.
    CallResponse(CallResponse),
    /// Buffer 8.
    CallData(Bytes),
    /// Buffer 5 or map 4 or 5, and the status.
    Grpc(GrpcEvent),
    /// Buffer 9.
    RedisReply(Bytes),
}

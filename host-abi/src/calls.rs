//! The calls to backends that one instance has: what is asked for, and what is not over.
//!
//! Owns the queues between host calls and the embedder, and the tokens. Permission and bounds are
//! `host_calls::callout`'s, answers `instance::calls`'s.
//!
//! Invariant: a token names one open call; it is given again only after all other numbers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::context::ContextId;
use crate::services::{GrpcCommand, HttpCall, RedisCall, RedisLogin};

/// Calls of the instance to backends.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// HTTP calls asked for and not yet taken by the embedder.
    pub(crate) queued: Vec<HttpCall>,
    /// What is asked for of gRPC calls and streams and not yet taken.
    pub(crate) grpc_queued: Vec<GrpcCommand>,
    /// Redis commands asked for and not yet taken.
    pub(crate) redis_queued: Vec<RedisCall>,
    /// Bytes of all that is not yet taken.
    pub(crate) queued_bytes: usize,
    /// Those that are not over, of every kind, by token.
    pub(crate) open: HashMap<u32, OpenCall>,
    /// The last token of each kind.
    pub(crate) last_tokens: [u32; 4],
    /// How plugins, by their place, reach Redis backends.
    pub(crate) redis_logins: Vec<(usize, Arc<RedisLogin>)>,
    /// Those that plugins described with their calls; the oldest of a plugin makes room.
    pub(crate) redis_described: Vec<(usize, Arc<RedisLogin>)>,
}

/// A call that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenCall {
    /// The place of the plugin that made it.
    pub(crate) plugin: usize,
    /// The context that made it.
    pub(crate) asker: ContextId,
    /// For gRPC streams: the guest has said that it sends no more.
    pub(crate) half_closed: bool,
}

/// The kinds of calls, as the low two bits of their tokens tell them apart (Envoy's numbers, and
/// Higress's for Redis).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CallKind {
    Http = 0,
    GrpcCall = 1,
    GrpcStream = 2,
    Redis = 3,
}

impl CallKind {
    /// How many low bits name the kind.
    const BITS: u32 = 2;

    pub(crate) const fn of(token: u32) -> Self {
        match token & ((1 << Self::BITS) - 1) {
            0 => Self::Http,
            1 => Self::GrpcCall,
            2 => Self::GrpcStream,
            _ => Self::Redis,
        }
    }
}

impl Calls {
    /// Takes a queue; once all are empty there is room again.
    pub(crate) fn taken<T>(&mut self, queue: fn(&mut Self) -> &mut Vec<T>) -> Vec<T> {
        let taken = std::mem::take(queue(self));
        if !self.has_queued() {
            self.queued_bytes = 0;
        }
        taken
    }

    /// Whether anything waits to be taken.
    pub(crate) fn has_queued(&self) -> bool {
        !(self.queued.is_empty() && self.grpc_queued.is_empty() && self.redis_queued.is_empty())
    }

    /// A token that no open call has; never one of the first four numbers.
    pub(crate) fn new_token(&mut self, kind: CallKind) -> u32 {
        let low = kind as u32;
        let [http, call, stream, redis] = &mut self.last_tokens;
        let last = match kind {
            CallKind::Http => http,
            CallKind::GrpcCall => call,
            CallKind::GrpcStream => stream,
            CallKind::Redis => redis,
        };
        loop {
            *last = last.wrapping_add(1 << CallKind::BITS);
            let token = (*last & !((1 << CallKind::BITS) - 1)) | low;
            if token != low && !self.open.contains_key(&token) {
                return token;
            }
        }
    }
}

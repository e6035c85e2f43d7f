//! gRPC calls and streams of guests, as data: what a guest asks for, and what comes of it.
//!
//! Owns the order in which things may happen. The embedder makes the calls; frames, HTTP/2 and the
//! status of what is no gRPC at all are its business.

use bytes::Bytes;

use super::CalloutToken;

/// Something a guest asks for, in the order it was asked (spec: `proxy_grpc_*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcCommand {
    /// Begin a call or a stream.
    Start(GrpcStart),
    /// Send a message on a stream.
    Send {
        /// The stream.
        token: CalloutToken,
        /// The bare message, without the five bytes of its frame.
        message: Bytes,
    },
    /// Nothing more will be sent on a stream; its answers are still wanted.
    HalfClose {
        /// The stream.
        token: CalloutToken,
    },
    /// Reset a call or stream: nothing of it is wanted any more, and nothing may be reported.
    Cancel {
        /// The call or stream.
        token: CalloutToken,
    },
}

/// A call or stream to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcStart {
    /// Names it in commands and events.
    pub token: CalloutToken,
    /// The backend to call.
    pub backend: String,
    /// The `:authority` the guest wants; `None` is the backend's name.
    pub authority: Option<Bytes>,
    /// The service with its package, such as `envoy.service.auth.v3.Authorization`. Any bytes.
    pub service: Bytes,
    /// The method. Any bytes.
    pub method: Bytes,
    /// Initial metadata. Any bytes.
    pub metadata: Vec<(Bytes, Bytes)>,
    /// Whether there is one message each way.
    pub kind: GrpcKind,
}

/// Whether there is one message each way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcKind {
    /// A unary call: [`GrpcEvent::Message`] is its success and [`GrpcEvent::Close`] its failure;
    /// it gets one of them.
    Call {
        /// The bare request message.
        message: Bytes,
        /// The limit for the whole call in milliseconds; 0 is none.
        timeout_ms: u32,
    },
    /// A stream: initial metadata, messages, trailing metadata, and always a
    /// [`GrpcEvent::Close`].
    Stream,
}

/// What comes of a call or stream; given to [`crate::Instance::on_grpc_event`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GrpcEvent {
    /// The response has begun (buffer map 4).
    InitialMetadata(Vec<(Bytes, Bytes)>),
    /// A message came, bare (buffer 5). It ends a unary call.
    Message(Bytes),
    /// The response has ended (buffer map 5).
    TrailingMetadata(Vec<(Bytes, Bytes)>),
    /// It is over.
    Close {
        /// The gRPC status, 0 for a stream that ended well.
        status: u32,
        /// What `proxy_get_status` says about it.
        message: Bytes,
    },
}

//! The harness of the tests: [`Gateway`], [`Loaded`], [`Origin`], [`GrpcOrigin`], [`GrpcService`], [`Echo`],
//! [`Client`]. Development only.
//!
//! Everything runs over real sockets on port 0, in this process, with blocking calls: a test reads
//! from top to bottom. The peers here are written without the gateway's own code, so that a mistake
//! there is not made twice. Every wait has a limit ([`LIMIT`]) and ends on a condition.

#![expect(
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a harness fails its test by a panic that says what was expected"
)]

pub mod certs;
pub mod client;
pub mod dns;
pub mod echo;
pub mod envoy;
pub mod eventually;
pub mod frames;
pub mod gateway;
pub mod grpc;
pub mod http2;
pub mod latch;
pub mod loaded;
pub mod message;
pub mod origin;
pub mod peer;
pub mod real_registry;
pub mod registry;
pub mod rule;
pub mod signer;
pub mod tls;
pub mod wasm;
pub mod websocket;
pub mod wire;

use std::time::Duration;

pub use certs::Authority;
pub use certs::Leaf;
pub use certs::Pair;
pub use client::Client;
pub use dns::Dns;
pub use echo::Echo;
pub use envoy::Envoy;
pub use envoy::EnvoyConfig;
pub use eventually::eventually;
pub use gateway::Gateway;
pub use gateway::Https;
pub use grpc::GrpcAnswer;
pub use grpc::GrpcOrigin;
pub use grpc::GrpcService;
pub use http2::Http2Origin;
pub use latch::Latch;
pub use loaded::Loaded;
pub use message::Message;
pub use origin::Origin;
pub use peer::Peer;
pub use real_registry::RealRegistry;
pub use registry::Mood;
pub use registry::Registry;
pub use rule::Rule;
pub use signer::Signer;
pub use tls::TlsClient;
pub use tls::TlsFront;
pub use wasm::Wasm;
pub use wire::Port;
pub use wire::Wire;

/// How long anything may take before its test fails.
pub const LIMIT: Duration = Duration::from_secs(20);

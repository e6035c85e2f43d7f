//! A Proxy-Wasm host on wasmtime that any Rust proxy can embed.
//!
//! Four things, each made of the one before and living at most as long:
//!
//! 1. [`Module`]: checked and compiled code. Made once for each digest, off the workers.
//! 2. [`Plugin`]: a module with configuration, limits and permissions. Shared by all workers.
//! 3. [`Instance`]: a guest with memory. One for each [`VmKey`] and worker; started and configured
//!    on a control thread by [`Instance::start`], then moved to its worker.
//! 4. A stream context, named by a [`ContextId`]: made by [`Instance::create_stream`], entered by
//!    the `on_*` callbacks, ended exactly once by [`Instance::finish_stream`].
//!
//! The embedder lends its streams to each callback as [`Streams`] and everything else as
//! [`Services`]. Host calls read and edit them at once, and queue there whatever would have to wait:
//! the embedder acts on that after the callback returned, and then takes
//! [`Instance::take_http_calls`]. A guest is never entered from a host call.
//!
//! A callback that fails returns a [`Fault`]; the instance is of no use after that and is replaced
//! by a new one. Nothing here applies a failure policy.
//!
//! "Specification" names the section of the Proxy-Wasm ABI 0.2.1 that an item is about; the functions
//! that there are beside it are in [`host_functions`] and [`FOREIGN_FUNCTIONS`].
//! `examples/host_a_filter.rs` hosts a filter without a gateway.
//!
//! But for [`PlainServices`] this crate does no I/O, keeps no time but for deadlines, and knows nothing of HTTP beyond names
//! and values. It is the only one that knows wasmtime.

mod body;
mod budget;
mod calls;
mod context;
mod crypto;
mod engine;
mod fault;
mod functions;
mod grpc_service;
mod host_calls;
mod instance;
mod kinds;
mod lent;
mod limits;
mod manifest;
mod memory;
mod metrics;
mod module;
pub mod pairs;
mod plain;
mod plugin;
mod property;
mod protobuf;
mod services;
mod shared;
mod state;
mod stream;
mod usage;

pub use body::BodyBuffer;
pub use context::ContextId;
pub use crypto::{Crypto, CryptoError, Hash, JwsAlgorithm, JwsKey};
pub use engine::{Engine, EngineConfig, EngineError};
pub use fault::{Fault, FaultKind};
pub use functions::{
    AbiVersion, Callback, Callbacks, GuestFunction, GuestUsage, HostFunction, guest_functions,
    host_functions,
};
pub use host_calls::foreign::FOREIGN_FUNCTIONS;
pub use instance::{
    Instance, InstanceId, QueueEvent, RootStatus, SetupState, StartError, StartStep,
};
pub use kinds::{
    BodyAction, BufferKind, ConnectionAction, HeadersAction, LogLevel, MapKind, MetricKind,
    PeerType, Status, StreamKind, TrailersAction, UnknownNumber,
};
pub use limits::Limits;
pub use manifest::{Manifest, ManifestError};
pub use metrics::{BUCKETS, GuestMetrics, MetricSnapshot, MetricValue};
pub use module::{
    CodeCache, CompileOptions, ImportProblem, ImportVerdict, MemorySize, Module, ModuleError,
    Survey, SurveyedImport, UnknownImports,
};
pub use plain::{PlainServices, PlainStream};
pub use plugin::{FailurePolicy, Isolation, Plugin, PluginKind, PluginSpec, Shadow, VmKey};
pub use property::{Node, Property};
pub use services::{
    CallResponse, CalloutToken, DnsAddress, DnsLookup, DnsToken, GrpcCommand, GrpcEvent, GrpcKind,
    GrpcStart, GuestLog, HttpCall, RedisCall, RedisFailed, RedisLogin, Services,
};
pub use shared::{CasMismatch, SharedStore};
pub use stream::{
    AttemptFault, BackendChoice, Edited, Field, HeaderEdit, HostHealth, Injected, LocalResponse,
    NoStreams, Outage, PropertyValue, Selected, Side, StreamHost, Streams, UpstreamHost,
};
pub use usage::{CallbackUsage, Usage};

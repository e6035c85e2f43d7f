//! The functions a guest may export and the host calls.
//!
//! Owns one row for each callback and its place in a [`Callbacks`] set. Life-cycle functions
//! (`_initialize`, the allocators) have rows too, without a callback: they are always called.

use super::{AbiVersion, Signature};

/// A callback that a plugin may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Callback {
    /// `proxy_on_context_create`
    ContextCreate,
    /// `proxy_on_vm_start`
    VmStart,
    /// `proxy_on_configure`
    Configure,
    /// `proxy_on_tick`
    Tick,
    /// `proxy_on_new_connection`
    NewConnection,
    /// `proxy_on_downstream_data`
    DownstreamData,
    /// `proxy_on_upstream_data`
    UpstreamData,
    /// `proxy_on_downstream_connection_close`
    DownstreamClose,
    /// `proxy_on_upstream_connection_close`
    UpstreamClose,
    /// `proxy_on_request_headers`
    RequestHeaders,
    /// `proxy_on_request_body`
    RequestBody,
    /// `proxy_on_request_trailers`
    RequestTrailers,
    /// `proxy_on_response_headers`
    ResponseHeaders,
    /// `proxy_on_response_body`
    ResponseBody,
    /// `proxy_on_response_trailers`
    ResponseTrailers,
    /// `proxy_on_http_call_response`
    HttpCallResponse,
    /// `proxy_on_grpc_receive_initial_metadata`
    GrpcInitialMetadata,
    /// `proxy_on_grpc_receive`
    GrpcReceive,
    /// `proxy_on_grpc_receive_trailing_metadata`
    GrpcTrailingMetadata,
    /// `proxy_on_grpc_close`
    GrpcClose,
    /// `proxy_on_redis_call_response`
    RedisCallResponse,
    /// `proxy_on_queue_ready`
    QueueReady,
    /// `proxy_on_done`
    Done,
    /// `proxy_on_log`
    Log,
    /// `proxy_on_delete`
    Delete,
    /// `envoy_on_resolve_dns`
    ResolveDns,
}

/// The callbacks a module exports and its plugin is allowed to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Callbacks(u32);

impl Callbacks {
    /// Whether the callback is there.
    #[must_use]
    pub const fn has(self, callback: Callback) -> bool {
        self.0 & (1 << callback as u8) != 0
    }

    /// Adds a callback.
    pub(crate) const fn insert(&mut self, callback: Callback) {
        self.0 |= 1 << callback as u8;
    }
}

/// One function that a guest may export.
#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: &'static str,
    signature: Signature,
    pub(crate) role: Role,
}

/// What the host does with an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Part of the life cycle: entry points and allocators, which no permission takes away.
    Life,
    /// Calls it where the plugin may have it.
    Callback(Callback),
    /// Never calls it: callbacks of other hosts.
    Uncalled,
}

impl Export {
    /// The signature it has in a version: 0.1.0 has no end-of-stream flag on header callbacks.
    pub(crate) fn signature(&self, version: AbiVersion) -> Signature {
        let on_headers = matches!(
            self.role,
            Role::Callback(Callback::RequestHeaders | Callback::ResponseHeaders)
        );
        if on_headers && version == AbiVersion::V0_1_0 {
            return Signature {
                params: "ii",
                ..self.signature
            };
        }
        self.signature
    }
}

const fn life(name: &'static str, params: &'static str, result: &'static str) -> Export {
    Export {
        name,
        signature: Signature { params, result },
        role: Role::Life,
    }
}

const fn on(
    name: &'static str,
    params: &'static str,
    result: &'static str,
    callback: Callback,
) -> Export {
    Export {
        name,
        signature: Signature { params, result },
        role: Role::Callback(callback),
    }
}

const fn uncalled(name: &'static str, params: &'static str, result: &'static str) -> Export {
    Export {
        name,
        signature: Signature { params, result },
        role: Role::Uncalled,
    }
}

/// Every export the host looks at, markers of ABI versions aside.
pub(crate) static EXPORTS: &[Export] = &[
    life("_initialize", "", ""),
    life("_start", "", ""),
    life("main", "ii", "i"),
    life("__main_void", "", "i"),
    life("proxy_on_memory_allocate", "i", "i"),
    life("malloc", "i", "i"),
    on("proxy_on_context_create", "ii", "", Callback::ContextCreate),
    on("proxy_on_vm_start", "ii", "i", Callback::VmStart),
    uncalled("proxy_validate_configuration", "ii", "i"),
    on("proxy_on_configure", "ii", "i", Callback::Configure),
    on("proxy_on_tick", "i", "", Callback::Tick),
    on("proxy_on_new_connection", "i", "i", Callback::NewConnection),
    on(
        "proxy_on_downstream_data",
        "iii",
        "i",
        Callback::DownstreamData,
    ),
    on("proxy_on_upstream_data", "iii", "i", Callback::UpstreamData),
    on(
        "proxy_on_downstream_connection_close",
        "ii",
        "",
        Callback::DownstreamClose,
    ),
    on(
        "proxy_on_upstream_connection_close",
        "ii",
        "",
        Callback::UpstreamClose,
    ),
    on(
        "proxy_on_request_headers",
        "iii",
        "i",
        Callback::RequestHeaders,
    ),
    on("proxy_on_request_body", "iii", "i", Callback::RequestBody),
    on(
        "proxy_on_request_trailers",
        "ii",
        "i",
        Callback::RequestTrailers,
    ),
    uncalled("proxy_on_request_metadata", "ii", "i"),
    on(
        "proxy_on_response_headers",
        "iii",
        "i",
        Callback::ResponseHeaders,
    ),
    on("proxy_on_response_body", "iii", "i", Callback::ResponseBody),
    on(
        "proxy_on_response_trailers",
        "ii",
        "i",
        Callback::ResponseTrailers,
    ),
    uncalled("proxy_on_response_metadata", "ii", "i"),
    on(
        "proxy_on_http_call_response",
        "iiiii",
        "",
        Callback::HttpCallResponse,
    ),
    on(
        "proxy_on_grpc_receive_initial_metadata",
        "iii",
        "",
        Callback::GrpcInitialMetadata,
    ),
    on("proxy_on_grpc_receive", "iii", "", Callback::GrpcReceive),
    on(
        "proxy_on_grpc_receive_trailing_metadata",
        "iii",
        "",
        Callback::GrpcTrailingMetadata,
    ),
    on("proxy_on_grpc_close", "iii", "", Callback::GrpcClose),
    on("proxy_on_queue_ready", "ii", "", Callback::QueueReady),
    uncalled("proxy_on_foreign_function", "iii", ""),
    on("proxy_on_done", "i", "i", Callback::Done),
    on("proxy_on_log", "i", "", Callback::Log),
    on("proxy_on_delete", "i", "", Callback::Delete),
    on("envoy_on_resolve_dns", "iii", "", Callback::ResolveDns),
    uncalled("envoy_on_stats_update", "ii", ""),
    on(
        "proxy_on_redis_call_response",
        "iiii",
        "",
        Callback::RedisCallResponse,
    ),
];

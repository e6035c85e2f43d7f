//! Envoy's configuration for one plugin.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::builder::Plan;
use crate::live::server::Place;

/// The name of the cluster behind the filter.
const APP: &str = "tested application";

/// What a plugin may import and export in Envoy: its permissions are a list of what is allowed.
const FUNCTIONS: &[&str] = &[
    "proxy_log",
    "proxy_get_log_level",
    "proxy_set_tick_period_milliseconds",
    "proxy_set_effective_context",
    "proxy_done",
    "proxy_get_header_map_value",
    "proxy_get_header_map_pairs",
    "proxy_set_header_map_pairs",
    "proxy_add_header_map_value",
    "proxy_replace_header_map_value",
    "proxy_remove_header_map_value",
    "proxy_get_header_map_size",
    "proxy_get_buffer_bytes",
    "proxy_set_buffer_bytes",
    "proxy_get_buffer_status",
    "proxy_continue_stream",
    "proxy_close_stream",
    "proxy_send_local_response",
    "proxy_http_call",
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_get_status",
    "proxy_get_shared_data",
    "proxy_set_shared_data",
    "proxy_register_shared_queue",
    "proxy_resolve_shared_queue",
    "proxy_enqueue_shared_queue",
    "proxy_dequeue_shared_queue",
    "proxy_define_metric",
    "proxy_increment_metric",
    "proxy_record_metric",
    "proxy_get_metric",
    "proxy_get_property",
    "proxy_set_property",
    "proxy_call_foreign_function",
    "proxy_get_current_time_nanoseconds",
    "clock_time_get",
    "random_get",
    "environ_get",
    "environ_sizes_get",
    "fd_write",
    "proc_exit",
    "proxy_on_context_create",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_tick",
    "proxy_on_queue_ready",
    "proxy_on_http_call_response",
    "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive",
    "proxy_on_grpc_receive_trailing_metadata",
    "proxy_on_grpc_close",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_new_connection",
    "proxy_on_downstream_data",
    "proxy_on_downstream_connection_close",
    "proxy_on_upstream_data",
    "proxy_on_upstream_connection_close",
    "proxy_on_done",
    "proxy_on_log",
    "proxy_on_delete",
];

/// The whole file.
pub(super) fn file(
    plan: &Plan,
    module: &Path,
    front: Option<&Path>,
    app: SocketAddr,
    backends: &[Place],
) -> Value {
    let http1 = json!({"http_protocol_options": {"enable_trailers": true}});
    let http2 = json!({"http2_protocol_options": {}});
    let mut clusters = vec![cluster(APP, app, &http1)];
    clusters.extend(backends.iter().map(|it| {
        let protocol = if it.is_grpc { &http2 } else { &http1 };
        cluster(&it.name, it.address, protocol)
    }));
    json!({
        "admin": {"address": address(SocketAddr::from(([127, 0, 0, 1], 0)))},
        "stats_flush_interval": "0.05s",
        "static_resources": {
            "listeners": [{
                "name": "tested",
                "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
                "filter_chains": [{"filters": connection_filters(plan, module, front)}],
            }],
            "clusters": clusters,
        },
    })
}

/// The filters of connections.
fn connection_filters(plan: &Plan, module: &Path, front: Option<&Path>) -> Value {
    if !plan.network {
        return json!([{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": manager(plan, module, front),
        }]);
    }
    json!([
        {"name": plan.name, "typed_config": wasm(plan, module)},
        {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
            "stat_prefix": "tested",
            "cluster": APP,
        }},
    ])
}

fn manager(plan: &Plan, module: &Path, front: Option<&Path>) -> Value {
    let timeout = plan.request_timeout.unwrap_or_default().as_secs_f64();
    let timeout = format!("{timeout}s");
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tested",
        "codec_type": "HTTP1",
        "http_protocol_options": {"enable_trailers": true},
        "generate_request_id": false,
        "route_config": {"virtual_hosts": [{
            "name": "all",
            "domains": ["*"],
            "routes": [{
                "match": {"prefix": "/"},
                "route": {"cluster": APP, "timeout": timeout},
            }],
        }]},
        "http_filters": filters(plan, module, front),
    })
}

fn filters(plan: &Plan, module: &Path, front: Option<&Path>) -> Vec<Value> {
    let front = front.map(|front| {
        let config = json!({
            "name": "in front",
            "vm_config": {
                "vm_id": "in front",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": front}},
            },
        });
        json!({"name": "in front", "typed_config": typed("http", &config)})
    });
    let mut all = vec![json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": peer_address(),
    })];
    all.extend(front);
    all.push(json!({"name": plan.name, "typed_config": wasm(plan, module)}));
    all.push(
        json!({"name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
            "suppress_envoy_headers": true,
        }}),
    );
    all
}

/// What Tidegate tells filters by itself, and Envoy if its configuration says so.
fn peer_address() -> Value {
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
        "on_request_headers": [{
            "object_key": "tidegate.peer_address",
            "factory_key": "envoy.string",
            "format_string": {"text_format_source": {
                "inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
            }},
        }],
    })
}

fn wasm(plan: &Plan, module: &Path) -> Value {
    let configuration = match plan.config.is_empty() {
        true => Value::Null,
        false => json!({
            "@type": "type.googleapis.com/google.protobuf.StringValue",
            "value": String::from_utf8_lossy(&plan.config),
        }),
    };
    let mut config = json!({
        "name": plan.name,
        "vm_config": {
            "vm_id": plan.name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": module}},
        },
        "allow_on_headers_stop_iteration": plan.stop_iteration,
    });
    if let Some(config) = config.as_object_mut() {
        if !configuration.is_null() {
            config.insert("configuration".to_owned(), configuration);
        }
        if !plan.denied.is_empty() {
            let allowed = FUNCTIONS.iter();
            let allowed = allowed.filter(|name| !plan.denied.iter().any(|it| it == *name));
            let allowed: Map<String, Value> = allowed
                .map(|name| ((*name).to_owned(), json!({})))
                .collect();
            config.insert(
                "capability_restriction_config".to_owned(),
                json!({"allowed_capabilities": allowed}),
            );
        }
    }
    let kind = if plan.network { "network" } else { "http" };
    typed(kind, &config)
}

/// A Wasm filter of a kind, `http` or `network`.
fn typed(kind: &str, config: &Value) -> Value {
    let kind = format!("type.googleapis.com/envoy.extensions.filters.{kind}.wasm.v3.Wasm");
    json!({"@type": kind, "config": config})
}

fn cluster(name: &str, at: SocketAddr, protocol: &Value) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            },
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(at)}}]}],
        },
    })
}

fn address(address: SocketAddr) -> Value {
    let (host, port) = (address.ip(), address.port());
    json!({"socket_address": {"address": host, "port_value": port}})
}

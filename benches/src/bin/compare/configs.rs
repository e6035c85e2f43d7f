//! The configurations of the other proxies.
//!
//! Each is as fast as its makers advise for this work: one worker, keep-alive on both sides with
//! room for every connection, no logs, no limits that could be hit. Where a choice is left, it is
//! the one in favour of the other proxy: they add no forwarding headers, which Tidegate does.

use std::net::SocketAddr;
use std::path::Path;

/// HAProxy: one thread.
pub(crate) fn haproxy(address: SocketAddr, origin: SocketAddr) -> String {
    format!(
        "global
    nbthread 1
    maxconn 4000

defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    http-reuse always

frontend clients
    bind {address}
    default_backend origin

backend origin
    server origin {origin}
"
    )
}

/// nginx: one worker process.
pub(crate) fn nginx(address: SocketAddr, origin: SocketAddr, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr crit;
events {{ worker_connections 4000; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_requests 1000000000;
    upstream origin {{
        server {origin};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
        }}
    }}
}}
"
    )
}

/// Envoy as docs/faq/performance says: no request ids, no dynamic statistics, breakers out of
/// reach. The filters, if any, share one VM, as they do on Tidegate.
pub(crate) fn envoy(
    address: SocketAddr,
    origin: SocketAddr,
    filter: Option<(&Path, &[String])>,
) -> String {
    let filters: String = match filter {
        None => String::new(),
        Some((module, headers)) => headers
            .iter()
            .map(|header| envoy_filter(module, header))
            .collect(),
    };
    let (address, cluster) = (envoy_address(address), envoy_cluster(origin));
    format!(
        "static_resources:
  listeners:
  - name: clients
    address: {address}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          codec_type: HTTP1
          generate_request_id: false
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                route: {{ cluster: origin, timeout: 0s }}
          http_filters:{filters}
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
              suppress_envoy_headers: true
{cluster}"
    )
}

fn envoy_cluster(origin: SocketAddr) -> String {
    let origin = envoy_address(origin);
    format!(
        "  clusters:
  - name: origin
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - max_connections: 100000
        max_pending_requests: 100000
        max_requests: 100000
        max_retries: 100000
    load_assignment:
      cluster_name: origin
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {origin} }}
"
    )
}

fn envoy_address(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("{{ socket_address: {{ address: {host}, port_value: {port} }} }}")
}

fn envoy_filter(module: &Path, header: &str) -> String {
    let module = module.display();
    format!(
        "
          - name: envoy.filters.http.wasm
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: {header}
                configuration:
                  \"@type\": type.googleapis.com/google.protobuf.StringValue
                  value: {header}
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{ local: {{ filename: '{module}' }} }}"
    )
}

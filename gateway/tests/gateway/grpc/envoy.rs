//! Envoy 1.40 with one filter in front of nothing, for comparison.

use std::net::SocketAddr;

use tidegate_testkit::Envoy;
use tidegate_testkit::Wasm;

/// One with the filter and these HTTP/2 clusters, and the folder of the filter.
pub(super) fn start(filter: &Wasm, clusters: &[(&str, SocketAddr)]) -> (Envoy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("f.wasm");
    std::fs::write(&module, filter.module()).expect("written");
    let envoy = Envoy::start(&config(&module.display().to_string(), clusters));
    let ready = "GET / HTTP/1.1\r\nHost: a\r\nx-op: r\r\n\r\n";
    (envoy.until(ready, 200), folder)
}

fn config(module: &str, clusters: &[(&str, SocketAddr)]) -> String {
    let clusters: String = clusters
        .iter()
        .map(|(name, address)| {
            format!(
                r#"
  - name: {name}
    type: STATIC
    connect_timeout: 5s
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{ http2_protocol_options: {{}} }}
    load_assignment:
      cluster_name: {name}
      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: {{ socket_address: {{ address: {}, port_value: {} }} }} }} }}] }}]"#,
                address.ip(),
                address.port()
            )
        })
        .collect();
    format!(
        r#"admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
static_resources:
  listeners:
  - name: web
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          route_config:
            virtual_hosts: [{{ name: all, domains: ["*"], routes: [
              {{ match: {{ prefix: /down }}, route: {{ cluster: nowhere }} }},
              {{ match: {{ prefix: /grpc }}, route: {{ cluster: grpc }} }} ] }}]
          http_filters:
          - name: filter
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: filter
                vm_config:
                  runtime: envoy.wasm.runtime.v8
                  code: {{ local: {{ filename: "{module}" }} }}
          - name: router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:{clusters}
"#
    )
}

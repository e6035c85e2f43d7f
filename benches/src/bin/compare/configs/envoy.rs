//! Envoy as docs/faq/performance says: no request ids, no dynamic statistics, breakers out of
//! reach. The filters, if any, share one VM, as they do on Tidegate.

use std::net::SocketAddr;
use std::path::Path;

use crate::configs::Setting;
use crate::policy;
use crate::scenario::Scenario;

/// The whole file, with filters as they stand in front of the router.
pub(crate) fn file(setting: &Setting<'_>, filters: &str) -> String {
    let network_filter = match setting.scenario {
        Scenario::Tcp => TCP_PROXY.to_owned(),
        _ => connection_manager(setting.scenario, filters),
    };
    let address = address(setting.address);
    let names: &[&str] = match setting.scenario {
        Scenario::Chain => &["origin", "canary"],
        _ => &["origin"],
    };
    let clusters: String = names.iter().map(|name| cluster(setting, name)).collect();
    let tls = if setting.scenario.has_tls() {
        tls(setting)
    } else {
        String::new()
    };
    format!(
        "static_resources:
  listeners:
  - name: clients
    address: {address}
    filter_chains:
    - filters:
{network_filter}{tls}
  clusters:
{clusters}"
    )
}

const TCP_PROXY: &str = "      - name: envoy.filters.network.tcp_proxy
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: clients
          cluster: origin
";

fn connection_manager(scenario: Scenario, filters: &str) -> String {
    let codec = match scenario {
        Scenario::H2 | Scenario::Grpc => "HTTP2",
        _ => "HTTP1",
    };
    let is_split = scenario == Scenario::Chain && !filters.is_empty();
    let to = if is_split {
        policy::split()
    } else {
        "cluster: origin".to_owned()
    };
    let upgrades = match scenario {
        Scenario::Websocket => "\n          upgrade_configs: [{ upgrade_type: websocket }]",
        _ => "",
    };
    format!(
        "      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: clients
          codec_type: {codec}
          generate_request_id: false{upgrades}
          route_config:
            virtual_hosts:
            - name: all
              domains: ['*']
              routes:
              - match: {{ prefix: / }}
                route: {{ {to}, timeout: 0s }}
          http_filters:{filters}
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              dynamic_stats: false
              suppress_envoy_headers: true
"
    )
}

fn tls(setting: &Setting<'_>) -> String {
    let (certificate, key) = (
        setting.identity.certificate_file.display(),
        setting.identity.key_file.display(),
    );
    format!(
        "      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [http/1.1]
            tls_params: {{ tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3, ecdh_curves: [X25519] }}
            tls_certificates:
            - certificate_chain: {{ filename: '{certificate}' }}
              private_key: {{ filename: '{key}' }}
"
    )
}

fn cluster(setting: &Setting<'_>, name: &str) -> String {
    let origin = address(setting.origin);
    let http2 = match setting.scenario {
        Scenario::Grpc => {
            "    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: { http2_protocol_options: {} }
"
        }
        _ => "",
    };
    format!(
        "  - name: {name}
    type: STATIC
    connect_timeout: 5s
{http2}    circuit_breakers:
      thresholds:
      - max_connections: 100000
        max_pending_requests: 100000
        max_requests: 100000
        max_retries: 100000
    load_assignment:
      cluster_name: {name}
      endpoints:
      - lb_endpoints:
        - endpoint: {{ address: {origin} }}
"
    )
}

fn address(address: SocketAddr) -> String {
    let (host, port) = (address.ip(), address.port());
    format!("{{ socket_address: {{ address: {host}, port_value: {port} }} }}")
}

/// One filter that sets headers of this name.
pub(crate) fn wasm_filter(module: &Path, header: &str) -> String {
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

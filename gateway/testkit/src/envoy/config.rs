//! Envoy's configuration, as far as all comparisons have it in common: one listener for HTTP on a free
//! port, routes, filters before the router, clusters of one endpoint each, the admin interface.
//!
//! What a test is about it says in Envoy's own YAML.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;

/// Where typed configurations of HTTP filters are.
const HTTP_FILTERS: &str = "type.googleapis.com/envoy.extensions.filters.http";

/// A configuration in the making; written, it is YAML.
#[derive(Debug, Clone, Default)]
pub struct EnvoyConfig {
    routes: Vec<String>,
    filters: Vec<String>,
    clusters: Vec<String>,
}

impl EnvoyConfig {
    /// One whose listener is called `web`, without filters and clusters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a route, after those before: the fields of a `Route`. Without any, all requests go to the
    /// cluster `origin`.
    #[must_use]
    pub fn route(mut self, fields: &str) -> Self {
        self.routes.push(item(fields, 14));
        self
    }

    /// Adds an HTTP filter by its type, such as `buffer.v3.Buffer`, and its fields: blocks of YAML,
    /// each indented as it likes.
    #[must_use]
    pub fn filter(mut self, kind: &str, fields: &[&str]) -> Self {
        let fields: String = fields.iter().map(|block| indented(block, 4)).collect();
        let filter =
            format!("name: {kind}\ntyped_config:\n    \"@type\": {HTTP_FILTERS}.{kind}\n{fields}");
        self.filters.push(item(&filter, 10));
        self
    }

    /// Adds a Proxy-Wasm filter by its module; an empty configuration is none.
    #[must_use]
    pub fn wasm(self, name: &str, module: &Path, config: &str) -> Self {
        let config = config.replace('\'', "''");
        let config = match config.is_empty() {
            true => String::new(),
            false => format!(
                "  configuration: {{ \"@type\": type.googleapis.com/google.protobuf.StringValue, value: \
                 '{config}' }}\n"
            ),
        };
        let module = module.display();
        let fields = format!(
            "config:\n  name: {name}\n{config}  vm_config: {{ runtime: envoy.wasm.runtime.v8, code: \
             {{ local: {{ filename: \"{module}\" }} }} }}\n"
        );
        self.filter("wasm.v3.Wasm", &[&fields])
    }

    /// Adds a cluster of one endpoint that speaks HTTP/1.1.
    #[must_use]
    pub fn cluster(self, name: &str, at: SocketAddr) -> Self {
        self.cluster_of("http_protocol_options", name, at)
    }

    /// Adds a cluster of one endpoint that speaks HTTP/2, as gRPC wants it.
    #[must_use]
    pub fn http2_cluster(self, name: &str, at: SocketAddr) -> Self {
        self.cluster_of("http2_protocol_options", name, at)
    }

    fn cluster_of(mut self, protocol: &str, name: &str, at: SocketAddr) -> Self {
        const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
        let (host, port) = (at.ip(), at.port());
        let cluster = format!(
            "name: {name}
type: STATIC
connect_timeout: 5s
typed_extension_protocol_options:
  {OPTIONS}:
    \"@type\": type.googleapis.com/{OPTIONS}
    explicit_http_config: {{ {protocol}: {{}} }}
load_assignment:
  cluster_name: {name}
  endpoints:
  - lb_endpoints:
    - endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }}
"
        );
        self.clusters.push(item(&cluster, 2));
        self
    }
}

impl fmt::Display for EnvoyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ANY_PORT: &str = "{ socket_address: { address: 127.0.0.1, port_value: 0 } }";
        const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.network\
                            .http_connection_manager.v3.HttpConnectionManager";
        let routes = match self.routes.is_empty() {
            true => item("match: { prefix: / }\nroute: { cluster: origin }", 14),
            false => self.routes.concat(),
        };
        let (filters, clusters) = (self.filters.concat(), self.clusters.concat());
        write!(
            f,
            r#"admin: {{ address: {ANY_PORT} }}
static_resources:
  listeners:
  - name: web
    address: {ANY_PORT}
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": {HTTP}
          stat_prefix: web
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
{routes}          http_filters:
{filters}          - name: router
            typed_config: {{ "@type": {HTTP_FILTERS}.router.v3.Router }}
  clusters:
{clusters}"#
        )
    }
}

/// An item of a list that is indented so far.
fn item(fields: &str, spaces: usize) -> String {
    let block = indented(fields, spaces + 2);
    let rest = block.get(spaces + 2..).unwrap_or_default();
    format!("{:spaces$}- {rest}", "")
}

/// The lines of a block, the least indented of them by so many spaces.
fn indented(block: &str, spaces: usize) -> String {
    let lines = || block.lines().filter(|line| !line.trim().is_empty());
    let depth = |line: &str| line.len() - line.trim_start().len();
    let least = lines().map(depth).min().unwrap_or(0);
    lines()
        .map(|line| format!("{:spaces$}{}\n", "", line.get(least..).unwrap_or_default()))
        .collect()
}

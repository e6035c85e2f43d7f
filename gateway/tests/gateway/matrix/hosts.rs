//! The two proxies with the same filters, routes and backends, and what stands behind them.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;

use super::cases::Area;
use super::cases::Settings;
use super::legs::Leg;
use super::sites::Site;

/// What the proxies lead to.
#[derive(Debug)]
pub(crate) struct Peers {
    leg: Leg,
    /// Where `/` and `/two` lead.
    pub(crate) origin: Site,
    /// Where requests with `x-route: other` go.
    pub(crate) other: Site,
    /// What filters call.
    pub(crate) auth: Site,
    /// Nobody is there.
    pub(crate) dead: SocketAddr,
}

impl Peers {
    /// Starts them, for one of the legs.
    pub(crate) fn start(leg: Leg) -> Self {
        Self {
            leg,
            origin: Site::by_path(leg.origin_is_http2()),
            other: Site::other(leg.origin_is_http2()),
            auth: Site::by_path(false),
            dead: Origin::nowhere(),
        }
    }

    /// The backends by name.
    fn backends(&self) -> [(&'static str, SocketAddr); 4] {
        [
            ("origin", self.origin.address()),
            ("other", self.other.address()),
            ("auth", self.auth.address()),
            ("dead", self.dead),
        ]
    }

    /// Whether that backend is spoken to by HTTP/2.
    fn is_http2(&self, backend: &str) -> bool {
        self.leg.origin_is_http2() && matches!(backend, "origin" | "other")
    }

    /// Puts names in place of addresses, which differ between runs.
    pub(crate) fn without_addresses(&self, text: &str, proxy: SocketAddr) -> String {
        let mut text = text.replace(&proxy.to_string(), "<proxy>");
        for (name, address) in self.backends() {
            text = text.replace(&address.to_string(), &format!("<{name}>"));
            text = text.replace(&format!(" {}", address.port()), &format!(" <{name} port>"));
        }
        text.replace(&format!(" {}", proxy.port()), " <proxy port>")
    }
}

/// The number that keeps plugins of an area in one VM, and apart from others.
const VM_ID: &str = "matrix";

/// A gateway for an area.
pub(crate) fn tidegate(area: &Area, peers: &Peers) -> Gateway {
    let settings = &area.settings;
    let mut gateway = Gateway::to(peers.origin.address())
        .rule(Rule::at("/").to("origin", 1))
        .rule(Rule::at("/two").to("origin", 1))
        .rule(Rule::at("/").header("x-route", "other").to("other", 1))
        .rule(Rule::at("/dead").to("dead", 1));
    if peers.leg.origin_is_http2() {
        gateway = gateway.http2_origin();
    }
    for (name, address) in peers.backends().into_iter().skip(1) {
        gateway = if peers.is_http2(name) {
            gateway.http2_backend(name, address)
        } else {
            gateway.backend(name, address)
        };
    }
    if let Some(bytes) = settings.buffer {
        gateway = gateway.sizes(|sizes| sizes.buffered_body_bytes = bytes);
    }
    let module =
        std::fs::read(Wasm::built_path(&settings.module)).expect("`cargo xtask plugins` ran");
    for (name, config) in &settings.plugins {
        let plugin = Wasm::bytes(name, module.clone())
            .config(config)
            .with(|spec| {
                spec.vm_id = VM_ID.to_owned();
                spec.vm_config = settings.vm.clone().into_bytes().into();
                spec.env.clone_from(&settings.env);
                spec.strict = settings.strict;
            });
        gateway = gateway.plugin(&if settings.fail_open {
            plugin.fail_open()
        } else {
            plugin
        });
    }
    gateway.start()
}

/// An Envoy's configuration for an area.
pub(crate) fn envoy_config(area: &Area, peers: &Peers) -> String {
    let mut filters = String::new();
    for (name, config) in &area.settings.plugins {
        filters.push_str(&envoy_filter(&area.settings, name, config));
    }
    let mut clusters = String::new();
    for (name, address) in peers.backends() {
        let (ip, port) = (address.ip(), address.port());
        let version = if peers.is_http2(name) {
            "http2_protocol_options: {}"
        } else {
            "http_protocol_options: { enable_trailers: true }"
        };
        write!(
            clusters,
            "  - name: {name}\n    type: STATIC\n    connect_timeout: 2s\n    load_assignment:\n      \
             cluster_name: {name}\n      endpoints: [{{ lb_endpoints: [{{ endpoint: {{ address: \
             {{ socket_address: {{ address: {ip}, port_value: {port} }} }} }} }}] }}]\n    \
             typed_extension_protocol_options:\n      \
             envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n        \
             \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n        \
             explicit_http_config: {{ {version} }}\n"
        )
        .expect("text can be written to");
    }
    let buffer = area.settings.buffer.unwrap_or(1 << 20);
    format!(
        r#"admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }} }}
node: {{ id: gateway-1, cluster: edge }}
static_resources:
  listeners:
  - name: web
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: 0 }} }}
    traffic_direction: INBOUND
    per_connection_buffer_limit_bytes: {buffer}
    filter_chains:
    - name: web
      filters:
      - name: http
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          http_protocol_options: {{ enable_trailers: true }}
          route_config:
            virtual_hosts:
            - name: web
              domains: ["*"]
              routes:
              - {{ name: test/rule/two, match: {{ path_separated_prefix: /two }}, route: {{ cluster: origin }} }}
              - {{ name: test/rule/dead, match: {{ path_separated_prefix: /dead }}, route: {{ cluster: dead }} }}
              - {{ name: test/rule/other, match: {{ prefix: /, headers: [{{ name: x-route, string_match: {{ exact: other }} }}] }}, route: {{ cluster: other }} }}
              - {{ name: test/rule/, match: {{ prefix: / }}, route: {{ cluster: origin }} }}
          http_filters:
{filters}          - name: router
            typed_config: {{ "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }}
  clusters:
{clusters}"#
    )
}

fn envoy_filter(settings: &Settings, name: &str, config: &str) -> String {
    let path = Wasm::built_path(&settings.module);
    let path = path.display();
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let string = r#""@type": type.googleapis.com/google.protobuf.StringValue"#;
    let (config, vm) = (quoted(config), quoted(&settings.vm));
    let policy = if settings.fail_open {
        "FAIL_OPEN"
    } else {
        "FAIL_RELOAD"
    };
    let pairs = settings.env.iter();
    let env: Vec<String> = pairs
        .map(|(name, value)| format!("{name}: {}", quoted(value)))
        .collect();
    let env = env.join(", ");
    format!(
        r#"          - name: {name}
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
              config:
                name: {name}
                failure_policy: {policy}
                configuration: {{ {string}, value: {config} }}
                vm_config:
                  vm_id: {VM_ID}
                  runtime: envoy.wasm.runtime.v8
                  configuration: {{ {string}, value: {vm} }}
                  environment_variables: {{ key_values: {{ {env} }} }}
                  code: {{ local: {{ filename: "{path}" }} }}
"#
    )
}

//! Envoy 1.40 with one filter in front of nothing, for comparison.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use tidegate_testkit::Client;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

/// A running Envoy, killed when dropped.
pub(super) struct Envoy {
    child: Child,
    pub(super) address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// One with the filter and these HTTP/2 clusters.
    pub(super) fn start(filter: &Wasm, clusters: &[(&str, SocketAddr)]) -> Self {
        let peers = std::env::var_os("TIDEGATE_PEERS_DIR").expect("xtask says where peers are");
        let binary = PathBuf::from(peers).join("envoy/bin/envoy");
        assert!(binary.exists(), "{} is missing", binary.display());
        let folder = tempfile::tempdir().expect("a folder");
        let (admin, module) = (folder.path().join("admin"), folder.path().join("f.wasm"));
        std::fs::write(&module, filter.module()).expect("written");
        let path = folder.path().join("envoy.yaml");
        let module = module.display().to_string();
        std::fs::write(&path, config(&module, clusters)).expect("written");
        let child = Command::new(binary)
            .args(["--concurrency", "1", "--disable-hot-restart", "-l", "error"])
            .arg("-c")
            .arg(&path)
            .arg("--admin-address-path")
            .arg(&admin)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("envoy starts");
        let mut envoy = Self {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            _folder: folder,
        };
        let admin: SocketAddr = eventually("envoy's admin address", || {
            std::fs::read_to_string(&admin).ok()?.trim().parse().ok()
        });
        envoy.address = eventually("envoy's listener", || {
            let mut client = Client::try_connect(admin).ok()?;
            let listeners = client.get("/listeners").text();
            let line = listeners.lines().next()?;
            line.rsplit_once("::")?.1.trim().parse().ok()
        });
        eventually("envoy to serve", || {
            let mut client = Client::try_connect(envoy.address).ok()?;
            client
                .try_send("GET / HTTP/1.1\r\nHost: a\r\nx-op: r\r\n\r\n")
                .ok()?;
            (client.try_response().ok()?.status() == 200).then_some(())
        });
        envoy
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
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

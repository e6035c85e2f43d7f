//! What filters and origins get of a WebSocket on a stream, here and on Envoy 1.40.

use std::net::SocketAddr;

use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::http2;
use tidegate_testkit::http2::tunnel;
use tidegate_testkit::http2::tunnel::opening;

use super::marks;
use super::switches;

/// What is compared: fields of the answer, and of the request at the origin.
const OF_ANSWER: [&str; 5] = [
    "x-status",
    "x-own",
    "upgrade",
    "connection",
    "content-length",
];
const OF_REQUEST: [&str; 7] = [
    "x-upgrade",
    "x-method",
    "upgrade",
    "connection",
    "host",
    "sec-websocket-version",
    "transfer-encoding",
];

pub(super) fn origin() -> Origin {
    Origin::script(|connection| {
        // Envoy waits with its first request until it is asked for one.
        let asked = connection.request()?;
        if !asked.start.contains("/chat") {
            return connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        connection.send(switches(&asked))?;
        let word = connection.exactly(4)?;
        connection.send(word)
    })
}

/// All that is compared.
fn seen(gateway: SocketAddr, origin: &Origin) -> Vec<(String, Option<String>)> {
    let mut all = http2::client(gateway, async |client| {
        let opened = tunnel::try_open(client, opening("websocket", "/chat?x")).await;
        let mut tunnel = opened.expect("it opens");
        let fields = OF_ANSWER.map(|name| {
            let value = tunnel
                .headers
                .get(name)
                .map(|value| value.to_str().expect("text"));
            (name.to_owned(), value.map(str::to_owned))
        });
        tunnel
            .sending
            .send_data("word".into(), false)
            .expect("sent");
        // How Envoy ends a tunnel whose origin has ended is its own matter: it resets the stream.
        let word = tunnel.receiving.data().await.expect("a word");
        assert_eq!(word.expect("a word"), "word");
        fields.to_vec()
    });
    let asked = origin.requests().pop().expect("a request");
    all.push(("start".to_owned(), Some(asked.start.clone())));
    all.extend(OF_REQUEST.map(|name| (name.to_owned(), asked.field(name).map(str::to_owned))));
    all
}

fn envoy(origin: SocketAddr, filter: &Wasm) -> (Envoy, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let module = folder.path().join("marks.wasm");
    std::fs::write(&module, filter.module()).expect("writable");
    let config = CONFIG
        .replace("MODULE", &module.display().to_string())
        .replace("PORT", &origin.port().to_string());
    let envoy = Envoy::start(&config);
    (
        envoy.until("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        folder,
    )
}

const CONFIG: &str = r#"
admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }
static_resources:
  listeners:
    - name: edge
      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
      filter_chains:
        - filters:
            - name: hcm
              typed_config:
                "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: edge
                codec_type: AUTO
                http2_protocol_options: { allow_connect: true }
                upgrade_configs: [{ upgrade_type: websocket }]
                http_filters:
                  - name: marks
                    typed_config:
                      "@type": type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm
                      config:
                        name: marks
                        root_id: marks
                        vm_config:
                          runtime: envoy.wasm.runtime.v8
                          code: { local: { filename: MODULE } }
                  - name: router
                    typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
                route_config:
                  virtual_hosts:
                    - name: all
                      domains: ["*"]
                      routes: [{ match: { prefix: / }, route: { cluster: origin } }]
  clusters:
    - name: origin
      connect_timeout: 5s
      load_assignment:
        cluster_name: origin
        endpoints:
          - lb_endpoints:
              - endpoint: { address: { socket_address: { address: 127.0.0.1, port_value: PORT } } }
"#;

#[test]
fn filters_and_origins_get_of_a_socket_on_a_stream_what_they_get_on_envoy() {
    if !Envoy::wanted() {
        return;
    }
    let (filter, here) = (marks(), origin());
    let gateway = Gateway::to(here.address()).plugin(&filter).start();
    let ours = seen(gateway.address(), &here);
    let there = origin();
    let (envoy, _folder) = envoy(there.address(), &filter);
    assert_eq!(ours, seen(envoy.address(), &there));
}

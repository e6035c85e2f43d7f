//! Node's WebSockets on streams of HTTP/2: as a client, and as an origin.

use std::net::SocketAddr;
use std::process::Command;

use tidegate_testkit::Peer;
use tidegate_testkit::peer::node;
use tidegate_testkit::websocket;

use super::Secure;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;

const SCRIPT: &str = include_str!("websocket.js");

/// Opens so many sockets with one message each; what Node says about the echoes.
fn talk(gateway: &Secure, count: usize, size: usize) -> String {
    gateway.files.write("websocket.js", SCRIPT.as_bytes());
    let script = gateway.files.file("websocket.js");
    let url = format!("https://localhost:{}", gateway.address().port());
    let mut client = Command::new(node());
    client
        .arg(script)
        .arg(url)
        .arg(gateway.files.file("ca.pem"));
    client.args([count.to_string(), size.to_string()]);
    let (_, out, err) = finish(&mut client);
    format!("{out}{err}")
}

fn http2_backend(address: SocketAddr) -> String {
    let resource = backend("all", address);
    resource.replace("spec: {", "spec: { protocol: Http2,")
}

#[test]
fn node_opens_websockets_on_streams_to_origins_of_both_versions() {
    if !Peer::wanted("node, RFC 8441") {
        return;
    }
    let peer = Peer::node(SCRIPT);
    let origin = websocket::echoes();
    for backend in [
        backend("all", origin.address()),
        http2_backend(peer.address()),
    ] {
        let gateway = Secure::start(&[("route.yaml", &route("all")), ("backend.yaml", &backend)]);
        for (count, size) in [(1, 5), (20, 100), (3, 1_000_000)] {
            let said = talk(&gateway, count, size);
            assert_eq!(said, "same\n".repeat(count), "{count} of {size}");
        }
    }
}

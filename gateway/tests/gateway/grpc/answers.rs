//! Answers that the gateway or a filter makes to gRPC requests.

use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Envoy;
use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;

use super::envoy;
use super::probe;

fn ask(address: SocketAddr, path: &str, fields: &str) -> Message {
    let mut client = Client::connect(address);
    client.send(format!(
        "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{fields}\r\n"
    ));
    client.response()
}

/// A filter's own answers: the same on both.
#[track_caller]
fn filters_answer(who: &str, address: SocketAddr) {
    for (token, status) in [(0, "7"), (1, "0"), (6, "5"), (17, "16"), (18, "7")] {
        let fields = format!("x-op: l\r\nx-token: {token}\r\ncontent-type: application/grpc\r\n");
        let response = ask(address, "/", &fields);
        assert_eq!(response.status(), 200, "{who}: {token}");
        assert_eq!(
            response.field("content-type"),
            Some("application/grpc"),
            "{who}"
        );
        assert_eq!(
            response.field("grpc-status"),
            Some(status),
            "{who}: {token}"
        );
        assert_eq!(response.field("x-probe"), Some("yes"), "{who}");
        assert_eq!(response.text(), "", "{who}");
        let message = response.field("grpc-message").unwrap_or_default();
        assert!(message.starts_with("no 100%25 entry"), "{who}: {message}");
    }
    for content_type in ["application/grpc-web", "application/json"] {
        let fields = format!("x-op: l\r\nx-token: 6\r\ncontent-type: {content_type}\r\n");
        let response = ask(address, "/", &fields);
        assert_eq!(response.status(), 403, "{who}: {content_type}");
        assert_eq!(response.text(), "no 100% entry\n", "{who}");
        assert_eq!(response.field("grpc-status"), None, "{who}");
    }
}

/// The gateway's own refusals: the same status on both.
#[track_caller]
fn refusals(who: &str, address: SocketAddr) {
    for content_type in ["application/grpc", "application/grpc+proto"] {
        let fields = format!("content-type: {content_type}\r\n");
        for (path, status) in [("/down", "14"), ("/missing", "12")] {
            let response = ask(address, path, &fields);
            assert_eq!(response.status(), 200, "{who}: {path}");
            assert_eq!(
                response.field("content-type"),
                Some("application/grpc"),
                "{who}"
            );
            assert_eq!(response.field("grpc-status"), Some(status), "{who}: {path}");
            assert_eq!(response.field("content-length"), Some("0"), "{who}: {path}");
        }
    }
    let fields = "content-type: application/grpc-web\r\n";
    assert_eq!(ask(address, "/down", fields).status(), 503, "{who}");
    assert_eq!(ask(address, "/missing", fields).status(), 404, "{who}");
}

#[test]
fn grpc_requests_get_answers_that_grpc_clients_read() {
    let nowhere = Origin::nowhere();
    let gateway = Gateway::to(nowhere)
        .rule(Rule::at("/down").to("origin", 1))
        .plugin(&probe::filter())
        .start();
    filters_answer("tidegate", gateway.address());
    refusals("tidegate", gateway.address());
    let response = ask(
        gateway.address(),
        "/missing",
        "content-type: application/grpc\r\n",
    );
    assert_eq!(response.field("grpc-message"), Some("404 Not Found"));
}

#[test]
fn grpc_requests_get_the_same_answers_on_envoy() {
    if !Envoy::wanted() {
        return;
    }
    let nowhere = Origin::nowhere();
    let (envoy, _module) =
        envoy::start(&probe::filter(), &[("grpc", nowhere), ("nowhere", nowhere)]);
    filters_answer("envoy", envoy.address());
    refusals("envoy", envoy.address());
}

//! Origins that open tunnels on streams, and those that do not.

use tidegate_core::tls::BundleId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::TlsVersion;
use tidegate_core::tls::Trust;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::http2;
use tidegate_testkit::http2::get;
use tidegate_testkit::http2::tunnel;
use tidegate_testkit::http2::tunnel::echo;
use tidegate_testkit::http2::tunnel::opening;
use tidegate_testkit::tls::TlsFront;
use tidegate_testkit::websocket;
use tidegate_testkit::websocket::Error;
use tidegate_testkit::websocket::Frame;

use super::refused;

/// A gateway to an origin behind TLS that chooses among these protocols.
fn to_tls(origin: std::net::SocketAddr, protocols: &[&str]) -> (TlsFront, Gateway) {
    let authority = Authority::root("root");
    let front = TlsFront::new(origin, &authority.server("origin.test"), protocols, None);
    let gateway = Gateway::to(front.address())
        .bundle(Some(&authority.bundle()))
        .origin_tls(Origination {
            hostname: "origin.test".into(),
            trust: Trust::Bundles(vec![BundleId(0)]),
            subject_alt_names: Vec::new(),
            client_certificate: None,
            min_version: TlsVersion::Tls12,
        })
        .start();
    (front, gateway)
}

#[test]
fn a_stream_of_a_client_becomes_a_stream_to_an_origin_that_opens_tunnels() {
    let origin = tunnel::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |client| {
        for _ in 0..3 {
            let mut socket = tunnel::socket(client.clone(), "/chat?a").await;
            echo(&mut socket, "hello").await;
            let large = Frame::binary(vec![7; 1_000_000]);
            tunnel::send(&mut socket, large.clone()).await;
            assert!(tunnel::next(&mut socket).await == Some(large), "another");
            tunnel::close(socket).await;
        }
    });
    let asked = origin.requests().remove(0);
    assert_eq!(
        (asked.method().as_str(), asked.uri().path()),
        ("CONNECT", "/chat")
    );
    let protocol = asked.extensions().get::<h2::ext::Protocol>();
    assert_eq!(protocol.map(h2::ext::Protocol::as_str), Some("websocket"));
    for absent in [
        "upgrade",
        "connection",
        "sec-websocket-key",
        "content-length",
    ] {
        assert!(!asked.headers().contains_key(absent), "{absent}");
    }
    assert_eq!(asked.headers()["sec-websocket-version"], "13");
    assert_eq!(origin.connections(), 1);
    let line = gateway.log_lines(3).remove(0);
    assert!(line.contains("GET ") && line.contains(" 101 - "), "{line}");
}

#[test]
fn a_connection_of_a_client_becomes_a_stream_too() {
    let origin = tunnel::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    // The library checks the answer to its key.
    let (mut socket, answer) = websocket::try_open(gateway.address(), "/").expect("it opens");
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["upgrade"], "websocket");
    for n in 0..10 {
        let message = Frame::text(format!("message {n}"));
        socket.send(message.clone()).expect("sent");
        assert_eq!(socket.read().expect("an echo"), message);
    }
    socket.close(None).expect("sent");
    while socket.read().is_ok() {}
    let asked = origin.requests().remove(0);
    assert_eq!(asked.method(), "CONNECT");
    assert!(!asked.headers().contains_key("sec-websocket-key"));
}

#[test]
fn an_origin_that_announces_no_tunnels_is_not_asked_for_one() {
    let origin = Http2Origin::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |mut client| {
        assert_eq!(refused(client.clone(), "websocket").await.status, 502);
        let fine = get(&mut client, "/").await.expect("the connection stays");
        assert_eq!(fine.status, 200);
    });
    let failed = websocket::try_open(gateway.address(), "/").expect_err("it is refused");
    assert!(
        matches!(&failed, Error::Http(answer) if answer.status() == 502),
        "{failed}"
    );
    // Another protocol's wish is ignored, as any server may.
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    let lines = gateway.stop_for_log();
    let failed = lines
        .iter()
        .filter(|line| line.contains(" 502 upgrade_failed "));
    let named = failed.filter(|line| line.contains("extended CONNECT"));
    assert_eq!(named.count(), 2, "{lines:?}");
    assert_eq!(origin.connections(), 1, "one answer is enough");
}

#[test]
fn an_origin_that_refuses_a_tunnel_is_believed() {
    let mut builder = h2::server::Builder::new();
    builder.enable_connect_protocol();
    let origin = Http2Origin::with(builder, |_, mut respond| async move {
        let no = http::Response::builder()
            .status(403)
            .body(())
            .expect("an answer");
        respond
            .send_response(no, false)?
            .send_data("no".into(), true)
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    http2::client(gateway.address(), async |client| {
        let answer = refused(client, "websocket").await;
        assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    });
    let failed = websocket::try_open(gateway.address(), "/").expect_err("it is refused");
    assert!(
        matches!(&failed, Error::Http(answer) if answer.status() == 403),
        "{failed}"
    );
}

#[test]
fn an_origin_of_tls_is_asked_on_a_connection_of_http1_if_it_speaks_that() {
    let origin = websocket::echoes();
    let (front, gateway) = to_tls(origin.address(), &["http/1.1"]);
    http2::client(gateway.address(), async |client| {
        let mut socket = tunnel::socket(client, "/").await;
        echo(&mut socket, "hello").await;
        tunnel::close(socket).await;
    });
    assert_eq!(front.seen().len(), 1);
}

#[test]
fn an_origin_of_tls_that_speaks_http2_alone_is_asked_on_a_stream() {
    let origin = tunnel::echoes();
    let (_front, gateway) = to_tls(origin.address(), &["h2"]);
    http2::client(gateway.address(), async |client| {
        let mut socket = tunnel::socket(client, "/").await;
        echo(&mut socket, "hello").await;
        tunnel::close(socket).await;
    });
    let mut socket = websocket::open(gateway.address(), "/");
    socket.send(Frame::text("hello")).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Frame::text("hello"));
    assert_eq!(origin.connections(), 1, "the kept one opens tunnels");
}

#[test]
fn an_origin_of_tls_that_speaks_http2_alone_and_opens_no_tunnels_is_a_clear_502() {
    let origin = Http2Origin::echoes();
    let (_front, gateway) = to_tls(origin.address(), &["h2"]);
    http2::client(gateway.address(), async |client| {
        assert_eq!(refused(client, "websocket").await.status, 502);
    });
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 502 upgrade_failed "), "{line}");
}

#[test]
fn two_gateways_translate_there_and_back() {
    // Stream, connection, stream, connection.
    let origin = websocket::echoes();
    let last = Gateway::to(origin.address()).start();
    let middle = Gateway::to(last.address()).http2_origin().start();
    let first = Gateway::to(middle.address()).start();
    http2::client(first.address(), async |client| {
        let mut socket = tunnel::socket(client, "/").await;
        for n in 0..10 {
            echo(&mut socket, &format!("message {n}")).await;
        }
        tunnel::close(socket).await;
    });
    let line = last.log_lines(1).remove(0);
    assert!(
        line.contains("HTTP/2.0") && line.contains(" 101 - "),
        "{line}"
    );
    // A filter or a policy may still say no, wherever it is.
    let mut request = opening("websocket", "/");
    *request.uri_mut() = "http://a.test/x".parse().expect("a target");
    http2::client(first.address(), async |client| {
        tunnel::try_open(client, request).await.expect("it opens");
    });
}

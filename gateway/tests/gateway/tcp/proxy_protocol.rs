//! The PROXY protocol, in and out.

use std::net::SocketAddr;
use std::time::Duration;

use tidegate_core::proxy_protocol::Beginning;
use tidegate_core::proxy_protocol::Ends;
use tidegate_core::proxy_protocol::decode;
use tidegate_core::proxy_protocol::encode;
use tidegate_core::tcp::ProxyProtocol;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;

const V2: &[u8; 28] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x10\x01\x01\xbb";

#[test]
fn the_client_that_a_header_names_is_the_client_everywhere() {
    let origin = Origin::answers(200, "ok");
    let gateway = Gateway::to(origin.address()).proxied().start();
    let line = b"PROXY TCP4 192.0.2.7 198.51.100.1 4097 443\r\n";
    let headers: [&[u8]; 2] = [line, V2];
    for header in headers {
        let mut client = gateway.client();
        // Byte by byte: it comes as it comes.
        for byte in header {
            client.send([*byte]);
        }
        assert_eq!(client.get("/").status(), 200);
        assert_eq!(client.get("/again").status(), 200);
    }
    for request in origin.requests() {
        assert_eq!(request.field("x-forwarded-for"), Some("192.0.2.7"));
    }
    for line in gateway.log_lines(4) {
        assert!(line.contains(" web 192.0.2.7 \"GET"), "{line}");
    }
}

#[test]
fn a_header_and_a_request_in_one_packet_are_both_read() {
    let origin = Origin::answers(200, "ok");
    let gateway = Gateway::to(origin.address()).proxied().start();
    let mut client = gateway.client();
    client.send("PROXY TCP6 2001:db8::7 2001:db8::1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let request = origin.requests().pop().expect("a request");
    assert_eq!(request.field("x-forwarded-for"), Some("2001:db8::7"));
}

#[test]
fn a_proxy_that_speaks_for_itself_is_the_client() {
    let origin = Origin::answers(200, "ok");
    let gateway = Gateway::to(origin.address()).proxied().start();
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    let headers: [&[u8]; 2] = [b"PROXY UNKNOWN\r\n", local];
    for header in headers {
        let mut client = gateway.client();
        client.send(header);
        assert_eq!(client.get("/").status(), 200);
    }
    for request in origin.requests() {
        assert_eq!(request.field("x-forwarded-for"), Some("127.0.0.1"));
    }
}

#[test]
fn connections_that_do_not_begin_with_a_header_are_closed_and_counted() {
    let origin = Origin::answers(200, "ok");
    let gateway = Gateway::to(origin.address()).proxied().start();
    let mut too_long = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".to_vec();
    too_long.resize(70_000, 0);
    let corpus: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4097\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4097 443 \r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.256 4097 443\r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 4097 443\r\nGET / HTTP/1.1\r\n",
        &[b'P'; 2000],
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04\x7f\0\0\x01",
        &too_long,
    ];
    for bytes in corpus {
        let mut client = Wire::connect(gateway.address());
        // Closed early, it may take no more of the longest.
        std::io::Write::write_all(&mut client.socket(), bytes).ok();
        let answer = client.rest().unwrap_or_default();
        assert!(answer.is_empty(), "{}", bytes.escape_ascii());
    }
    eventually("all to be counted", || {
        let flags = gateway.metrics().connection_flags;
        (flags.get("bad_proxy_header") == Some(&9)).then_some(())
    });
    assert!(origin.requests().is_empty());
    let lines = gateway.log_lines(9);
    assert!(
        lines
            .iter()
            .all(|line| line.contains(" 0 bad_proxy_header ")),
        "{lines:?}"
    );
    // Whoever does it right is served all the same.
    let mut client = gateway.client();
    client.send("PROXY UNKNOWN\r\n");
    assert_eq!(client.get("/").status(), 200);
}

#[test]
fn a_header_that_does_not_come_in_time_is_not_waited_for() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .proxied()
        .timeouts(|timeouts| timeouts.header_read = Duration::from_millis(200))
        .start();
    let mut silent = Wire::connect(gateway.address());
    let mut slow = Wire::connect(gateway.address());
    slow.send("PROXY TCP4 192.0.2.7");
    silent.expect_end();
    slow.expect_end();
    eventually("both to be counted", || {
        let flags = gateway.metrics().connection_flags;
        (flags.get("proxy_header_timeout") == Some(&2)).then_some(())
    });
    assert!(origin.try_accept().is_none());
}

/// Reads a header and returns what it says.
#[track_caller]
fn header(server: &mut Wire, version: ProxyProtocol) -> Option<Ends> {
    let mut bytes = Vec::new();
    loop {
        bytes.extend(server.take(1));
        match decode(&bytes).expect("a header") {
            Beginning::Incomplete => {}
            Beginning::Header { ends, .. } => {
                let is_line = bytes.starts_with(b"PROXY ");
                assert_eq!(is_line, version == ProxyProtocol::V1);
                return ends;
            }
        }
    }
}

#[test]
fn an_origin_is_told_the_client_before_its_first_byte() {
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let origin = Port::new();
        let gateway = Gateway::to(origin.address())
            .origin_with(|backend| backend.proxy_protocol = Some(version))
            .tcp()
            .start();
        let mut client = Wire::connect(gateway.address());
        let mut server = origin.accept();
        let told = header(&mut server, version).expect("two ends");
        assert_eq!(told.source, client.address());
        assert_eq!(told.destination, gateway.address());
        client.send("hello");
        server.expect("hello");
    }
}

#[test]
fn what_came_in_by_one_version_goes_out_by_the_other() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .origin_with(|backend| backend.proxy_protocol = Some(ProxyProtocol::V1))
        .tcp()
        .proxied()
        .start();
    let mut client = Wire::connect(gateway.address());
    let ends = Ends {
        source: SocketAddr::from(([192, 0, 2, 7], 4097)),
        destination: SocketAddr::from(([198, 51, 100, 1], 443)),
    };
    let mut sent = encode(ProxyProtocol::V2, Some(&ends));
    sent.extend(b"and more");
    client.send(&sent);
    let mut server = origin.accept();
    server.expect("PROXY TCP4 192.0.2.7 198.51.100.1 4097 443\r\nand more");
}

#[test]
fn connections_that_tell_the_client_serve_no_other_request() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .origin_with(|backend| backend.proxy_protocol = Some(ProxyProtocol::V2))
        .start();
    for _ in 0..2 {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut server = origin.accept();
        let told = header(&mut server, ProxyProtocol::V2).expect("two ends");
        assert_eq!(told.source, client.address());
        server.expect("GET / HTTP/1.1\r\n");
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
}

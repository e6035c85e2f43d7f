//! Backends that speak another protocol than the configuration says, or end it in the middle.

use std::io::Read as _;
use std::io::Write as _;

use tidegate_core::backend::BackendProtocol;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Http2Origin;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::TlsFront;
use tidegate_testkit::frames::ACK;
use tidegate_testkit::frames::DATA;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::GOAWAY;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::OK;
use tidegate_testkit::frames::PREFACE;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::read;
use tidegate_testkit::origin::OriginConnection;

use super::tls_origins::believing;

/// Asks once; the answer must have this status, and the log this flag.
#[track_caller]
fn ends(gateway: Gateway, status: u16, flag: &str) {
    assert_eq!(gateway.get("/").status(), status);
    let log = gateway.stop_for_log().join("\n");
    assert!(log.contains(flag), "{log:?} without {flag}");
}

#[test]
fn a_tls_port_that_is_asked_in_plain_http_is_a_protocol_error() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let pair = authority.server("origin.test");
    for protocol in [BackendProtocol::Http1, BackendProtocol::Http2] {
        let front = TlsFront::new(origin.address(), &pair, &["http/1.1"], None);
        let gateway = Gateway::to(front.address())
            .origin_with(|backend| backend.protocol = protocol)
            .start();
        ends(gateway, 502, "upstream_");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn an_origin_of_http2_that_is_asked_in_http1_is_a_protocol_error() {
    let origin = Http2Origin::echoes();
    ends(Gateway::to(origin.address()).start(), 502, "upstream_");
    assert!(origin.requests().is_empty());
    // One that says so in its own words.
    let settings = frame(SETTINGS, 0, 0, &[]);
    let goaway = frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 1]);
    let origin = Origin::replies_then_closes([settings, goaway].concat());
    let gateway = Gateway::to(origin.address()).start();
    ends(gateway, 502, "upstream_protocol_error");
}

#[test]
fn an_origin_of_tls_without_a_protocol_in_common_ends_with_a_reason() {
    let authority = Authority::root("root");
    let origin = Origin::answers(200, "hello");
    let pair = authority.server("origin.test");
    let to = |front: &TlsFront| {
        Gateway::to(front.address())
            .bundle(Some(&authority.bundle()))
            .origin_tls(believing("origin.test"))
    };
    let front = TlsFront::new(origin.address(), &pair, &["h3"], None);
    ends(to(&front).start(), 502, "upstream_tls_handshake");
    // It must be HTTP/2, and is not.
    let front = TlsFront::new(origin.address(), &pair, &["http/1.1"], None);
    ends(
        to(&front).http2_origin().start(),
        502,
        "upstream_tls_handshake",
    );
    // One that chooses nothing speaks HTTP/1.1.
    let front = TlsFront::new(origin.address(), &pair, &[], None);
    assert_eq!(to(&front).start().get("/").status(), 200);
}

/// Reads what a gateway says first, and returns the stream of its request.
fn request(connection: &mut OriginConnection) -> std::io::Result<u32> {
    let socket = connection.stream();
    socket.read_exact(&mut [0; PREFACE.len()])?;
    socket.write_all(&frame(SETTINGS, 0, 0, &[]))?;
    socket.write_all(&frame(SETTINGS, ACK, 0, &[]))?;
    loop {
        let next = read(socket)?;
        if next.kind == HEADERS {
            return Ok(next.stream);
        }
    }
}

/// A GOAWAY that takes streams up to this one.
fn goaway(last: u32) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[&last.to_be_bytes()[..], &[0; 4]].concat())
}

#[test]
fn a_stream_that_a_goaway_does_not_take_is_sent_once_more() {
    let origin = Origin::script(|connection| {
        let stream = request(connection)?;
        if connection.number == 0 {
            connection.send(goaway(0))?;
            return connection.wait_for_close();
        }
        connection.send(frame(HEADERS, END_HEADERS | END_STREAM, stream, OK))?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    // Nobody has looked at it: so it may be any method.
    assert_eq!(gateway.client().post("/", b"").status(), 200);
    assert_eq!(origin.connections(), 2);
}

#[test]
fn an_answer_goes_on_after_a_goaway_and_is_cut_if_its_connection_ends() {
    for cuts in [false, true] {
        let begun = Latch::default();
        let until = begun.clone();
        let origin = Origin::script(move |connection| {
            let stream = request(connection)?;
            connection.send(frame(HEADERS, END_HEADERS, stream, OK))?;
            connection.send(frame(DATA, 0, stream, b"one "))?;
            connection.send(goaway(stream))?;
            until.wait();
            if !cuts {
                connection.send(frame(DATA, END_STREAM, stream, b"two"))?;
                connection.wait_for_close()?;
            }
            Ok(())
        });
        let gateway = Gateway::to(origin.address()).http2_origin().start();
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_head().status(), 200);
        begun.open();
        gateway.drain();
        let body = client.read_to_end().unwrap_or_default();
        let body = String::from_utf8_lossy(&body);
        let log = gateway.log_lines(1).join("\n");
        assert_eq!(log.contains("upstream_body_cut"), cuts, "{log}");
        assert_eq!(body.ends_with("two\r\n0\r\n\r\n"), !cuts, "{body:?}");
    }
}

#[test]
fn trailers_that_nothing_announced_arrive() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nx-sum: 1\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: te\r\n\r\n");
    let answer = client.response();
    assert_eq!(answer.field("trailer"), None);
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "1".to_owned())]);
}

#[test]
fn characters_that_no_uri_has_reach_origins_of_both_versions() {
    let path = "/a<b>`c?d=\"<e>\"";
    let origin = Origin::answers(200, "");
    let gateway = Gateway::to(origin.address()).start();
    assert_eq!(gateway.get(path).status(), 200);
    assert_eq!(origin.only_request().start, format!("GET {path} HTTP/1.1"));
    let origin = Http2Origin::echoes();
    let gateway = Gateway::to(origin.address()).http2_origin().start();
    assert_eq!(gateway.get(path).status(), 200);
    let seen = origin.requests();
    assert_eq!(seen[0].uri().path(), "/a%3Cb%3E%60c");
    assert_eq!(seen[0].uri().query(), Some("d=%22%3Ce%3E%22"));
}

//! No ambiguous framing reaches an origin: tests look at the origin's bytes.

use tidegate_testkit::Gateway;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;

/// Sends `request` and expects this status; nothing may reach the origin.
#[track_caller]
fn refused(request: &str, status: u16, flag: &str) {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(request);
    let response = client.response();
    assert_eq!(response.status(), status, "{request:?}");
    assert_eq!(response.field("connection"), Some("close"), "{request:?}");
    assert_eq!(
        client.read_to_end().expect("a clean close"),
        b"",
        "{request:?}"
    );
    assert_eq!(origin.requests(), [], "{request:?}");
    let line = gateway.log_lines(1).remove(0);
    let expected = format!(" {status} {flag} ");
    assert!(line.contains(&expected), "{request:?}: {line}");
}

/// Sends `request` and returns what the origin got and the client's answer.
#[track_caller]
fn forwarded(request: &str) -> (Message, Message) {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send(request);
    let response = client.response();
    (origin.only_request(), response)
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

fn post(fields: &str, body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}")
}

#[test]
fn differing_content_lengths_are_400() {
    let smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    for fields in [
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 0, 5\r\n",
        "Content-Length: +5\r\n",
    ] {
        refused(&post(fields, smuggled), 400, "bad_content_length");
    }
}

#[test]
fn equal_content_lengths_go_on_as_one() {
    let (request, _) = forwarded(&post("Content-Length: 3\r\nContent-Length: 3\r\n", "abc"));
    assert_eq!(request.values("content-length"), ["3"]);
    assert_eq!(request.text(), "abc");
}

#[test]
fn obs_fold_is_400() {
    refused(&get("X-A: one\r\n two\r\n"), 400, "malformed_request");
}

#[test]
fn space_before_colon_is_400() {
    refused(&get("Content-Length : 5\r\n"), 400, "malformed_request");
    refused(
        &get("Transfer-Encoding\t: chunked\r\n"),
        400,
        "malformed_request",
    );
}

#[test]
fn a_bare_line_feed_is_400() {
    refused("GET / HTTP/1.1\nHost: a\n\n", 400, "malformed_request");
}

#[test]
fn bad_chunk_sizes_are_400() {
    for chunk in [
        "x\r\nabc\r\n",
        "0x3\r\nabc\r\n",
        "-3\r\n",
        "3 \r\nabc\r\n",
        "fffffffffffffffff\r\n",
    ] {
        let origin = Origin::answers(200, "reached");
        let gateway = Gateway::to(origin.address()).start();
        let mut client = gateway.client();
        client.send(post("Transfer-Encoding: chunked\r\n", chunk));
        assert_eq!(client.response().status(), 400, "{chunk:?}");
        // The origin has seen at most the beginning of a request that never became complete.
        assert_eq!(origin.requests(), [], "{chunk:?}");
        assert!(gateway.log_lines(1)[0].contains(" 400 bad_chunk "));
    }
}

#[test]
fn no_host_or_two_are_400() {
    refused("GET / HTTP/1.1\r\n\r\n", 400, "bad_host");
    refused(
        "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        400,
        "bad_host",
    );
    refused("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "bad_host");
}

#[test]
fn an_unknown_transfer_coding_is_501() {
    for coding in [
        "gzip",
        "gzip, chunked",
        "identity",
        "chunked, gzip",
        "xchunked",
    ] {
        let request = post(&format!("Transfer-Encoding: {coding}\r\n"), "0\r\n\r\n");
        refused(&request, 501, "unsupported_transfer_coding");
    }
    let twice = post(
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "0\r\n\r\n",
    );
    refused(&twice, 400, "bad_transfer_encoding");
}

#[test]
fn a_length_beside_chunks_is_dropped_and_the_connection_closes() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    // What a parser that goes by the length would take for a second request.
    client.send(post(
        "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n",
        "3\r\nabc\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ));
    let response = client.response();
    assert_eq!(
        (response.status(), response.field("connection")),
        (200, Some("close"))
    );
    assert_eq!(client.read_to_end().expect("a clean close"), b"");
    let request = origin.only_request();
    assert_eq!(request.field("content-length"), None);
    assert_eq!(request.values("transfer-encoding"), ["chunked"]);
    assert_eq!(request.text(), "abc");
}

#[test]
fn chunk_extensions_do_not_go_on() {
    let (request, _) = forwarded(&post(
        "Transfer-Encoding: chunked\r\n",
        "3;a=b\r\nabc\r\n0;c\r\n\r\n",
    ));
    assert_eq!(request.text(), "abc");
    let raw = String::from_utf8_lossy(&request.raw).into_owned();
    assert!(raw.ends_with("3\r\nabc\r\n0\r\n\r\n"), "{raw:?}");
}

#[test]
fn heads_over_the_limits_are_431_or_414() {
    refused(
        &get(&format!("x: {}\r\n", "a".repeat(70_000))),
        431,
        "request_headers_too_large",
    );
    refused(
        &get(&"x: y\r\n".repeat(101)),
        431,
        "request_headers_too_large",
    );
    let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000));
    refused(&long, 414, "uri_too_long");
}

#[test]
fn other_versions_are_505() {
    refused(
        "GET / HTTP/2.0\r\nhost: a\r\n\r\n",
        505,
        "unsupported_version",
    );
}

#[test]
fn an_http_10_client_gets_no_chunks() {
    let origin = Origin::replies(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let response = client.response();
    assert_eq!(response.field("transfer-encoding"), None);
    assert_eq!(response.field("connection"), Some("close"));
    assert_eq!(response.text(), "abc");
    assert!(origin.only_request().start.ends_with("HTTP/1.1"));
}

#[test]
fn an_http_10_client_that_asks_keeps_its_connection() {
    let origin = Origin::answers(200, "one");
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        let response = client.response();
        assert_eq!(response.field("connection"), Some("keep-alive"));
        assert_eq!(response.text(), "one");
    }
}

#[test]
fn an_ambiguous_answer_is_502_and_its_connection_is_not_used_again() {
    for head in [
        "content-length: 3\r\ncontent-length: 4\r\n",
        "transfer-encoding: gzip\r\n",
        "content-length: x\r\n",
    ] {
        let origin = Origin::replies(format!("HTTP/1.1 200 OK\r\n{head}\r\nabc"));
        let gateway = Gateway::to(origin.address()).start();
        assert_eq!(gateway.get("/").status(), 502, "{head:?}");
        assert!(gateway.log_lines(1)[0].contains(" 502 upstream_protocol_error "));
    }
}

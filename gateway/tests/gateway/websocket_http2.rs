//! WebSockets on streams of HTTP/2 (RFC 8441): from clients, to origins, and between the versions.

#[path = "websocket_http2/differences.rs"]
mod differences;
#[path = "websocket_http2/ends.rs"]
mod ends;
#[path = "websocket_http2/origins.rs"]
mod origins;

use bytes::Bytes;
use h2::client::SendRequest;
use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Message;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::TlsClient;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::http2;
use tidegate_testkit::http2::Answer;
use tidegate_testkit::http2::get;
use tidegate_testkit::http2::tunnel;
use tidegate_testkit::http2::tunnel::echo;
use tidegate_testkit::http2::tunnel::opening;
use tidegate_testkit::websocket;
use tidegate_testkit::websocket::Frame;

/// The good answer to a request with a key.
fn switches(asked: &Message) -> String {
    switch(asked.field("sec-websocket-key").unwrap_or_default())
}

/// The good answer to a key.
fn switch(key: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\nX-Own: 1\r\n\r\n",
        websocket::answer_to(key)
    )
}

/// The answer to the opening of a tunnel that is refused.
async fn refused(client: SendRequest<Bytes>, protocol: &str) -> Box<Answer> {
    let opened = tunnel::try_open(client, opening(protocol, "/")).await;
    opened.expect_err("it is refused")
}

/// A number of a line of the log.
#[track_caller]
fn number(line: &str, name: &str) -> u64 {
    let (_, rest) = line.split_once(&format!(" {name}=")).expect(name);
    let number = rest.split(' ').next().expect("a number");
    number.parse().expect("a number")
}

#[test]
fn messages_pass_both_ways_and_the_log_has_their_bytes() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut socket = tunnel::socket(client.clone(), "/chat").await;
        for n in 0..100 {
            echo(&mut socket, &format!("message {n}")).await;
        }
        let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        tunnel::send(&mut socket, Frame::binary(large.clone())).await;
        let back = tunnel::next(&mut socket).await;
        assert!(back == Some(Frame::binary(large)), "another message");
        let metrics = gateway.metrics();
        assert_eq!((metrics.open_tunnels, metrics.tunnels), (1, 1));
        tunnel::close(socket).await;
    });
    let line = gateway.log_lines(1).remove(0);
    for part in ["GET ", "/chat", "HTTP/2.0", " 101 - "] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert!(
        number(&line, "in") > 1_000_000 && number(&line, "out") > 1_000_000,
        "{line}"
    );
    eventually("no tunnel is open", || {
        (gateway.metrics().open_tunnels == 0).then_some(())
    });
}

#[test]
fn the_origin_is_asked_as_on_a_connection_and_the_client_answered_as_on_a_stream() {
    let origin = Origin::script(|connection| {
        let asked = connection.request()?;
        connection.send([&switches(&asked), "early words"].concat())?;
        let word = connection.exactly(4)?;
        connection.send(word)
    });
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |client| {
        let mut request = opening("websocket", "/a?b=1");
        let key = "bm9ib2R5J3MgYnVzaW5lc3M=".parse().expect("a value");
        request.headers_mut().insert("sec-websocket-key", key);
        let tunnel = tunnel::try_open(client, request).await;
        let mut tunnel = tunnel.expect("it opens");
        let names: Vec<&str> = tunnel.headers.keys().map(|name| name.as_str()).collect();
        assert_eq!(names, ["x-own"]);
        tunnel.sending.send_data("word".into(), true).expect("sent");
        let all = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(all.expect("a clean end"), b"early wordsword");
    });
    let asked = origin.only_request();
    assert_eq!(asked.start, "GET /a?b=1 HTTP/1.1");
    assert_eq!(asked.values("connection"), ["upgrade"]);
    assert_eq!(asked.values("upgrade"), ["websocket"]);
    assert_eq!(asked.values("sec-websocket-version"), ["13"]);
    assert_eq!(asked.field("host"), Some("a.test"));
    assert_eq!(
        (
            asked.field("content-length"),
            asked.field("transfer-encoding")
        ),
        (None, None)
    );
    let keys = asked.values("sec-websocket-key");
    assert_eq!((keys.len(), keys[0].len()), (1, 24));
    assert_ne!(keys[0], "bm9ib2R5J3MgYnVzaW5lc3M=", "it is made here");
}

#[test]
fn many_sockets_share_a_connection_with_requests() {
    let (origin, other) = (websocket::echoes(), Origin::answers(200, "other"));
    let gateway = Gateway::to(origin.address())
        .backend("other", other.address())
        .rule(Rule::at("/other").to("other", 1))
        .rule(Rule::at("/").to("origin", 1))
        .start();
    http2::client(gateway.address(), async |mut client| {
        let mut sockets = Vec::new();
        for _ in 0..50 {
            sockets.push(tunnel::socket(client.clone(), "/").await);
        }
        for round in 0..5 {
            for (n, socket) in sockets.iter_mut().enumerate() {
                echo(socket, &format!("{n} {round}")).await;
            }
            let answer = get(&mut client, "/other").await.expect("an answer");
            assert_eq!(answer.text(), "other");
        }
        for socket in sockets {
            tunnel::close(socket).await;
        }
    });
    assert_eq!(gateway.metrics().connections, 1);
}

#[test]
fn a_socket_passes_through_tls() {
    let (authority, origin) = (Authority::root("root"), websocket::echoes());
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&authority.server("shop.test").certificate()))
        .https(Https::at("", 0))
        .start();
    let tls = TlsClient::new(&authority.pem, None);
    http2::client_of_tls(gateway.address(), &tls, async |client| {
        let mut request = opening("websocket", "/");
        *request.uri_mut() = "https://shop.test/".parse().expect("a target");
        let tunnel = tunnel::try_open(client, request).await.expect("it opens");
        let mut socket = tunnel.into_socket().await;
        echo(&mut socket, "hello").await;
        tunnel::close(socket).await;
    });
}

#[test]
fn what_is_not_allowed_is_refused_with_a_reason() {
    let origin = Origin::answers(200, "x");
    let gateway = Gateway::to(origin.address()).start();
    http2::client(gateway.address(), async |mut client| {
        for (protocol, status) in [("connect-udp", 501), ("h2c", 501), ("a, b", 400), ("", 400)] {
            let answer = refused(client.clone(), protocol).await;
            assert_eq!(answer.status, status, "{protocol}");
        }
        let mut long = opening("websocket", "/");
        let length = "5".parse().expect("a value");
        long.headers_mut().insert("content-length", length);
        let answer = tunnel::try_open(client.clone(), long).await;
        assert_eq!(answer.expect_err("it is refused").status, 400);
        let fine = get(&mut client, "/").await.expect("the connection stays");
        assert_eq!(fine.status, 200);
    });
    let lines = gateway.stop_for_log();
    for flag in [
        " 501 unsupported_upgrade ",
        " 400 malformed_request ",
        " 400 bad_content_length ",
    ] {
        assert!(lines.iter().any(|line| line.contains(flag)), "{lines:?}");
    }
    assert_eq!(origin.requests().len(), 1);
    let none = Gateway::to(origin.address())
        .rule(Rule::at("/").to("origin", 1).upgrades(&[]))
        .start();
    http2::client(none.address(), async |client| {
        assert_eq!(refused(client, "websocket").await.status, 403);
    });
    let line = none.log_lines(1).remove(0);
    assert!(line.contains(" 403 upgrade_refused "), "{line}");
}

#[test]
fn a_rule_can_allow_other_protocols_by_name() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: chess/2\r\n\r\n",
        )?;
        let word = connection.exactly(4)?;
        connection.send(word)
    });
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/").to("origin", 1).upgrades(&["chess"]))
        .start();
    http2::client(gateway.address(), async |client| {
        let tunnel = tunnel::try_open(client, opening("chess/2", "/")).await;
        let mut tunnel = tunnel.expect("it opens");
        tunnel.sending.send_data("e2e4".into(), true).expect("sent");
        let all = http2::read_body(&mut tunnel.receiving).await;
        assert_eq!(all.expect("a clean end"), b"e2e4");
    });
    let asked = origin.only_request();
    assert_eq!(asked.values("upgrade"), ["chess/2"]);
    assert_eq!(asked.field("sec-websocket-key"), None);
}

#[test]
fn an_answer_other_than_101_passes_unless_it_would_open_a_tunnel() {
    for (says, status, flag) in [
        (
            "HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno",
            401,
            " 401 - ",
        ),
        (
            "HTTP/1.1 302 Go\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
            302,
            " 302 - ",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
            502,
            " 502 upgrade_failed ",
        ),
        ("HTTP/1.1 204 OK\r\n\r\n", 502, " 502 upgrade_failed "),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: bm90IHRoZSBhbnN3ZXI=\r\n\r\n",
            502,
            " 502 upgrade_failed ",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
            502,
            " 502 upgrade_failed ",
        ),
        (
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: irc\r\n\r\n",
            502,
            " 502 upstream_protocol_error ",
        ),
    ] {
        let origin = Origin::replies_then_closes(says);
        let gateway = Gateway::to(origin.address()).start();
        http2::client(gateway.address(), async |client| {
            let answer = refused(client, "websocket").await;
            assert_eq!(answer.status, status, "{says}");
            assert_eq!(answer.field("upgrade"), None);
        });
        let line = gateway.log_lines(1).remove(0);
        assert!(line.contains(flag), "{line}");
        if flag.contains("upgrade_failed") {
            assert!(line.contains("details="), "{line}");
        }
    }
}

/// Copies what it sees of the request into the request, and the status into the response.
fn marks() -> Wasm {
    Wasm::wat(
        "marks",
        r#"(import "env" "proxy_add_header_map_value"
               (func $add (param i32 i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_get_header_map_value"
               (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "x-upgrade") (data (i32.const 32) "upgrade")
           (data (i32.const 48) ":method") (data (i32.const 96) "x-method")
           (data (i32.const 112) ":status") (data (i32.const 128) "x-status")
           (func $copy (param $in i32) (param $name i32) (param $size i32) (param $to i32)
               (param $to_size i32)
             (if (i32.eqz (call $get (local.get $in) (local.get $name) (local.get $size)
                 (i32.const 64) (i32.const 68)))
               (then (drop (call $add (local.get $in) (local.get $to) (local.get $to_size)
                 (i32.load (i32.const 64)) (i32.load (i32.const 68)))))))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (call $copy (i32.const 0) (i32.const 32) (i32.const 7) (i32.const 16) (i32.const 9))
             (call $copy (i32.const 0) (i32.const 48) (i32.const 7) (i32.const 96) (i32.const 8))
             (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
             (call $copy (i32.const 2) (i32.const 112) (i32.const 7) (i32.const 128) (i32.const 8))
             (i32.const 0))"#,
    )
}

#[test]
fn filters_see_what_they_see_of_a_socket_on_a_connection() {
    let origin = differences::origin();
    let gateway = Gateway::to(origin.address()).plugin(&marks()).start();
    http2::client(gateway.address(), async |client| {
        let opened = tunnel::try_open(client, opening("websocket", "/chat")).await;
        let headers = opened.expect("it opens").headers;
        assert_eq!(headers["x-status"], "101");
    });
    let asked = origin.only_request();
    assert_eq!(asked.field("x-upgrade"), Some("websocket"));
    assert_eq!(asked.field("x-method"), Some("GET"));
}

#[test]
fn the_answer_of_a_filter_opens_no_tunnel() {
    for (status, passes) in [(401, 401), (200, 502)] {
        let origin = websocket::echoes();
        let body = format!(
            r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                 (drop (call $send (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 0)
                     (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
                 (i32.const 1))"#
        );
        let filter = Wasm::wat(
            "refuses",
            r#"(import "env" "proxy_send_local_response"
                   (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
            &body,
        );
        let gateway = Gateway::to(origin.address()).plugin(&filter).start();
        http2::client(gateway.address(), async |client| {
            assert_eq!(refused(client, "websocket").await.status, passes);
        });
        assert_eq!(origin.connections(), 0);
    }
}

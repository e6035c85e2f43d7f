//! WebSockets through the gateway, with a library for both ends.

use std::time::Duration;

use tidegate_testkit::Authority;
use tidegate_testkit::Gateway;
use tidegate_testkit::Https;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::TlsClient;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::websocket;
use tidegate_testkit::websocket::Error;
use tidegate_testkit::websocket::Frame;
use tidegate_testkit::websocket::Socket;

#[track_caller]
fn echo(socket: &mut Socket, text: &str) {
    socket.send(Frame::text(text)).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Frame::text(text));
}

/// Closes and waits for the other side to do so too.
#[track_caller]
fn close(mut socket: Socket) {
    socket.close(None).expect("sent");
    let end = std::iter::from_fn(|| socket.read().err()).next();
    let is_closed = matches!(end, Some(Error::ConnectionClosed));
    let said = socket.read();
    assert!(
        is_closed || matches!(said, Err(Error::ConnectionClosed | Error::AlreadyClosed)),
        "{said:?}"
    );
}

#[test]
fn messages_pass_both_ways_and_the_log_has_their_bytes() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut socket = websocket::open(gateway.address(), "/chat");
    for n in 0..100 {
        echo(&mut socket, &format!("message {n}"));
    }
    let large: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    socket.send(Frame::binary(large.clone())).expect("sent");
    assert_eq!(socket.read().expect("an echo"), Frame::binary(large));
    socket
        .send(Frame::Ping("are you there".into()))
        .expect("sent");
    let pong = socket.read().expect("a pong");
    assert_eq!(pong, Frame::Pong("are you there".into()));
    let metrics = gateway.metrics();
    assert_eq!((metrics.open_tunnels, metrics.tunnels), (1, 1));
    close(socket);
    let line = gateway.log_lines(1).remove(0);
    assert!(
        line.contains("GET ") && line.contains("/chat") && line.contains(" 101 "),
        "{line}"
    );
    let bytes = |name: &str| {
        let (_, rest) = line.split_once(&format!(" {name}=")).expect(name);
        let number = rest.split(' ').next().expect("a number");
        number.parse::<u64>().expect("a number")
    };
    assert!(
        bytes("in") > 1_000_000 && bytes("out") > 1_000_000,
        "{line}"
    );
    eventually("no tunnel is open", || {
        (gateway.metrics().open_tunnels == 0).then_some(())
    });
}

#[test]
fn many_sockets_talk_at_once() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).workers(2).start();
    let mut sockets: Vec<Socket> = (0..50)
        .map(|_| websocket::open(gateway.address(), "/"))
        .collect();
    for round in 0..10 {
        for (n, socket) in sockets.iter_mut().enumerate() {
            socket
                .send(Frame::text(format!("{n} {round}")))
                .expect("sent");
        }
        for (n, socket) in sockets.iter_mut().enumerate() {
            assert_eq!(
                socket.read().expect("an echo"),
                Frame::text(format!("{n} {round}"))
            );
        }
    }
    sockets.into_iter().for_each(close);
}

#[test]
fn a_socket_lives_through_a_hundred_changes_of_what_serves() {
    let origin = websocket::echoes();
    let other = Origin::answers(200, "other");
    let filter = Wasm::wat("filter", "", "");
    let mut gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut socket = websocket::open(gateway.address(), "/");
    for round in 0..100 {
        let changed = Wasm::wat("filter", "", "").config(&round.to_string());
        gateway.change(Gateway::to(other.address()).plugin(&changed));
        echo(&mut socket, "still here");
    }
    assert_eq!(gateway.get("/").text(), "other");
    close(socket);
}

#[test]
fn filters_see_the_handshake_and_its_answer() {
    let origin = websocket::echoes();
    // Adds a field to both heads, and the value of `upgrade` of the request to the response.
    let filter = Wasm::wat(
        "marks",
        r#"(import "env" "proxy_add_header_map_value"
               (func $add (param i32 i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_get_header_map_value"
               (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "x-marked") (data (i32.const 32) "upgrade")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (drop (call $get (i32.const 0) (i32.const 32) (i32.const 7) (i32.const 64) (i32.const 68)))
             (drop (call $add (i32.const 0) (i32.const 16) (i32.const 8)
                 (i32.load (i32.const 64)) (i32.load (i32.const 68))))
             (i32.const 0))
           (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
             (drop (call $get (i32.const 2) (i32.const 32) (i32.const 7) (i32.const 64) (i32.const 68)))
             (drop (call $add (i32.const 2) (i32.const 16) (i32.const 8)
                 (i32.load (i32.const 64)) (i32.load (i32.const 68))))
             (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let (mut socket, answer) = websocket::try_open(gateway.address(), "/").expect("it opens");
    assert_eq!(
        answer.headers().get("x-marked").map(|it| it.as_bytes()),
        Some(&b"websocket"[..])
    );
    echo(&mut socket, "hello");
    close(socket);
}

#[test]
fn a_filter_can_refuse_a_socket() {
    let origin = websocket::echoes();
    let filter = Wasm::wat(
        "refuses",
        r#"(import "env" "proxy_send_local_response"
               (func $send (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (drop (call $send (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 0)
                 (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
             (i32.const 1))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let refused = websocket::try_open(gateway.address(), "/").expect_err("refused");
    assert!(
        matches!(&refused, Error::Http(answer) if answer.status() == 401),
        "{refused}"
    );
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_trap_of_a_filter_does_not_cut_sockets_that_are_open() {
    let origin = websocket::echoes();
    let filter = Wasm::wat(
        "traps",
        r#"(import "env" "proxy_get_header_map_value"
               (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "x-trap")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
             (if (i32.eqz (call $get (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 64)
                 (i32.const 68))) (then unreachable))
             (i32.const 0))"#,
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut socket = websocket::open(gateway.address(), "/");
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Trap: 1\r\n\r\n");
    assert_eq!(client.response().status(), 503);
    echo(&mut socket, "still here");
    close(socket);
}

#[test]
fn the_time_limits_of_a_rule_are_for_its_answer_and_not_for_the_socket() {
    let origin = websocket::echoes();
    let rule = Rule::at("/")
        .to("origin", 1)
        .request_timeout(Duration::from_millis(300))
        .backend_request_timeout(Duration::from_millis(300));
    let gateway = Gateway::to(origin.address()).rule(rule).start();
    let mut socket = websocket::open(gateway.address(), "/");
    let start = std::time::Instant::now();
    while start.elapsed() < Duration::from_millis(700) {
        echo(&mut socket, "still here");
    }
    close(socket);
}

#[test]
fn a_silent_socket_is_closed_and_one_that_talks_one_way_is_not() {
    let (begin, quiet) = (Latch::default(), Latch::default());
    let (began, is_quiet) = (begin.clone(), quiet.clone());
    let origin = Origin::script(move |connection| {
        let mut socket = websocket::accept(connection.stream())?;
        began.wait();
        for n in 0..20 {
            let message = Frame::text(n.to_string());
            socket.send(message).map_err(std::io::Error::other)?;
            // Not a wait for anything: the other direction is silent meanwhile.
            std::thread::park_timeout(Duration::from_millis(50));
        }
        is_quiet.open();
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(400))
        .start();
    let mut socket = websocket::open(gateway.address(), "/");
    begin.open();
    for n in 0..20 {
        assert_eq!(
            socket.read().expect("a message"),
            Frame::text(n.to_string())
        );
    }
    quiet.wait();
    socket.read().expect_err("it is closed");
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 tunnel_idle "), "{line}");
    eventually("the origin's end", || origin.is_idle().then_some(()));
}

#[test]
fn sockets_have_until_the_deadline_of_a_drain() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut socket = websocket::open(gateway.address(), "/");
    gateway.drain();
    echo(&mut socket, "still here");
    close(socket);
    assert_eq!(gateway.stop().cut, 0);
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(200))
        .start();
    let mut socket = websocket::open(gateway.address(), "/");
    echo(&mut socket, "hello");
    let log = gateway.stop_for_log();
    assert!(log[0].contains(" 101 drain_deadline "), "{log:?}");
    assert!(
        !log[0].contains(" in=0 ") && !log[0].contains(" out=0 "),
        "{log:?}"
    );
}

#[test]
fn a_route_may_have_no_websockets() {
    let origin = websocket::echoes();
    let gateway = Gateway::to(origin.address())
        .rule(Rule::at("/").to("origin", 1).upgrades(&[]))
        .start();
    let refused = websocket::try_open(gateway.address(), "/").expect_err("refused");
    assert!(
        matches!(&refused, Error::Http(answer) if answer.status() == 403),
        "{refused}"
    );
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 403 upgrade_refused "), "{line}");
    assert_eq!(origin.connections(), 0);
}

#[test]
fn messages_pass_both_ways_through_tls() {
    let (authority, origin) = (Authority::root("root"), websocket::echoes());
    let pair = authority.server("shop.test");
    let gateway = Gateway::to(origin.address())
        .certificate(Some(&pair.certificate()))
        .https(Https::at("", 0))
        .start();
    let client = TlsClient::new(&authority.pem, None);
    let stream = client.connect(gateway.address(), "shop.test").expect("TLS");
    let mut socket = websocket::open_on(stream.into_stream(), "wss://shop.test/chat");
    for n in 0..50 {
        let message = Frame::text(format!("message {n}"));
        socket.send(message.clone()).expect("sent");
        assert_eq!(socket.read().expect("an echo"), message);
    }
    let large = Frame::binary(vec![7; 1_000_000]);
    socket.send(large.clone()).expect("sent");
    assert_eq!(socket.read().expect("an echo"), large);
    socket.close(None).expect("sent");
    while socket.read().is_ok() {}
    drop(socket);
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 101 - "), "{line}");
}

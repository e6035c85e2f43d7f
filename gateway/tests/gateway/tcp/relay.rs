//! Bytes, ends and resets on their way; what reloads and drains do to connections.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Port;
use tidegate_testkit::Rule;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;

/// Both ends of a connection through a gateway.
fn connected(gateway: &Gateway, origin: &Port) -> (Wire, Wire) {
    let client = Wire::connect(gateway.address());
    (client, origin.accept())
}

#[test]
fn an_end_is_passed_on_while_the_other_side_goes_on_talking() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let (mut client, mut server) = connected(&gateway, &origin);
    client.send("question");
    client.end();
    server.expect("question");
    server.expect_end();
    server.send("a late answer");
    client.expect("a late answer");
    server.end();
    client.expect_end();

    let (mut client, mut server) = connected(&gateway, &origin);
    server.send("that is all");
    server.end();
    client.expect("that is all");
    client.expect_end();
    client.send("but I go on");
    server.expect("but I go on");
    client.end();
    server.expect_end();

    let lines = gateway.log_lines(2);
    for line in &lines {
        assert!(
            line.contains("\"- - TCP\" 0 - "),
            "not the line of a good end: {line}"
        );
    }
    let first = lines.first().expect("a line");
    assert!(first.contains(" in=8 out=13 "), "{first}");
    assert!(
        first.contains(&format!(
            "route=test/route backend=origin endpoint={} attempts=1",
            origin.address()
        )),
        "{first}"
    );
}

#[test]
fn a_server_may_speak_first() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let (mut client, mut server) = connected(&gateway, &origin);
    server.send("220 ready\r\n");
    client.expect("220 ready\r\n");
    client.send("EHLO\r\n");
    server.expect("EHLO\r\n");
}

#[test]
fn a_reset_is_passed_on_as_a_reset() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let (client, mut server) = connected(&gateway, &origin);
    client.reset();
    server.expect_reset();
    let (mut client, server) = connected(&gateway, &origin);
    server.reset();
    client.expect_reset();
    let lines = gateway.log_lines(2).join("\n");
    assert!(lines.contains(" 0 client_closed "), "{lines}");
    assert!(lines.contains(" 0 upstream_reset "), "{lines}");
    let flags = gateway.metrics().connection_flags;
    assert_eq!(flags.get("client_closed"), Some(&1));
    assert_eq!(flags.get("upstream_reset"), Some(&1));
}

#[test]
fn what_an_origin_said_before_it_closed_on_a_talking_client_arrives() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let (mut client, mut server) = connected(&gateway, &origin);
    server.send("too much of you");
    server.end();
    client.expect("too much of you");
    client.expect_end();
    drop(server);
    // The origin resets whatever still comes; the connection ends then.
    let logged = eventually("the end", || {
        client.socket().set_nonblocking(true).expect("a socket");
        std::io::Write::write(&mut client.socket(), b"more").ok();
        let flags = gateway.metrics().connection_flags;
        flags.get("upstream_reset").copied()
    });
    assert_eq!(logged, 1);
}

#[test]
fn large_amounts_pass_both_ways_at_once_unchanged() {
    const SIZE: usize = 8 * 1024 * 1024;
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let (client, server) = connected(&gateway, &origin);
    let pattern = |seed: usize| -> Vec<u8> {
        let byte = |at: usize| u8::try_from((at * 31 + at / 251 + seed) % 256);
        (0..SIZE).map(|at| byte(at).unwrap_or(0)).collect()
    };
    std::thread::scope(|scope| {
        for (wire, mine, theirs) in [(&client, 1, 2), (&server, 2, 1)] {
            scope.spawn(move || {
                let mut socket = wire.socket();
                std::io::Write::write_all(&mut socket, &pattern(mine)).expect("bytes leave");
                socket
                    .shutdown(std::net::Shutdown::Write)
                    .expect("it is connected");
            });
            scope.spawn(move || {
                let mut came = Vec::new();
                let mut socket = wire.socket();
                std::io::Read::read_to_end(&mut socket, &mut came).expect("an end");
                assert!(came == pattern(theirs), "{} bytes differ", came.len());
            });
        }
    });
    gateway.log_lines(1);
    let metrics = gateway.metrics();
    let numbers = metrics.tcp.get("web").expect("the listener's");
    assert_eq!(
        (
            numbers.connections,
            numbers.open,
            numbers.received,
            numbers.sent
        ),
        (1, 0, SIZE as u64, SIZE as u64)
    );
}

#[test]
fn a_connection_lives_through_a_hundred_reloads_and_the_end_of_its_route() {
    let (origin, other) = (Port::new(), Port::new());
    let mut gateway = Gateway::to(origin.address()).tcp().start();
    let (mut client, mut server) = connected(&gateway, &origin);
    for round in 0..100 {
        gateway.change(Gateway::to(other.address()).tcp());
        let said = format!("round {round}");
        client.send(&said);
        server.expect(&said);
        server.send(&said);
        client.expect(&said);
    }
    let (mut second, mut elsewhere) = connected(&gateway, &other);
    // Now the address speaks HTTP.
    let rule = Rule::at("/elsewhere").to("origin", 1);
    gateway.change(Gateway::to(other.address()).rule(rule));
    for (client, server) in [(&mut client, &mut server), (&mut second, &mut elsewhere)] {
        client.send("still here");
        server.expect("still here");
    }
    assert_eq!(gateway.get("/").status(), 404);
}

#[test]
fn a_drain_leaves_connections_alone_until_its_limit_and_then_resets_them() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(700))
        .start();
    let (mut client, mut server) = connected(&gateway, &origin);
    client.send("hello");
    server.expect("hello");
    gateway.drain();
    client.send("during");
    server.expect("during");
    server.send("the drain");
    client.expect("the drain");
    client.expect_reset();
    server.expect_reset();
    let log = gateway.stop_for_log();
    let line = log.first().expect("a line");
    assert!(line.contains(" 0 drain_deadline "), "{line}");
}

#[test]
fn connections_go_to_backends_by_weight() {
    let (origin, other, none) = (Port::new(), Port::new(), Port::new());
    let gateway = Gateway::to(origin.address())
        .backend("other", other.address())
        .backend("none", none.address())
        .tcp()
        .tcp_to("other", 1)
        .tcp_to("none", 0)
        // Some connections are never accepted, and so never closed.
        .timeouts(|timeouts| timeouts.drain = Duration::from_millis(100))
        .start();
    let mut clients = Vec::new();
    let (mut here, mut there) = (Vec::new(), Vec::new());
    eventually("both backends", || {
        clients.push(Wire::connect(gateway.address()));
        here.extend(origin.try_accept());
        there.extend(other.try_accept());
        (here.len() > 3 && there.len() > 3).then_some(())
    });
    assert!(none.try_accept().is_none(), "it has no weight");
}

#[test]
fn the_next_endpoint_is_tried_if_one_refuses() {
    let origin = Port::new();
    let gone = Port::new().address();
    let gateway = Gateway::to(origin.address())
        .endpoints(&[gone, origin.address()])
        .tcp()
        .start();
    for _ in 0..3 {
        let (mut client, mut server) = connected(&gateway, &origin);
        client.send("hello");
        server.expect("hello");
    }
    let gateway = Gateway::to(gone).tcp().start();
    let mut client = Wire::connect(gateway.address());
    client.expect_end();
    let lines = gateway.log_lines(1);
    let line = lines.first().expect("a line");
    assert!(line.contains(" 0 connect_failed "), "{line}");
    assert!(line.contains(&format!("endpoint={gone}")), "{line}");
}

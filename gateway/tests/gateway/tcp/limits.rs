//! Silence, peers that do not read, and what a connection may hold.

use std::time::Duration;
use std::time::Instant;

use tidegate_testkit::Gateway;
use tidegate_testkit::Port;
use tidegate_testkit::Wire;

#[test]
fn a_connection_that_is_silent_both_ways_ends_and_one_that_talks_one_way_does_not() {
    let limit = Duration::from_millis(300);
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp_idle(limit).start();
    let mut client = Wire::connect(gateway.address());
    let mut server = origin.accept();
    let began = Instant::now();
    while began.elapsed() < 2 * limit {
        server.send(".");
        client.expect(".");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    let silent = Instant::now();
    client.expect_end();
    assert!(silent.elapsed() + Duration::from_millis(50) >= limit);
    server.expect_end();
    let lines = gateway.log_lines(1);
    let line = lines.first().expect("a line");
    assert!(line.contains(" 0 idle_connection "), "{line}");
}

#[test]
fn a_peer_that_does_not_read_stops_the_other_and_what_is_held_is_bounded() {
    const MUCH: usize = 256 * 1024 * 1024;
    /// Kernels grow a socket's buffers to some megabytes each; there are four on the way.
    const HELD: usize = 48 * 1024 * 1024;
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().start();
    let mut client = Wire::connect(gateway.address());
    let mut server = origin.accept();
    let sent = client.fill(MUCH);
    assert!(sent < HELD, "{sent} bytes were taken for nobody");
    let numbers = gateway.metrics().tcp;
    let numbers = numbers.get("web").expect("the listener's");
    assert!(numbers.received <= sent as u64);
    // Nothing is lost, and the other direction was free all the time.
    server.send("still with you");
    client.expect("still with you");
    client.end();
    let came = server.rest().expect("an end");
    assert_eq!(came.len(), sent);
}

#[test]
fn a_peer_that_does_not_read_for_too_long_is_given_up() {
    let limit = Duration::from_millis(300);
    let origin = Port::new();
    let gateway = Gateway::to(origin.address())
        .tcp()
        .timeouts(|timeouts| timeouts.write_stall = limit)
        .start();
    let (mut client, mut server) = (Wire::connect(gateway.address()), origin.accept());
    client.fill(usize::MAX);
    let lines = gateway.log_lines(1);
    assert!(lines.concat().contains(" 0 upstream_timeout "), "{lines:?}");
    drop((client, server));

    client = Wire::connect(gateway.address());
    server = origin.accept();
    server.fill(usize::MAX);
    let lines = gateway.log_lines(2);
    assert!(lines.concat().contains(" 0 client_stalled "), "{lines:?}");
    drop(client);
}

#[test]
fn a_hundred_open_connections_do_not_stop_a_new_one() {
    let origin = Port::new();
    let gateway = Gateway::to(origin.address()).tcp().workers(2).start();
    let open: Vec<(Wire, Wire)> = (0..100)
        .map(|_| (Wire::connect(gateway.address()), origin.accept()))
        .collect();
    let numbers = gateway.metrics().tcp;
    assert_eq!(numbers.get("web").map(|numbers| numbers.open), Some(100));
    drop(open);
    let mut client = Wire::connect(gateway.address());
    client.send("hello");
    origin.accept().expect("hello");
}

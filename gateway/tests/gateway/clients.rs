//! Bad clients: slow, gone, half-closed, not reading.

use std::io::Read as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::eventually;

#[test]
fn a_client_that_sends_its_head_slowly_is_408() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.header_read = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost:");
    assert_eq!(client.response().status(), 408);
    assert_eq!(client.read_to_end().expect("a clean close"), b"");
    assert!(gateway.log_lines(1)[0].contains(" 408 request_header_timeout "));
    assert_eq!(origin.requests(), []);
}

#[test]
fn drops_of_a_head_do_not_extend_its_limit() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.header_read = Duration::from_millis(300))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\n");
    // One byte at a time, for ever: only a limit on the whole head ends this.
    eventually("the gateway's patience ends", || {
        let sent = client.try_send("x");
        (sent.is_err() || !gateway_is_silent(&mut client)).then_some(())
    });
    assert!(gateway.log_lines(1)[0].contains(" 408 request_header_timeout "));
}

/// Whether the gateway has sent nothing within a moment.
fn gateway_is_silent(client: &mut tidegate_testkit::Client) -> bool {
    client.try_read(Duration::from_millis(5)).is_none()
}

#[test]
fn a_client_that_says_nothing_is_closed_without_an_answer() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.header_read = Duration::from_millis(100))
        .start();
    assert_eq!(gateway.client().read_to_end().expect("a clean close"), b"");
}

#[test]
fn a_client_that_sends_its_body_slowly_is_408() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.stream_idle = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    let status = client.response().status();
    // Both sides wait for the client; whichever limit passes first says so.
    assert!(matches!(status, 408 | 504), "{status}");
    assert_eq!(origin.requests(), []);
}

#[test]
fn a_client_that_disappears_ends_the_request_to_the_origin() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.wait_for_close().ok();
        seen.store(true, Ordering::SeqCst);
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the request at the origin", || {
        (!origin.requests().is_empty()).then_some(())
    });
    drop(client);
    eventually("the origin's connection to be closed", || {
        closed.load(Ordering::SeqCst).then_some(())
    });
    assert!(gateway.log_lines(1)[0].contains(" 499 client_closed "));
}

#[test]
fn a_client_that_disappears_in_its_body_ends_the_request_to_the_origin() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    eventually("the request at the origin", || {
        (origin.connections() == 1).then_some(())
    });
    drop(client);
    assert!(gateway.log_lines(1)[0].contains(" 499 client_closed "));
    assert_eq!(
        origin.requests(),
        [],
        "the origin never saw a complete request"
    );
}

#[test]
fn a_client_that_half_closes_is_not_waited_for() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.half_close();
    // HTTP has no half-close: the gateway takes it for gone, and ends.
    client.read_to_end().ok();
    assert!(gateway.log_lines(1)[0].contains(" 499 client_closed "));
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
        let piece = vec![0; 64 * 1024];
        while connection.send(&piece).is_ok() {}
        Ok(())
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.write_stall = Duration::from_millis(200))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(gateway.log_lines(1)[0].contains(" client_stalled "));
}

#[test]
fn a_slow_client_holds_the_origin_back() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = Arc::clone(&sent);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")?;
        let piece = vec![0; 64 * 1024];
        loop {
            connection.send(&piece)?;
            counter.fetch_add(piece.len(), Ordering::SeqCst);
        }
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // Without back-pressure the gateway would take all of it; with it, the origin's sends stop
    // once the socket buffers on the way are full.
    let mut before = usize::MAX;
    let held = eventually("the origin to be held back", || {
        std::thread::park_timeout(Duration::from_millis(100));
        let now = sent.load(Ordering::SeqCst);
        let stopped = now == before && now > 0;
        before = now;
        stopped.then_some(now)
    });
    assert!(
        held < 100_000_000,
        "{held} bytes were taken for a client that reads nothing"
    );
    let mut some = [0; 1024];
    client
        .stream()
        .read_exact(&mut some)
        .expect("the answer goes on");
}

#[test]
fn a_client_that_disappears_during_its_answer_ends_the_request_to_the_origin() {
    let closed = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&closed);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nevent\r\n")?;
        connection.wait_for_close().ok();
        seen.store(true, Ordering::SeqCst);
        Ok(())
    });
    let gateway = Gateway::to(origin.address()).start();
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    drop(client);
    eventually("the origin's connection to be closed", || {
        closed.load(Ordering::SeqCst).then_some(())
    });
    assert!(gateway.log_lines(1)[0].contains(" 200 client_closed "));
}

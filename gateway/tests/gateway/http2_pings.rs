//! PINGs of ours, frame by frame: who answers stays, who does not is given up.

use std::time::Duration;

use tidegate_core::pings::Pings;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;
use tidegate_testkit::frames::ACK;
use tidegate_testkit::frames::END_HEADERS;
use tidegate_testkit::frames::END_STREAM;
use tidegate_testkit::frames::GET;
use tidegate_testkit::frames::HEADERS;
use tidegate_testkit::frames::OK;
use tidegate_testkit::frames::PING;
use tidegate_testkit::frames::PREFACE;
use tidegate_testkit::frames::SETTINGS;
use tidegate_testkit::frames::frame;
use tidegate_testkit::frames::opening;
use tidegate_testkit::frames::read;

const SOON: Pings = Pings {
    after: Duration::from_millis(100),
    within: Duration::from_millis(100),
};

fn send(wire: &mut Wire, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    wire.send(frame(kind, flags, stream, payload));
}

/// The next frame of this kind that is no answer: its payload.
fn next(wire: &mut Wire, wanted: u8) -> Vec<u8> {
    loop {
        let frame = read(&mut wire.socket()).expect("a frame");
        if frame.kind == wanted && (wanted == HEADERS || !frame.has(ACK)) {
            return frame.payload;
        }
    }
}

/// Answers so many PINGs, and no more.
fn answer(wire: &mut Wire, count: usize) {
    for _ in 0..count {
        let asked = next(wire, PING);
        send(wire, PING, ACK, 0, &asked);
    }
    next(wire, PING);
}

#[test]
fn a_client_with_a_stream_is_asked_whether_it_is_there_and_given_up_if_it_is_not() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\n\r\n")?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .timeouts(|timeouts| timeouts.pings = Some(SOON))
        .start();
    let mut client = Wire::connect(gateway.address());
    client.send(opening());
    send(&mut client, HEADERS, END_HEADERS | END_STREAM, 1, GET);
    next(&mut client, HEADERS);
    answer(&mut client, 5);
    client.rest().ok();
    eventually("the origin's end", || origin.is_idle().then_some(()));
    let metrics = gateway.metrics();
    assert_eq!((metrics.silent_clients, metrics.silent_origins), (1, 0));
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 client_closed "), "{line}");
}

#[test]
fn an_origin_with_a_stream_is_asked_whether_it_is_there_and_given_up_if_it_is_not() {
    let port = Port::new();
    let gateway = Gateway::to(port.address())
        .http2_origin()
        .origin_with(|origin| origin.pings = Some(SOON))
        .start();
    let answers = std::thread::spawn(move || {
        let mut origin = port.accept();
        origin.take(PREFACE.len());
        next(&mut origin, SETTINGS);
        send(&mut origin, SETTINGS, 0, 0, &[]);
        send(&mut origin, SETTINGS, ACK, 0, &[]);
        next(&mut origin, HEADERS);
        send(&mut origin, HEADERS, END_HEADERS, 1, OK);
        answer(&mut origin, 5);
        origin.rest().ok();
    });
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    client.read_to_end().ok();
    answers.join().expect("no panic");
    let metrics = gateway.metrics();
    assert_eq!((metrics.silent_clients, metrics.silent_origins), (0, 1));
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 200 upstream_body_cut "), "{line}");
}

//! Server-sent events: each one arrives before the next is made.

use std::sync::Mutex;
use std::sync::mpsc;
use std::sync::mpsc::Sender;

use tidegate_testkit::Client;
use tidegate_testkit::Gateway;
use tidegate_testkit::LIMIT;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// An origin that sends an event whenever it is told to.
fn events(head: &'static str) -> (Origin, Sender<String>) {
    let (send, receive) = mpsc::channel::<String>();
    let receive = Mutex::new(receive);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send(head)?;
        let receive = receive.lock().expect("no panic");
        while let Ok(event) = receive.recv_timeout(LIMIT) {
            let event = format!("data: {event}\n\n");
            if head.contains("chunked") {
                connection.send(format!("{:x}\r\n{event}\r\n", event.len()))?;
            } else {
                connection.send(event)?;
            }
        }
        if head.contains("chunked") {
            connection.send("0\r\n\r\n")?;
        }
        Ok(())
    });
    (origin, send)
}

const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const UNTIL_CLOSE: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

/// Reads until the text has come.
#[track_caller]
fn arrives(client: &mut Client, text: &str) {
    let mut seen = String::new();
    while !seen.contains(text) {
        seen.push_str(&String::from_utf8_lossy(&client.read_some()));
    }
}

/// Ten events, each awaited before the next; `between` happens after each.
#[track_caller]
fn ten_events(gateway: &mut Gateway, send: Sender<String>, mut between: impl FnMut(&mut Gateway)) {
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    for n in 0..10 {
        send.send(format!("event {n}.")).expect("the origin waits");
        arrives(&mut client, &format!("data: event {n}.\n\n"));
        between(gateway);
    }
    drop(send);
    arrives(&mut client, "0\r\n\r\n");
}

/// Sees heads and lets them pass.
fn looks_at_heads() -> Wasm {
    Wasm::wat(
        "heads",
        "",
        r#"(func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    )
}

/// Sees each piece of a body and lets it pass.
fn looks_at_bodies() -> Wasm {
    Wasm::wat(
        "bodies",
        "",
        r#"(func (export "proxy_on_response_body") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    )
}

#[test]
fn each_event_is_passed_on_at_once() {
    for head in [CHUNKED, UNTIL_CLOSE] {
        let (origin, send) = events(head);
        let mut gateway = Gateway::to(origin.address()).start();
        ten_events(&mut gateway, send, |_| ());
    }
}

#[test]
fn each_event_is_passed_on_at_once_also_through_filters() {
    for filters in [
        vec![looks_at_heads()],
        vec![looks_at_bodies()],
        vec![looks_at_heads(), looks_at_bodies()],
    ] {
        let (origin, send) = events(CHUNKED);
        let gateway = Gateway::to(origin.address());
        let gateway = filters.iter().fold(gateway, |to, filter| to.plugin(filter));
        ten_events(&mut gateway.start(), send, |_| ());
    }
}

#[test]
fn a_stream_of_events_lives_through_a_hundred_changes_of_what_serves() {
    let (origin, send) = events(CHUNKED);
    let other = Origin::answers(200, "other");
    let mut gateway = Gateway::to(origin.address())
        .plugin(&looks_at_bodies())
        .start();
    let mut round = 0;
    ten_events(&mut gateway, send, |gateway| {
        for _ in 0..10 {
            round += 1;
            let filter = looks_at_bodies().config(&round.to_string());
            gateway.change(Gateway::to(other.address()).plugin(&filter));
        }
    });
    assert_eq!(gateway.get("/").text(), "other");
}

#[test]
fn an_origin_without_events_sends_its_head_at_once() {
    let (origin, send) = events(CHUNKED);
    let gateway = Gateway::to(origin.address())
        .plugin(&looks_at_bodies())
        .start();
    let mut client = gateway.client();
    client.send("GET /events HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.field("content-type"), Some("text/event-stream"));
    drop(send);
}

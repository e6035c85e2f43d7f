//! Content-Length, where filters may change the body it is about.

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// A filter that appends `!` to each piece of a body of this direction.
fn appends(direction: &str) -> Wasm {
    let buffer = u32::from(direction == "response");
    Wasm::wat(
        "appends",
        r#"(import "env" "proxy_set_buffer_bytes"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "!")
            (func (export "proxy_on_{direction}_body") (param i32) (param $size i32) (param i32) (result i32)
                (if (local.get $size) (then
                    (drop (call $set (i32.const {buffer}) (i32.const -1) (i32.const 0)
                                     (i32.const 16) (i32.const 1)))))
                (i32.const 0))"#
        ),
    )
}

/// A filter that only looks at bodies of this direction.
fn looks(direction: &str) -> Wasm {
    Wasm::wat(
        "looks",
        "",
        &format!(
            r#"(func (export "proxy_on_{direction}_body") (param i32 i32 i32) (result i32) (i32.const 0))"#
        ),
    )
}

fn in_two_parts(gateway: &Gateway) -> tidegate_testkit::Message {
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    assert!(
        client
            .try_read(std::time::Duration::from_millis(40))
            .is_none()
    );
    client.send("def");
    client.response()
}

#[test]
fn a_request_that_a_filter_may_lengthen_leaves_without_a_length() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&appends("request"))
        .start();
    assert_eq!(in_two_parts(&gateway).text(), "abc!def!");
    let request = origin.only_request();
    assert_eq!(request.field("content-length"), None);
    assert_eq!(request.field("transfer-encoding"), Some("chunked"));
}

#[test]
fn a_response_that_a_filter_may_lengthen_leaves_without_a_length() {
    let origin = Origin::script(|connection| {
        while connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")?;
            std::thread::yield_now();
            connection.send("def")?;
        }
        Ok(())
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&appends("response"))
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        let text = client.get("/").text();
        assert!(["abc!def!", "abcdef!"].contains(&text.as_str()), "{text}");
    }
}

#[test]
fn a_filter_that_cannot_change_bodies_leaves_their_length() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&looks("request"))
        .plugin(&looks("response").named("back"))
        .start();
    let response = in_two_parts(&gateway);
    assert_eq!(response.field("content-length"), Some("6"));
    let request = origin.only_request();
    assert_eq!(request.field("content-length"), Some("6"));
}

#[test]
fn answers_without_a_body_reach_no_body_callback_and_keep_the_connection() {
    for (status, field) in [
        ("204 No Content", ""),
        ("304 Not Modified", "content-length: 6\r\n"),
    ] {
        let origin = Origin::replies(format!("HTTP/1.1 {status}\r\n{field}\r\n"));
        let gateway = Gateway::to(origin.address())
            .plugin(&appends("response"))
            .start();
        let mut client = gateway.client();
        for _ in 0..2 {
            let response = client.get("/");
            assert_eq!(response.body, b"", "{status}");
            assert_eq!(
                response.field("content-length"),
                None,
                "its length is not known"
            );
        }
    }
}

#[test]
fn the_answer_to_head_says_a_length_only_if_no_filter_would_change_it() {
    let origin = Origin::replies("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n");
    for (filter, expected) in [(appends("response"), None), (looks("response"), Some("6"))] {
        let gateway = Gateway::to(origin.address()).plugin(&filter).start();
        let mut client = gateway.client();
        client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response_head().field("content-length"), expected);
    }
}

#[test]
fn a_body_that_loses_bytes_after_its_length_was_announced_is_cut_and_never_completed() {
    // It drops the second chunk (status 3), and cannot be known to change bodies before.
    let filter = Wasm::wat(
        "drops",
        "",
        r#"(global $calls (mut i32) (i32.const 0))
        (func (export "proxy_on_response_body") (param i32 i32 i32) (result i32)
            (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
            (if (result i32) (i32.eq (global.get $calls) (i32.const 2))
                (then (i32.const 3)) (else (i32.const 0))))"#,
    );
    let latch = tidegate_testkit::Latch::default();
    let opened = latch.clone();
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc")?;
        opened.wait();
        connection.send("def")?;
        connection.send("ghi")
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&filter)
        .timeouts(|timeouts| timeouts.filter_pause = std::time::Duration::from_millis(50))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.response_head();
    assert_eq!(head.field("content-length"), Some("9"));
    latch.open();
    let rest = client.read_to_end().unwrap_or_default();
    assert!(rest.len() < 9, "{rest:?}");
}

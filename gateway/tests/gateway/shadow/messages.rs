//! What a shadow would have made of messages: fields, bodies and trailers, on HTTP/1 and HTTP/2.

use std::sync::Mutex;
use std::sync::mpsc;

use bytes::Bytes;
use http::HeaderValue;
use tidegate_proxy::ShadowCounts;
use tidegate_testkit::Gateway;
use tidegate_testkit::GrpcOrigin;
use tidegate_testkit::LIMIT;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::http2;
use tidegate_testkit::http2::exchange;

use super::SET_BODY;
use super::agreed;
use super::on_body;
use super::on_head;
use super::passing;
use super::settled;
use super::shadow;
use crate::filters::ADD;

/// One stream that differed in these kinds: `request_headers`, `request_body`, `response_headers`,
/// `response_body`.
fn edited(kinds: [u64; 4]) -> ShadowCounts {
    let [
        request_headers,
        request_body,
        response_headers,
        response_body,
    ] = kinds;
    ShadowCounts {
        differed: 1,
        kinds: [
            0,
            0,
            0,
            request_headers,
            request_body,
            response_headers,
            response_body,
            0,
        ],
        ..ShadowCounts::default()
    }
}

/// What adds a field to a map.
fn add(map: u32) -> String {
    format!(
        "(drop (call $add (i32.const {map}) (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 5)))
        (i32.const 0)"
    )
}

#[test]
fn each_kind_of_edit_is_counted_for_itself() {
    let origin = Origin::echoes();
    let of = |body: &str| {
        let data = r#"(data (i32.const 0) "x-new")"#;
        shadow(Wasm::wat(
            "edits",
            &format!("{ADD} {SET_BODY}"),
            &format!("{data} {body}"),
        ))
    };
    let replace = |buffer: u32| {
        format!(
            "(drop (call $set (i32.const {buffer}) (i32.const 0) (local.get $size) (i32.const 0)
                (i32.const 5)))
            (i32.const 0)"
        )
    };
    for (body, expected) in [
        (on_head("request", &add(0)), edited([1, 0, 0, 0])),
        (on_head("response", &add(2)), edited([0, 0, 1, 0])),
        (on_body("request", &replace(0)), edited([0, 1, 0, 0])),
        (on_body("response", &replace(1)), edited([0, 0, 0, 1])),
        (
            on_head("request", &add(0)) + &on_body("response", &replace(1)),
            edited([1, 0, 0, 1]),
        ),
    ] {
        let gateway = Gateway::to(origin.address()).plugin(&of(&body)).start();
        let mut client = gateway.client();
        assert_eq!(client.post("/", b"hello").text(), "hello");
        assert_eq!(settled(&gateway, "edits", 1), expected, "{body}");
    }
}

#[test]
fn a_body_that_is_held_and_let_go_is_the_same() {
    let origin = Origin::echoes();
    let hold = "(if (i32.eqz (local.get $end)) (then (return (i32.const 1)))) (i32.const 0)";
    let body = on_body("request", hold) + &on_body("response", hold);
    let holding = Wasm::wat("holds", "", &body);
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(holding))
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    client.send("3\r\ndef\r\n0\r\n\r\n");
    assert_eq!(client.response().text(), "abcdef");
    assert_eq!(settled(&gateway, "holds", 1), agreed(1));
}

#[test]
fn what_it_sees_is_what_the_filters_before_it_have_made() {
    let origin = Origin::answers(200, "fine");
    let data = r#"(data (i32.const 0) "x-new")"#;
    let sets = |name: &str| {
        let imports = r#"(import "env" "proxy_replace_header_map_value"
            (func $put (param i32 i32 i32 i32 i32) (result i32)))"#;
        let body = on_head(
            "request",
            "(drop (call $put (i32.const 0) (i32.const 0) (i32.const 5) (i32.const 0) (i32.const 5)))
            (i32.const 0)",
        );
        Wasm::wat(name, imports, &format!("{data} {body}"))
    };
    // Behind the filter that sets it the field is there already; before it, it is not.
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(sets("before")))
        .plugin(&sets("acts"))
        .plugin(&shadow(sets("behind")))
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    assert_eq!(settled(&gateway, "before", 1), edited([1, 0, 0, 0]));
    assert_eq!(settled(&gateway, "behind", 1), agreed(1));
}

#[test]
fn trailers_are_shown_and_their_edits_are_told() {
    let origin = GrpcOrigin::start();
    let data = r#"(data (i32.const 0) "x-new")"#;
    let body = format!(
        r#"{data} (func (export "proxy_on_response_trailers") (param i32 i32) (result i32) {})"#,
        add(3)
    );
    let gateway = Gateway::to(origin.address())
        .http2_origin()
        .plugin(&shadow(passing("passes")))
        .plugin(&shadow(Wasm::wat("edits", ADD, &body)))
        .start();
    http2::client(gateway.address(), async |mut client| {
        let mut request = http2::request("POST", "/a.B/Unary");
        let kind = HeaderValue::from_static("application/grpc");
        request.headers_mut().insert("content-type", kind);
        let message = Bytes::from_static(b"\0\0\0\0\x05hello");
        let answer = exchange(&mut client, request, Some(message)).await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.body, &b"\0\0\0\0\x08re:hello"[..]);
        assert_eq!(answer.trailer("grpc-status"), Some("0"));
        assert_eq!(answer.trailer("x-new"), None);
    });
    assert_eq!(settled(&gateway, "passes", 1), agreed(1));
    assert_eq!(settled(&gateway, "edits", 1), edited([0, 0, 1, 0]));
}

#[test]
fn a_stream_of_events_is_not_held_up_by_a_shadow_that_holds_all_of_it() {
    let (send, receive) = mpsc::channel::<&'static str>();
    let receive = Mutex::new(receive);
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        let receive = receive.lock().expect("no panic");
        while let Ok(event) = receive.recv_timeout(LIMIT) {
            connection.send(format!("{:x}\r\n{event}\r\n", event.len()))?;
        }
        connection.send("0\r\n\r\n")
    });
    let hold = "(if (i32.eqz (local.get $end)) (then (return (i32.const 1)))) (i32.const 0)";
    let holding = Wasm::wat("holds", "", &on_body("response", hold));
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(holding))
        .plugin(&shadow(passing("passes")))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    for event in ["one.", "two.", "three."] {
        send.send(event).expect("the origin waits");
        let mut seen = String::new();
        while !seen.contains(event) {
            seen.push_str(&String::from_utf8_lossy(&client.read_some()));
        }
    }
    drop(send);
    assert_eq!(settled(&gateway, "holds", 1), agreed(1));
    assert_eq!(settled(&gateway, "passes", 1), agreed(1));
}

#[test]
fn a_client_that_goes_away_ends_its_shadow_too() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&shadow(passing("passes")))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    tidegate_testkit::eventually("the request", || origin.requests().pop());
    drop(client);
    assert_eq!(settled(&gateway, "passes", 1), agreed(1));
}

//! Answers that filters make: when they count, what they pass, and what becomes of the origin's.

use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

const ANSWER: &str = r#"(import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))"#;

/// Sends this status with the body `no`.
fn answer(status: u32) -> String {
    format!(
        "(drop (call $answer (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 16)
            (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1)))"
    )
}

fn filter(body: &str) -> Wasm {
    Wasm::wat(
        "answers",
        ANSWER,
        &format!(r#"(data (i32.const 16) "no") (data (i32.const 32) "x-late") {body}"#),
    )
}

#[test]
fn the_first_of_two_answers_counts() {
    let origin = Origin::answers(200, "reached");
    let both = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            {} {} (i32.const 0))"#,
        answer(403),
        answer(500)
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter(&both)).start();
    assert_eq!(gateway.get("/").status(), 403);
    assert_eq!(origin.connections(), 0);
}

#[test]
fn an_answer_counts_after_its_callback_has_returned() {
    let origin = Origin::answers(200, "reached");
    // What the filter does to the request after it answered is still possible, and has no effect.
    let then = format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            {} (drop (call $add (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 16) (i32.const 2)))
            (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (drop (call $add (i32.const 2) (i32.const 32) (i32.const 6) (i32.const 16) (i32.const 2)))
            (i32.const 0))"#,
        answer(403)
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter(&then)).start();
    let response = gateway.get("/");
    assert_eq!(
        (response.status(), response.field("x-late")),
        (403, Some("no")),
        "its own answer passes it"
    );
}

#[test]
fn an_answer_can_come_when_a_call_has_ended() {
    for callback in ["request", "response"] {
        let auth = Origin::answers(401, "who?");
        let origin = Origin::answers(200, "secret");
        let deny = format!(
            r#"(data (i32.const 64) "auth")
            (data (i32.const 96) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
            (global $waiting (mut i32) (i32.const 0))
            (func (export "proxy_on_{callback}_headers") (param $context i32) (param i32 i32) (result i32)
                (if (global.get $waiting) (then (return (i32.const 0))))
                (global.set $waiting (local.get $context))
                (drop (call $call (i32.const 64) (i32.const 4) (i32.const 96) (i32.const 61)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 8)))
                (i32.const 1))
            (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
                (drop (call $effective (global.get $waiting)))
                {})"#,
            answer(403)
        );
        let gateway = Gateway::to(origin.address())
            .backend("auth", auth.address())
            .plugin(&filter(&deny))
            .start();
        let response = gateway.get("/");
        assert_eq!(
            (response.status(), response.text().as_str()),
            (403, "no"),
            "{callback}"
        );
    }
}

#[test]
fn an_answer_to_a_response_that_is_on_its_way_cuts_it() {
    let latch = Latch::default();
    let opened = latch.clone();
    let origin = Origin::script(move |connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n")?;
        opened.wait();
        connection.send("6\r\nsecret\r\n0\r\n\r\n")
    });
    let late = format!(
        r#"(func (export "proxy_on_response_body") (param i32) (param $size i32) (param i32) (result i32)
            (if (i32.eq (local.get $size) (i32.const 6)) (then {}))
            (i32.const 0))"#,
        answer(403)
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter(&late)).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    latch.open();
    let rest = String::from_utf8_lossy(&client.read_to_end().unwrap_or_default()).into_owned();
    assert!(
        !rest.contains("secret") && !rest.ends_with("0\r\n\r\n"),
        "{rest}"
    );
    assert!(gateway.log_lines(1)[0].contains(" plugin_closed_stream "));
}

#[test]
fn an_answer_from_a_timer_belongs_to_no_stream() {
    let origin = Origin::answers(200, "fine");
    let ticks = format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $tick (i32.const 1))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32) {})"#,
        answer(403)
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&filter(&ticks))
        .start();
    let mut client = gateway.client();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "fine");
    }
}

#[test]
fn an_answer_from_the_log_phase_has_no_effect() {
    let origin = Origin::answers(200, "fine");
    let logs = format!(
        r#"(func (export "proxy_on_log") (param i32) {})"#,
        answer(403)
    );
    let gateway = Gateway::to(origin.address()).plugin(&filter(&logs)).start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "fine");
    }
}

//! What filters can do to an exchange: edit, pause, resume, answer, rewrite bodies, call out.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;

/// A host call for filters in WAT: a field is added.
pub(crate) const ADD: &str = r#"(import "env" "proxy_add_header_map_value"
    (func $add (param i32 i32 i32 i32 i32) (result i32)))"#;
/// The same: the request is answered.
pub(crate) const ANSWER: &str = r#"(import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
const SET_BODY: &str = r#"(import "env" "proxy_set_buffer_bytes"
    (func $set_body (param i32 i32 i32 i32 i32) (result i32)))"#;
const CONTINUE: &str = r#"(import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#;

/// A filter that appends `mark` to the header `x-order` in both directions.
fn marks(mark: &str) -> Wasm {
    Wasm::wat(
        mark,
        ADD,
        &format!(
            r#"(data (i32.const 16) "x-order") (data (i32.const 32) "{mark}")
            (func $mark (param $map i32) (result i32)
                (drop (call $add (local.get $map) (i32.const 16) (i32.const 7)
                                 (i32.const 32) (i32.const {})))
                (i32.const 0))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (call $mark (i32.const 0)))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (call $mark (i32.const 2)))"#,
            mark.len()
        ),
    )
}

#[test]
fn filters_see_requests_in_order_and_responses_in_reverse() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&marks("one"))
        .plugin(&marks("two"))
        .plugin(&marks("three"))
        .start();
    let response = gateway.get("/");
    assert_eq!(
        origin.only_request().values("x-order"),
        ["one", "two", "three"]
    );
    assert_eq!(response.values("x-order"), ["three", "two", "one"]);
}

/// A filter that answers 403 with the body `no` from this callback.
fn answers_in(callback: &str, params: &str) -> Wasm {
    Wasm::wat(
        "answers",
        ANSWER,
        &format!(
            r#"(data (i32.const 16) "no")
            (func (export "{callback}") {params} (result i32)
                (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0)
                    (i32.const 16) (i32.const 2) (i32.const 0) (i32.const 0) (i32.const -1)))
                (i32.const 0))"#
        ),
    )
}

const HEADERS: &str = "(param i32 i32 i32)";

#[test]
fn a_local_response_from_request_headers_costs_the_origin_nothing() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .plugin(&marks("before"))
        .plugin(&answers_in("proxy_on_request_headers", HEADERS))
        .plugin(&marks("after"))
        .start();
    let mut client = gateway.client();
    let response = client.get("/");
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
    // It passes the filters that saw the request, and only those.
    assert_eq!(response.values("x-order"), ["before"]);
    assert_eq!(origin.connections(), 0);
    // The connection stays.
    assert_eq!(client.get("/").status(), 403);
    assert!(gateway.log_lines(2)[0].contains(" 403 local_response "));
}

#[test]
fn a_local_response_replaces_the_origins_answer() {
    for callback in ["proxy_on_response_headers", "proxy_on_response_body"] {
        let origin = Origin::answers(200, "secret");
        let gateway = Gateway::to(origin.address())
            .plugin(&answers_in(callback, HEADERS))
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
fn a_local_response_from_a_request_body_ends_the_upload() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&answers_in("proxy_on_request_body", HEADERS))
        .start();
    let response = gateway.client().post("/", b"body");
    assert_eq!((response.status(), response.text().as_str()), (403, "no"));
    assert_eq!(origin.requests(), []);
}

/// A filter that holds a body until its end and then replaces it by `new`.
fn rewrites(callback: &str, buffer: u32) -> Wasm {
    Wasm::wat(
        "rewrites",
        SET_BODY,
        &format!(
            r#"(data (i32.const 16) "rewritten")
            (func (export "{callback}") (param $context i32) (param $size i32) (param $end i32) (result i32)
                (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
                (drop (call $set_body (i32.const {buffer}) (i32.const 0) (local.get $size)
                                      (i32.const 16) (i32.const 9)))
                (i32.const 0))"#
        ),
    )
}

#[test]
fn a_rewritten_request_body_has_the_right_length() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&rewrites("proxy_on_request_body", 0))
        .start();
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    client.send("def");
    assert_eq!(client.response().text(), "rewritten");
    let request = origin.only_request();
    assert_eq!(
        (request.field("content-length"), request.text().as_str()),
        (Some("9"), "rewritten")
    );
}

#[test]
fn a_rewritten_response_body_has_the_right_length() {
    let origin = Origin::script(|connection| {
        while connection.request().is_ok() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc")?;
            connection.send("def")?;
        }
        Ok(())
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&rewrites("proxy_on_response_body", 1))
        .start();
    let response = gateway.get("/");
    assert_eq!(response.text(), "rewritten");
}

#[test]
fn a_body_that_a_filter_holds_is_bounded() {
    let body = vec![b'x'; 2 << 20];
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address())
        .plugin(&rewrites("proxy_on_request_body", 0))
        .start();
    assert_eq!(gateway.client().post("/", &body).status(), 413);
    assert!(gateway.log_lines(1)[0].contains(" 413 request_buffer_overflow "));
    let gateway = Gateway::to(origin.address())
        .plugin(&rewrites("proxy_on_response_body", 1))
        .start();
    assert_eq!(gateway.client().post("/", &body).status(), 500);
    assert!(gateway.log_lines(1)[0].contains(" 500 response_buffer_overflow "));
}

/// A filter that pauses at request headers, and resumes the stream at the next tick if `resumes`.
fn pauses(resumes: bool) -> Wasm {
    let on_tick = if resumes {
        "(drop (call $effective (global.get $waiting))) (drop (call $continue (i32.const 0)))"
    } else {
        ""
    };
    Wasm::wat(
        "pauses",
        CONTINUE,
        &format!(
            r#"(global $waiting (mut i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (drop (call $tick (i32.const 5))) (i32.const 1))
            (func (export "proxy_on_request_headers") (param $context i32) (param i32 i32) (result i32)
                (global.set $waiting (local.get $context))
                (i32.const 1))
            (func (export "proxy_on_tick") (param i32)
                (if (global.get $waiting) (then {on_tick} (global.set $waiting (i32.const 0)))))"#
        ),
    )
}

#[test]
fn a_paused_stream_goes_on_when_its_filter_resumes_it() {
    let origin = Origin::echoes();
    let gateway = Gateway::to(origin.address()).plugin(&pauses(true)).start();
    assert_eq!(
        gateway.client().post("/", b"after a pause").text(),
        "after a pause"
    );
}

#[test]
fn a_stream_that_is_never_resumed_is_503() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .plugin(&pauses(false))
        .timeouts(|timeouts| timeouts.filter_pause = Duration::from_millis(100))
        .start();
    assert_eq!(gateway.get("/").status(), 503);
    assert!(gateway.log_lines(1)[0].contains(" 503 plugin_pause_timeout "));
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_client_that_disappears_while_a_filter_pauses_ends_its_stream() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address()).plugin(&pauses(false)).start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    drop(client);
    assert!(gateway.log_lines(1)[0].contains(" 499 client_closed "));
}

#[test]
fn a_header_that_cannot_be_sent_fails_the_exchange() {
    for (name, value) in [
        ("x-order", "a\\r\\nb: c"),
        ("x order", "a"),
        (":path", "no slash"),
        (":path", "/a\\\\b"),
    ] {
        let filter = Wasm::wat(
            "breaks",
            r#"(import "env" "proxy_replace_header_map_value"
                (func $set (param i32 i32 i32 i32 i32) (result i32)))"#,
            &format!(
                r#"(data (i32.const 16) "{name}") (data (i32.const 64) "{value}")
                (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                    (drop (call $set (i32.const 0) (i32.const 16) (i32.const {})
                                     (i32.const 64) (i32.const {})))
                    (i32.const 0))"#,
                name.len(),
                value
                    .replace("\\r", "r")
                    .replace("\\n", "n")
                    .replace("\\\\", "b")
                    .len()
            ),
        );
        let origin = Origin::answers(200, "reached");
        let gateway = Gateway::to(origin.address()).plugin(&filter).start();
        assert_eq!(gateway.get("/").status(), 503, "{name}: {value}");
        let line = gateway.log_lines(1).remove(0);
        assert!(line.contains(" 503 invalid_header "), "{line}");
        let blamed = line.contains("details=\"plugin ");
        // Paths are looked at when the filter has returned: they may have been fine before.
        assert!(blamed || name.starts_with(':'), "{line}");
        assert_eq!(origin.connections(), 0);
    }
}

/// A filter that calls the backend `auth` and resumes when it has answered.
fn calls_out() -> Wasm {
    calls_out_by("GET")
}

fn calls_out_by(method: &str) -> Wasm {
    calls_out_with(method, "proxy_on_request_headers", 0)
}

/// A filter that pauses in this callback of a direction until a call to `auth` has ended.
pub(crate) fn calls_out_in(callback: &str, direction: u32) -> Wasm {
    calls_out_with("GET", callback, direction)
}

fn calls_out_with(method: &str, callback: &str, direction: u32) -> Wasm {
    let mut pairs = Vec::new();
    let fields = [
        (":method", method),
        (":path", "/check"),
        (":authority", "auth"),
    ];
    pairs.extend(u32::to_le_bytes(3));
    for (name, value) in fields {
        for part in [name, value] {
            let length = u32::try_from(part.len()).expect("short");
            pairs.extend(length.to_le_bytes());
        }
    }
    for (name, value) in fields {
        pairs.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    let data: String = pairs.iter().map(|byte| format!("\\{byte:02x}")).collect();
    Wasm::wat(
        "calls",
        &format!(
            r#"(import "env" "proxy_http_call"
                (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
            {CONTINUE}"#
        ),
        &format!(
            r#"(data (i32.const 16) "auth") (data (i32.const 32) "{data}")
            (global $waiting (mut i32) (i32.const 0))
            (func (export "{callback}") (param $context i32) (param i32 i32) (result i32)
                (global.set $waiting (local.get $context))
                (drop (call $call (i32.const 16) (i32.const 4) (i32.const 32) (i32.const {})
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 1000) (i32.const 4)))
                (i32.const 1))
            (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
                (drop (call $effective (global.get $waiting)))
                (drop (call $continue (i32.const {direction}))))"#,
            pairs.len()
        ),
    )
}

#[test]
fn a_call_out_suspends_its_stream_and_not_the_worker() {
    let auth = Origin::answers(200, "yes");
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .backend("auth", auth.address())
        .plugin(&calls_out())
        .start();
    let mut client = gateway.client();
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "fine");
    }
    assert_eq!(auth.requests().len(), 3);
    assert_eq!(auth.requests()[0].start, "GET /check HTTP/1.1");
}

#[test]
fn a_call_out_that_fails_still_calls_its_filter_back() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .backend("auth", Origin::nowhere())
        .plugin(&calls_out())
        .start();
    assert_eq!(gateway.get("/").text(), "fine");
    let silent = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", silent.address())
        .plugin(&calls_out())
        .start();
    assert_eq!(
        gateway.get("/").text(),
        "fine",
        "the call ends by its own limit"
    );
}

#[test]
fn a_call_out_that_may_have_had_an_effect_is_not_made_again() {
    // The second call on each connection is read and met by a close without an answer.
    let bank = Origin::script(|connection| {
        connection.request()?;
        connection.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
        connection.request().map(|_| ())
    });
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .backend("auth", bank.address())
        .plugin(&calls_out_by("POST"))
        .start();
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "fine");
    }
    assert_eq!(bank.requests().len(), 2, "a POST was sent twice");
}

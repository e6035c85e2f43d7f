//! What every status of a callback does: holding heads, bodies and trailers back, and letting them go.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#;

/// A filter that answers its header callback with `headers` and its body callback with 1 until the
/// end, then with 0, having set the header `x-seen` to the number of body callbacks.
fn looks_ahead(direction: &str, headers: u32) -> Wasm {
    let map = if direction == "request" { 0 } else { 2 };
    Wasm::wat(
        "ahead",
        IMPORTS,
        &format!(
            r#"(data (i32.const 16) "x-seen")
            (global $calls (mut i32) (i32.const 48))
            (func (export "proxy_on_{direction}_headers") (param i32 i32 i32) (result i32)
                (global.set $calls (i32.const 48))
                (i32.const {headers}))
            (func (export "proxy_on_{direction}_body") (param i32) (param $size i32) (param $end i32)
                (result i32)
                (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
                (if (i32.eqz (local.get $end)) (then (return (i32.const 1))))
                (i32.store8 (i32.const 32) (global.get $calls))
                (drop (call $add (i32.const {map}) (i32.const 16) (i32.const 6)
                                 (i32.const 32) (i32.const 1)))
                (i32.const 0))"#
        ),
    )
}

fn shown(filter: Wasm) -> Wasm {
    filter.with(|spec| spec.stop_iteration = Some(true))
}

/// An echo behind these filters.
fn echo_behind(filters: &[Wasm]) -> (Origin, Gateway) {
    let origin = Origin::echoes();
    let mut gateway = Gateway::to(origin.address());
    for filter in filters {
        gateway = gateway.plugin(filter);
    }
    let gateway = gateway.start();
    (origin, gateway)
}

/// Sends a body in two halves through filters, which must have counted so many pieces of it before
/// they let it go.
#[track_caller]
fn see_pieces(filters: &[Wasm], counts: &[&str]) {
    let (origin, gateway) = echo_behind(filters);
    let mut client = slow_post(&gateway);
    assert!(client.try_read(Duration::from_millis(50)).is_none());
    assert_eq!(
        origin.connections(),
        0,
        "nothing leaves while the head is held"
    );
    client.send("def");
    assert_eq!(client.response().text(), "abcdef");
    let request = origin.only_request();
    // The head could still be edited.
    assert_eq!(request.values("x-seen"), counts);
    assert_eq!(request.field("content-length"), Some("6"));
}

fn slow_post(gateway: &Gateway) -> tidegate_testkit::client::Client {
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    // The first half is seen alone.
    assert!(client.try_read(Duration::from_millis(60)).is_none());
    client
}

#[test]
fn with_stop_iteration_a_held_request_head_waits_for_what_the_body_callback_says() {
    see_pieces(&[shown(looks_ahead("request", 1))], &["2"]);
}

#[test]
fn with_stop_iteration_a_held_response_head_waits_for_what_the_body_callback_says() {
    let origin = Origin::replies("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabcdef");
    let gateway = Gateway::to(origin.address())
        .plugin(&shown(looks_ahead("response", 1)))
        .start();
    let response = gateway.get("/");
    assert_eq!(response.text(), "abcdef");
    assert!(response.field("x-seen").is_some());
}

#[test]
fn a_filter_after_one_that_looks_ahead_sees_the_head_before_the_body() {
    let after = looks_ahead("request", 0).named("after");
    // The second one was shown the whole body at once.
    see_pieces(&[shown(looks_ahead("request", 1)), after], &["2", "1"]);
}

#[test]
fn two_filters_can_look_ahead_one_after_the_other() {
    let second = shown(looks_ahead("request", 1)).named("second");
    see_pieces(&[shown(looks_ahead("request", 1)), second], &["2", "1"]);
}

#[test]
fn a_client_that_waits_to_be_asked_is_asked_for_a_body_that_a_filter_wants_to_see() {
    let (_origin, gateway) = echo_behind(&[shown(looks_ahead("request", 1))]);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_eq!(client.response_head().status(), 100);
    client.send("abc");
    assert_eq!(client.response().text(), "abc");
}

#[test]
fn a_module_can_declare_that_it_looks_ahead() {
    let declares = Wasm::wat(
        "declares",
        "",
        r#"(func (export "tidegate_needs_stop_iteration"))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))
        (func (export "proxy_on_request_body") (param i32 i32 i32) (result i32) (i32.const 0))"#,
    );
    let (_origin, gateway) = echo_behind(&[declares]);
    assert_eq!(gateway.client().post("/", b"abc").text(), "abc");
}

#[test]
fn what_a_filter_sees_ahead_of_its_head_is_bounded() {
    for (direction, status) in [("request", 413), ("response", 500)] {
        let origin = Origin::echoes();
        let stops = Wasm::wat(
            "stops",
            "",
            &format!(
                r#"(func (export "proxy_on_{direction}_headers") (param i32 i32 i32) (result i32)
                    (i32.const 1))
                (func (export "proxy_on_{direction}_body") (param i32 i32 i32) (result i32)
                    (i32.const 1))"#
            ),
        );
        let gateway = Gateway::to(origin.address())
            .plugin(&shown(stops))
            .sizes(|sizes| sizes.buffered_body_bytes = 1000)
            .start();
        let response = gateway.client().post("/", &[b'x'; 3000]);
        assert_eq!(response.status(), status, "{direction}");
    }
}

/// A filter that answers `status` at the headers and resumes at the next tick.
fn resumes_later(direction: &str, status: u32) -> Wasm {
    let side = u32::from(direction == "response");
    Wasm::wat(
        "resumes",
        IMPORTS,
        &format!(
            r#"{}
            (func (export "proxy_on_{direction}_headers") (param $context i32) (param i32 i32) (result i32)
                (global.set $waiting (local.get $context))
                (i32.const {status}))"#,
            resumes_what_waits(side)
        ),
    )
}

/// Ticks that continue this side of the stream that is `$waiting`.
fn resumes_what_waits(side: u32) -> String {
    format!(
        r#"(global $waiting (mut i32) (i32.const 0))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $tick (i32.const 5))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
            (if (global.get $waiting) (then
                (drop (call $effective (global.get $waiting)))
                (drop (call $continue (i32.const {side})))
                (global.set $waiting (i32.const 0)))))"#
    )
}

#[test]
fn every_status_that_stops_a_head_lets_it_go_when_the_filter_continues() {
    for direction in ["request", "response"] {
        for status in [1, 3, 4, 99] {
            let (_origin, gateway) = echo_behind(&[resumes_later(direction, status)]);
            let response = gateway.client().post("/", b"body");
            assert_eq!(response.text(), "body", "{direction} {status}");
        }
    }
}

#[test]
fn a_body_kept_for_a_stopped_head_is_bounded_and_one_left_with_its_sender_is_not() {
    let never = |status: u32| {
        Wasm::wat(
            "never",
            "",
            &format!(
                r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                    (i32.const {status}))"#
            ),
        )
    };
    for (status, answer) in [(3, 413), (4, 503)] {
        let origin = Origin::echoes();
        let gateway = Gateway::to(origin.address())
            .plugin(&never(status))
            .sizes(|sizes| sizes.buffered_body_bytes = 1000)
            .timeouts(|timeouts| timeouts.filter_pause = Duration::from_millis(100))
            .start();
        let response = gateway.client().post("/", &[b'x'; 3000]);
        assert_eq!(response.status(), answer, "status {status}");
    }
}

/// A filter that answers this callback with 1 and never resumes.
fn stops_in(callback: &str, params: &str) -> Wasm {
    Wasm::wat(
        "stops",
        "",
        &format!(r#"(func (export "{callback}") {params} (result i32) (i32.const 1))"#),
    )
}

#[test]
fn a_pause_in_any_phase_ends_in_time_and_names_the_filter_and_the_phase() {
    let three = "(param i32 i32 i32)";
    let two = "(param i32 i32)";
    for (callback, params, phase) in [
        ("proxy_on_request_headers", three, "request headers"),
        ("proxy_on_request_body", three, "request body"),
        ("proxy_on_request_trailers", two, "request trailers"),
        ("proxy_on_response_headers", three, "response headers"),
        ("proxy_on_response_body", three, "response body"),
        ("proxy_on_response_trailers", two, "response trailers"),
    ] {
        // Trailers would end a pause in the body, as in Envoy.
        let end = if callback.ends_with("trailers") {
            "x-t: 1\r\n"
        } else {
            ""
        };
        let body = format!("transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n{end}\r\n");
        let origin = Origin::replies(format!("HTTP/1.1 200 OK\r\n{body}"));
        let gateway = Gateway::to(origin.address())
            .plugin(&stops_in(callback, params))
            .timeouts(|timeouts| timeouts.filter_pause = Duration::from_millis(60))
            .start();
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: a\r\n{body}"));
        let line = gateway.log_lines(1).remove(0);
        assert!(
            line.contains(" plugin_pause_timeout "),
            "{callback}: {line}"
        );
        let blame = format!("details=\"plugin stops paused in {phase}\"");
        assert!(line.contains(&blame), "{callback}: {line}");
        let timeouts = || Some(gateway.metrics().plugins.get("stops")?.pause_timeouts);
        assert_eq!(timeouts(), Some(1), "{callback}");
    }
}

#[test]
fn streams_that_a_filter_holds_back_are_counted_now() {
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address())
        .plugin(&stops_in("proxy_on_request_headers", "(param i32 i32 i32)"))
        .start();
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = gateway.client();
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        clients.push(client);
    }
    let paused = |wanted: u64| {
        eventually("the gauge", || {
            let metrics = gateway.metrics();
            let gauges = metrics.plugins.get("stops")?.gauges;
            (gauges.paused == wanted && gauges.instances == 1).then_some(())
        });
    };
    paused(3);
    drop(clients);
    paused(0);
}

/// A filter that holds the request body until its end.
fn holds_bodies() -> Wasm {
    Wasm::wat(
        "holds",
        "",
        r#"(func (export "proxy_on_request_body") (param i32 i32) (param $end i32) (result i32)
            (i32.eqz (local.get $end)))"#,
    )
}

#[test]
fn no_connection_is_taken_for_a_body_that_a_filter_holds_back() {
    let (origin, gateway) = echo_behind(&[holds_bodies()]);
    let mut client = slow_post(&gateway);
    assert!(client.try_read(Duration::from_millis(80)).is_none());
    assert_eq!(origin.connections(), 0);
    client.send("def");
    assert_eq!(client.response().text(), "abcdef");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_origin_that_closes_its_kept_connection_meanwhile_costs_a_held_request_nothing() {
    // Each connection serves one request, answers as if it stayed, and closes a moment later.
    let origin = Origin::script(|connection| {
        let request = connection.request()?;
        let length = request.body.len();
        connection.send(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n"
        ))?;
        connection.send(&request.body)
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&holds_bodies())
        .start();
    assert_eq!(gateway.client().post("/", b"first").text(), "first");
    let mut client = slow_post(&gateway);
    eventually("the kept connection is closed", || {
        origin.is_idle().then_some(())
    });
    client.send("def");
    assert_eq!(client.response().text(), "abcdef");
}

#[test]
fn every_status_that_stops_a_body_keeps_its_bytes_but_the_last_drops_them() {
    // 1 and 2 hold; 3 and what is unknown drop the chunk; the end lets go.
    for (status, expected) in [(1, "abcdef"), (2, "abcdef"), (3, "def"), (77, "def")] {
        let filter = Wasm::wat(
            "stops",
            IMPORTS,
            &format!(
                r#"{}
                (func (export "proxy_on_request_body") (param $context i32) (param i32)
                    (param $end i32) (result i32)
                    (if (local.get $end) (then (return (i32.const 0))))
                    (global.set $waiting (local.get $context))
                    (i32.const {status}))"#,
                resumes_what_waits(0)
            ),
        );
        let (_origin, gateway) = echo_behind(&[filter]);
        let mut client = gateway.client();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        // The filter has met the first chunk.
        assert!(client.try_read(Duration::from_millis(40)).is_none());
        client.send("3\r\ndef\r\n0\r\n\r\n");
        assert_eq!(client.response().text(), expected, "status {status}");
    }
}

/// A filter that makes the trailer `x-sum: 1` at the end of bodies of this direction.
fn makes_trailers(direction: &str) -> Wasm {
    let map = if direction == "request" { 1 } else { 3 };
    Wasm::wat(
        "makes",
        IMPORTS,
        &format!(
            r#"(data (i32.const 16) "x-sum") (data (i32.const 32) "1")
            (func (export "proxy_on_{direction}_body") (param i32 i32) (param $end i32) (result i32)
                (if (local.get $end) (then
                    (drop (call $add (i32.const {map}) (i32.const 16) (i32.const 5)
                                     (i32.const 32) (i32.const 1)))))
                (i32.const 0))"#
        ),
    )
}

/// A filter that answers its trailer callback by adding `x-saw` to them.
fn sees_trailers(direction: &str) -> Wasm {
    let map = if direction == "request" { 1 } else { 3 };
    Wasm::wat(
        "sees",
        IMPORTS,
        &format!(
            r#"(data (i32.const 16) "x-saw") (data (i32.const 32) "1")
            (func (export "proxy_on_{direction}_trailers") (param i32 i32) (result i32)
                (drop (call $add (i32.const {map}) (i32.const 16) (i32.const 5)
                                 (i32.const 32) (i32.const 1)))
                (i32.const 0))"#
        ),
    )
}

#[test]
fn trailers_made_at_the_end_of_a_body_are_seen_by_the_filters_after_and_sent() {
    let origin = Origin::script(|connection| {
        connection.request()?;
        connection
            .send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
    });
    let gateway = Gateway::to(origin.address())
        .plugin(&makes_trailers("request"))
        .plugin(&sees_trailers("request"))
        .plugin(&sees_trailers("response").named("after"))
        .plugin(&makes_trailers("response").named("first"))
        .start();
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    );
    let response = client.response();
    let names = |trailers: &[(String, String)]| -> Vec<String> {
        trailers.iter().map(|(name, _)| name.clone()).collect()
    };
    assert_eq!(names(&origin.only_request().trailers), ["x-sum", "x-saw"]);
    assert_eq!(response.text(), "abc");
    assert_eq!(names(&response.trailers), ["x-sum", "x-saw"]);
}

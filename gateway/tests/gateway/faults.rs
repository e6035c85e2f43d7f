//! Filters that trap, loop or eat memory: their streams get the failure policy's answer, others no
//! error, the next request a fresh instance.

use std::time::Duration;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const PATH_LENGTH: &str = r#"(import "env" "proxy_get_header_map_value"
    (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;

/// A filter that does `harm` in this callback for requests with the path `/bad`.
fn harms(callback: &str, harm: &str) -> Wasm {
    Wasm::wat(
        "harms",
        PATH_LENGTH,
        &format!(
            r#"(data (i32.const 16) ":path")
            (func $is_bad (result i32)
                (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5)
                                 (i32.const 0) (i32.const 4)))
                (i32.eq (i32.load (i32.const 4)) (i32.const 4)))
            (func (export "{callback}") (param i32 i32 i32) (result i32)
                (if (call $is_bad) (then {harm}))
                (i32.const 0))"#
        ),
    )
}

const TRAP: &str = "(unreachable)";
const LOOP: &str = "(loop $for_ever (br $for_ever))";
/// Grows memory until that is refused, then does what a Rust guest does: it gives up.
const EAT: &str = "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1))))
    (unreachable)";

#[track_caller]
fn is_contained(filter: &Wasm) {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).plugin(filter).start();
    let mut bystander = gateway.client();
    assert_eq!(bystander.get("/").text(), "fine");
    for _ in 0..2 {
        let mut client = gateway.client();
        assert_eq!(client.get("/bad").status(), 503);
        assert_eq!(
            bystander.get("/").text(),
            "fine",
            "the next request has a fresh instance"
        );
    }
    let log = gateway.log_lines(5);
    let faults = log
        .iter()
        .filter(|line| line.contains(" 503 plugin_fault "))
        .count();
    assert_eq!(faults, 2, "{log:#?}");
}

#[test]
fn a_filter_that_traps_fails_its_stream_and_no_other() {
    is_contained(&harms("proxy_on_request_headers", TRAP));
    is_contained(&harms("proxy_on_response_headers", TRAP));
}

#[test]
fn a_filter_that_loops_for_ever_is_ended() {
    is_contained(&harms("proxy_on_request_headers", LOOP));
}

#[test]
fn a_filter_that_allocates_without_end_is_refused_memory() {
    is_contained(&harms("proxy_on_request_headers", EAT));
}

#[test]
fn a_filter_that_fails_open_lets_its_streams_pass() {
    for harm in [TRAP, LOOP, EAT] {
        let origin = Origin::answers(200, "fine");
        let filter = harms("proxy_on_request_headers", harm).fail_open();
        let gateway = Gateway::to(origin.address()).plugin(&filter).start();
        assert_eq!(gateway.get("/bad").text(), "fine");
        assert_eq!(gateway.get("/").text(), "fine");
    }
}

#[test]
fn a_trap_in_a_body_callback_fails_the_exchange() {
    let origin = Origin::echoes();
    let filter = harms("proxy_on_request_body", TRAP);
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    assert_eq!(gateway.client().post("/bad", b"body").status(), 503);
    assert_eq!(gateway.client().post("/", b"body").text(), "body");
}

#[test]
fn many_traps_in_a_row_never_leave_the_worker_without_an_instance() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&harms("proxy_on_request_headers", TRAP))
        .start();
    let mut client = gateway.client();
    for _ in 0..50 {
        assert_eq!(client.get("/bad").status(), 503);
        assert_eq!(client.get("/").text(), "fine");
    }
}

#[test]
fn each_trap_has_one_instance_started_and_no_more() {
    let filter = Wasm::wat(
        "counted",
        r#"(import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_increment_metric" (func $more (param i32 i64) (result i32)))"#,
        r#"(data (i32.const 16) "starts")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $define (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 8)))
            (drop (call $more (i32.load (i32.const 8)) (i64.const 1)))
            (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
            (if (i32.eqz (local.get $end)) (then (unreachable)))
            (i32.const 0))"#,
    );
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let starts = || match gateway.metrics().guests.first().map(|one| &one.value) {
        Some(tidegate_proxy::GuestMetricValue::Counter(count)) => *count,
        _ => 0,
    };
    eventually("one that serves and a spare", || {
        (starts() == 2).then_some(())
    });
    for trap in 1..=5 {
        assert_eq!(gateway.client().post("/", b"trap").status(), 503);
        eventually("the next spare", || (starts() >= 2 + trap).then_some(()));
        assert_eq!(gateway.get("/").text(), "fine");
    }
    assert_eq!(starts(), 7);
}

#[test]
fn a_stream_that_waits_for_a_filter_gets_the_policy_when_another_stream_traps_it() {
    let filter = Wasm::wat(
        "waits-or-traps",
        PATH_LENGTH,
        r#"(data (i32.const 16) ":path")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
            (if (i32.eq (i32.load (i32.const 4)) (i32.const 4)) (then (unreachable)))
            (i32.const 1))"#,
    );
    let origin = Origin::answers(200, "reached");
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut waiting = gateway.client();
    waiting.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // The trap comes after the pause: both connections are the same worker's, in order of arrival,
    // and a request that is refused is answered after those before it were seen.
    let mut probe = gateway.client();
    probe.send("GET /\\ HTTP/1.1\r\nHost: a\r\n\r\n");
    probe.response();
    assert_eq!(gateway.get("/bad").status(), 503);
    assert_eq!(waiting.response().status(), 503);
}

#[test]
fn a_filter_that_keeps_looping_is_no_longer_entered() {
    let origin = Origin::answers(200, "fine");
    let filter = harms("proxy_on_request_headers", LOOP)
        .with(|spec| spec.limits.call_timeout = Duration::from_millis(200));
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut client = gateway.client();
    let mut slowest_answers = 0;
    for _ in 0..10 {
        let before = std::time::Instant::now();
        assert_eq!(client.get("/bad").status(), 503);
        if before.elapsed() >= Duration::from_millis(200) {
            slowest_answers += 1;
        }
    }
    assert!(
        slowest_answers <= 5,
        "{slowest_answers} of 10 requests entered the looping guest"
    );
}

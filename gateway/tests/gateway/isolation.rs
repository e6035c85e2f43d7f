//! Plugins that give each stream an instance of its own, and plugins without streams.

use std::time::Duration;

use tidegate_host_abi::Isolation;
use tidegate_host_abi::PluginKind;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const IMPORTS: &str = r#"
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value"
        (func $get (param i32 i32 i32 i32 i32) (result i32)))"#;

/// A filter that counts its requests in `x-count`, pauses those for `/wait` and traps on `/trap`.
fn counts() -> Wasm {
    Wasm::wat(
        "counts",
        IMPORTS,
        r#"(data (i32.const 16) "x-count") (data (i32.const 64) ":path")
        (global $count (mut i32) (i32.const 48))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (drop (call $get (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 80) (i32.const 84)))
            ;; The second letter of the path.
            (if (i32.gt_u (i32.load (i32.const 84)) (i32.const 1)) (then
                (if (i32.eq (i32.load8_u (i32.add (i32.load (i32.const 80)) (i32.const 1))) (i32.const 0x77))
                    (then (return (i32.const 1))))
                (if (i32.eq (i32.load8_u (i32.add (i32.load (i32.const 80)) (i32.const 1))) (i32.const 0x74))
                    (then (unreachable)))))
            (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (i32.store8 (i32.const 32) (global.get $count))
            (drop (call $add (i32.const 2) (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 1)))
            (i32.const 0))"#,
    )
}

fn isolated(filter: Wasm) -> Wasm {
    filter.with(|spec| spec.isolation = Isolation::Stream)
}

fn counted(gateway: &Gateway) -> Vec<String> {
    let mut client = gateway.client();
    let mut answers = Vec::new();
    for _ in 0..12 {
        let response = client.get("/");
        assert_eq!(response.status(), 200);
        answers.push(response.field("x-count").unwrap_or("none").to_owned());
    }
    answers
}

#[test]
fn streams_with_instances_of_their_own_see_nothing_of_each_other() {
    let origin = Origin::answers(200, "fine");
    let shared = Gateway::to(origin.address()).plugin(&counts()).start();
    assert_eq!(
        counted(&shared)[..3],
        ["1", "2", "3"],
        "one instance remembers"
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&isolated(counts()))
        .start();
    assert_eq!(counted(&gateway), ["1"; 12]);
    // Each of them is gone with its stream.
    eventually("no instance is in service", || {
        let metrics = gateway.metrics();
        let numbers = metrics.plugins.get("counts")?;
        let calls: u64 = numbers.usage.by_callback().map(|one| one.calls).sum();
        (numbers.gauges.instances == 0 && calls >= 24).then_some(())
    });
}

#[test]
fn a_trap_in_an_instance_of_its_own_ends_no_other_stream() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&isolated(counts()))
        .start();
    let mut waiting = gateway.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    for _ in 0..3 {
        assert_eq!(gateway.get("/trap").status(), 503);
        assert_eq!(gateway.get("/").status(), 200);
    }
    assert!(
        waiting.try_read(Duration::from_millis(20)).is_none(),
        "it goes on waiting"
    );
    drop(waiting);
    let log = gateway.log_lines(7);
    let faults = log.iter().filter(|line| line.contains(" plugin_fault "));
    assert_eq!(faults.count(), 3, "{log:#?}");
}

/// A filter that answers all requests, and one that logs what it hears of the request.
fn refuses_and_logs() -> (Wasm, Wasm) {
    let refuses = Wasm::wat(
        "refuses",
        r#"(import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#,
    );
    let logs = Wasm::wat(
        "logs",
        r#"(import "env" "proxy_define_metric"
            (func $define (param i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_increment_metric" (func $more (param i32 i64) (result i32)))
        (import "env" "proxy_get_header_map_value"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "heard") (data (i32.const 32) ":status")
        (func (export "proxy_on_log") (param i32)
            (drop (call $get (i32.const 2) (i32.const 32) (i32.const 7)
                (i32.const 80) (i32.const 84)))
            ;; Of a 403 only.
            (if (i32.eq (i32.load8_u (i32.load (i32.const 80))) (i32.const 0x34)) (then
                (drop (call $define (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 64)))
                (drop (call $more (i32.load (i32.const 64)) (i64.const 1))))))"#,
    );
    (refuses, logs)
}

#[test]
fn a_filter_that_an_exchange_never_reaches_logs_it_whatever_its_isolation() {
    // What plugins count is the process's.
    for (isolation, count) in [(Isolation::Worker, 20), (Isolation::Stream, 40)] {
        let (refuses, logs) = refuses_and_logs();
        let gateway = Gateway::to(Origin::nowhere())
            .plugin(&refuses)
            .plugin(&logs.with(|spec| spec.isolation = isolation))
            .start();
        let mut client = gateway.client();
        for _ in 0..20 {
            assert_eq!(client.get("/").status(), 403);
        }
        eventually("all of them are logged", || {
            (counter(&gateway, "heard") == count).then_some(())
        });
    }
}

#[test]
fn a_stream_that_finds_all_instances_taken_is_refused_by_name() {
    let origin = Origin::answers(200, "fine");
    let filter = isolated(counts()).with(|spec| spec.limits.instances = 2);
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut client = gateway.client();
        client.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        waiting.push(client);
    }
    eventually("both are taken", || {
        (gateway.metrics().plugins.get("counts")?.gauges.paused == 2).then_some(())
    });
    assert_eq!(gateway.get("/").status(), 503);
    let line = gateway.log_lines(1).remove(0);
    assert!(line.contains(" 503 plugin_exhausted "), "{line}");
    assert!(
        line.contains("plugin counts: all its instances are taken"),
        "{line}"
    );
    assert_eq!(gateway.metrics().plugins["counts"].exhausted, 1);
    // A place is free again as soon as a stream ends.
    drop(waiting);
    gateway.log_lines(3);
    assert_eq!(gateway.get("/").status(), 200);
}

#[test]
fn a_stream_without_an_instance_passes_a_filter_that_fails_open() {
    let origin = Origin::answers(200, "fine");
    let filter = isolated(counts())
        .fail_open()
        .with(|spec| spec.limits.instances = 1);
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut waiting = gateway.client();
    waiting.send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("it is taken", || {
        (gateway.metrics().plugins.get("counts")?.gauges.paused == 1).then_some(())
    });
    let response = gateway.get("/");
    assert_eq!((response.status(), response.field("x-count")), (200, None));
}

#[test]
fn many_streams_at_once_each_get_an_instance() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&isolated(counts()))
        .workers(2)
        .start();
    let mut clients: Vec<_> = (0..40).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    for client in &mut clients {
        let response = client.response();
        assert_eq!(
            (response.status(), response.field("x-count")),
            (200, Some("1"))
        );
    }
}

#[test]
fn a_stream_that_outlives_a_change_still_gets_an_instance_of_the_version_it_began_with() {
    let origin = Origin::answers(200, "fine");
    let holds = Wasm::wat(
        "holds",
        r#"(import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
        (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
        (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#,
        r#"(global $waiting (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param $context i32) (param i32 i32) (result i32)
            (global.set $waiting (local.get $context))
            (drop (call $tick (i32.const 1500)))
            (i32.const 1))
        (func (export "proxy_on_tick") (param i32)
            (drop (call $effective (global.get $waiting)))
            (drop (call $continue (i32.const 0))))"#,
    );
    let mut gateway = Gateway::to(origin.address())
        .plugin(&holds)
        .plugin(&isolated(counts()))
        .start();
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first filter holds it", || {
        (gateway.metrics().plugins.get("holds")?.gauges.paused == 1).then_some(())
    });
    gateway.change(Gateway::to(origin.address()));
    assert_eq!(client.response().field("x-count"), Some("1"));
}

const SERVICE: &str = r#"
    (import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $more (param i32 i64) (result i32)))"#;

/// A service that counts its ticks, and traps at the tick with this number.
fn ticks(trap_at: u32) -> Wasm {
    Wasm::wat(
        "ticks",
        SERVICE,
        &format!(
            r#"(data (i32.const 16) "ticks") (data (i32.const 32) "starts")
            (global $ticks (mut i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (drop (call $define (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 8)))
                (drop (call $define (i32.const 0) (i32.const 32) (i32.const 6) (i32.const 12)))
                (drop (call $more (i32.load (i32.const 12)) (i64.const 1)))
                (drop (call $tick (i32.const 3)))
                (i32.const 1))
            (func (export "proxy_on_tick") (param i32)
                (global.set $ticks (i32.add (global.get $ticks) (i32.const 1)))
                (drop (call $more (i32.load (i32.const 8)) (i64.const 1)))
                (if (i32.eq (global.get $ticks) (i32.const {trap_at})) (then (unreachable))))"#
        ),
    )
    .with(|spec| spec.kind = PluginKind::Service)
}

fn counter(gateway: &Gateway, name: &str) -> u64 {
    let metrics = gateway.metrics();
    let found = metrics
        .guests
        .iter()
        .find(|one| one.name == name.as_bytes());
    match found.map(|one| &one.value) {
        Some(tidegate_proxy::GuestMetricValue::Counter(count)) => *count,
        _ => 0,
    }
}

#[test]
fn a_service_runs_once_in_the_process_and_needs_no_traffic() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .service(&ticks(0))
        .workers(3)
        .start();
    eventually("ticks", || (counter(&gateway, "ticks") > 3).then_some(()));
    assert_eq!(counter(&gateway, "starts"), 1);
    eventually("the gauge", || {
        (gateway.metrics().plugins.get("ticks")?.gauges.instances == 1).then_some(())
    });
    assert_eq!(gateway.get("/").text(), "fine", "it is in nobody's path");
}

#[test]
fn a_service_that_traps_is_started_again_after_a_pause() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).service(&ticks(2)).start();
    eventually("a second start", || {
        (counter(&gateway, "starts") == 2).then_some(())
    });
    assert_eq!(
        counter(&gateway, "ticks"),
        2,
        "the pause is longer than many ticks"
    );
    let faults = gateway.metrics().plugin_faults;
    assert_eq!(faults.get(&("ticks".to_owned(), "trap")), Some(&1));
}

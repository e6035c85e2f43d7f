//! What plugins share, what they do not, and that the misdeeds of one cost others nothing.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Rule;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const SHARED: &str = r#"
    (import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_add_header_map_value"
        (func $add (param i32 i32 i32 i32 i32) (result i32)))"#;

/// A filter that writes shared data at its start, or shows what is there in `x-data`.
fn writes(vm_id: &str, namespace: &str) -> Wasm {
    Wasm::wat(
        "writes",
        SHARED,
        r#"(data (i32.const 16) "key") (data (i32.const 32) "value")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $set (i32.const 16) (i32.const 3) (i32.const 32) (i32.const 5) (i32.const 0)))
            (i32.const 0))"#,
    )
    .with(|spec| {
        vm_id.clone_into(&mut spec.vm_id);
        namespace.clone_into(&mut spec.namespace);
    })
}

fn reads(vm_id: &str, namespace: &str) -> Wasm {
    Wasm::wat(
        "reads",
        SHARED,
        r#"(data (i32.const 16) "key") (data (i32.const 32) "x-data")
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (if (i32.eqz (call $get (i32.const 16) (i32.const 3) (i32.const 64) (i32.const 68)
                                    (i32.const 72)))
                (then (drop (call $add (i32.const 2) (i32.const 32) (i32.const 6)
                    (i32.load (i32.const 64)) (i32.load (i32.const 68))))))
            (i32.const 0))"#,
    )
    .with(|spec| {
        vm_id.clone_into(&mut spec.vm_id);
        namespace.clone_into(&mut spec.namespace);
    })
}

#[test]
fn plugins_of_a_namespace_share_data_by_their_vm_id_and_with_nobody_else() {
    for (writer, reader, expected) in [
        (("shop", "a"), ("shop", "a"), Some("value")),
        (("shop", "a"), ("shop", "b"), None),
        (("shop", "a"), ("other", "a"), None),
        (("", "a"), ("", "a"), None),
    ] {
        let origin = Origin::answers(200, "fine");
        let gateway = Gateway::to(origin.address())
            .plugin(&writes(writer.0, writer.1))
            .plugin(&reads(reader.0, reader.1))
            .workers(2)
            .start();
        let response = gateway.get("/");
        assert_eq!(response.field("x-data"), expected, "{writer:?} {reader:?}");
    }
}

const QUEUE: &str = r#"
    (import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
    (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))
    (import "env" "proxy_define_metric" (func $define (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_increment_metric" (func $more (param i32 i64) (result i32)))"#;

/// A filter that queues an item for each request, counts those it reads when it is told of them, and
/// traps on a request with a body.
fn queues() -> Wasm {
    Wasm::wat(
        "queues",
        QUEUE,
        r#"(data (i32.const 16) "queue") (data (i32.const 32) "read")
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $register (i32.const 16) (i32.const 5) (i32.const 8)))
            (drop (call $define (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 12)))
            (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
            (if (i32.eqz (local.get $end)) (then (unreachable)))
            (drop (call $enqueue (i32.load (i32.const 8)) (i32.const 16) (i32.const 5)))
            (i32.const 0))
        (func (export "proxy_on_queue_ready") (param i32) (param $queue i32)
            (loop $next
                (if (i32.eqz (call $dequeue (local.get $queue) (i32.const 40) (i32.const 44)))
                    (then (drop (call $more (i32.load (i32.const 12)) (i64.const 1)))
                          (br $next)))))"#,
    )
}

fn items_read(gateway: &Gateway) -> u64 {
    let metrics = gateway.metrics();
    match metrics.guests.first().map(|one| &one.value) {
        Some(tidegate_proxy::GuestMetricValue::Counter(count)) => *count,
        _ => 0,
    }
}

#[test]
fn the_owner_of_a_queue_is_told_of_items_also_after_it_was_replaced() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&queues())
        .workers(2)
        .start();
    for _ in 0..5 {
        gateway.get("/");
    }
    eventually("five items", || (items_read(&gateway) == 5).then_some(()));
    for _ in 0..4 {
        assert_eq!(gateway.client().post("/", b"trap").status(), 503);
        gateway.get("/");
    }
    // One item may be left for a reader that was lost before it was told; the next one finds both.
    eventually("all items", || {
        gateway.get("/");
        (items_read(&gateway) >= 9).then_some(())
    });
}

/// A filter that queues three items for each request, and reads one whenever it is told of one.
fn queues_three() -> Wasm {
    Wasm::wat(
        "queues-three",
        QUEUE,
        r#"(data (i32.const 16) "queue") (data (i32.const 32) "read")
        (func $one (drop (call $enqueue (i32.load (i32.const 8)) (i32.const 16) (i32.const 5))))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $register (i32.const 16) (i32.const 5) (i32.const 8)))
            (drop (call $define (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 12)))
            (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $one) (call $one) (call $one)
            (i32.const 0))
        (func (export "proxy_on_queue_ready") (param i32) (param $queue i32)
            (if (i32.eqz (call $dequeue (local.get $queue) (i32.const 40) (i32.const 44)))
                (then (drop (call $more (i32.load (i32.const 12)) (i64.const 1))))))"#,
    )
}

#[test]
fn an_owner_that_reads_one_item_at_a_time_is_told_of_every_one() {
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address())
        .plugin(&queues_three())
        .workers(2)
        .start();
    // More than a worker tells an owner of in one go.
    for _ in 0..50 {
        gateway.get("/");
    }
    eventually("all items", || (items_read(&gateway) == 150).then_some(()));
}

#[test]
fn a_guest_that_feeds_its_own_queue_for_ever_holds_nobody_up() {
    let origin = Origin::answers(200, "fine");
    let feeds_itself = Wasm::wat(
        "feeds-itself",
        QUEUE,
        r#"(data (i32.const 16) "queue") (data (i32.const 32) "read")
        (func $one (drop (call $enqueue (i32.load (i32.const 8)) (i32.const 16) (i32.const 5))))
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $register (i32.const 16) (i32.const 5) (i32.const 8)))
            (drop (call $define (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 12)))
            (i32.const 1))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $one) (i32.const 0))
        (func (export "proxy_on_queue_ready") (param i32 i32)
            (drop (call $more (i32.load (i32.const 12)) (i64.const 1)))
            (call $one) (call $one))"#,
    );
    let gateway = Gateway::to(origin.address())
        .plugin(&feeds_itself)
        .workers(2)
        .start();
    gateway.get("/");
    eventually("it goes on and on", || {
        assert_eq!(gateway.get("/").text(), "fine");
        (items_read(&gateway) > 10_000).then_some(())
    });
}

/// A filter that does `harm` at the headers of every request.
fn harms(imports: &str, harm: &str) -> Wasm {
    Wasm::wat(
        "harms",
        imports,
        &format!(
            r#"(data (i32.const 16) "auth")
            (data (i32.const 32) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
            (data (i32.const 256) "{}")
            (func $harm (local $n i32) {harm})
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
                (call $harm) (i32.const 0))"#,
            "a line of a guest that talks and talks and talks ".repeat(4)
        ),
    )
}

/// Other streams, beside a filter that does its worst in every stream of a rule of its own, on the
/// same worker: none of them fails, and none waits much longer than the bad ones may take.
#[track_caller]
fn costs_others_nothing(filter: &Wasm) {
    let origin = Origin::answers(200, "fine");
    let silent = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let gateway = Gateway::to(origin.address())
        .backend("auth", silent.address())
        .rule(Rule::at("/bad").plugin(filter).to("origin", 1))
        .rule(Rule::at("/good").to("origin", 1))
        .start();
    let stop = Arc::new(AtomicBool::new(false));
    let address = gateway.address();
    let answered = Arc::new(AtomicU32::new(0));
    let bad = std::thread::spawn({
        let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
        move || {
            while !stop.load(Ordering::Relaxed) {
                let mut client = tidegate_testkit::client::Client::connect(address);
                client.get("/bad");
                answered.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut client = gateway.client();
    let mut longest = Duration::ZERO;
    let begun = Instant::now();
    let mut good = 0;
    let enough = |good: u32| good > 5 && answered.load(Ordering::Relaxed) > 5;
    // As many as there are in a moment; some of each on a busy machine too.
    while begun.elapsed() < Duration::from_millis(700) || !enough(good) {
        assert!(begun.elapsed() < Duration::from_secs(20), "{good} good");
        let before = Instant::now();
        let response = client.get("/good");
        longest = longest.max(before.elapsed());
        assert_eq!((response.status(), response.text().as_str()), (200, "fine"));
        good += 1;
    }
    stop.store(true, Ordering::Relaxed);
    bad.join().expect("the bad ones are answered");
    // One call time-out is 10 ms; the rest is a busy machine.
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

const CALL: &str = r#"(import "env" "proxy_http_call"
    (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
const LOG: &str = r#"(import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))"#;

#[test]
fn a_filter_that_loops_costs_others_nothing() {
    costs_others_nothing(&harms("", "(loop $for_ever (br $for_ever))"));
}

#[test]
fn a_filter_that_traps_costs_others_nothing() {
    costs_others_nothing(&harms("", "(unreachable)"));
}

#[test]
fn a_filter_that_eats_memory_costs_others_nothing() {
    costs_others_nothing(&harms(
        "",
        "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 64)) (i32.const -1)))) (unreachable)",
    ));
}

#[test]
fn a_filter_that_calls_without_end_costs_others_nothing() {
    costs_others_nothing(&harms(
        CALL,
        "(loop $more
            (drop (call $call (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 61)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 200) (i32.const 8)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 300))))",
    ));
}

#[test]
fn a_filter_that_logs_without_end_costs_others_nothing() {
    costs_others_nothing(&harms(
        LOG,
        "(loop $more
            (drop (call $log (i32.const 4) (i32.const 256) (i32.const 200)))
            (local.set $n (i32.add (local.get $n) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $n) (i32.const 2000))))",
    ));
}

#[test]
fn streams_whose_requests_use_up_their_time_are_not_blamed_on_others_of_the_same_filter() {
    let filter = Wasm::wat(
        "parses",
        r#"(import "env" "proxy_get_header_map_value"
            (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) ":path")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $get (i32.const 0) (i32.const 16) (i32.const 5) (i32.const 0) (i32.const 4)))
            (if (i32.eq (i32.load (i32.const 4)) (i32.const 4))
                (then (loop $for_ever (br $for_ever))))
            (i32.const 0))"#,
    );
    let origin = Origin::answers(200, "fine");
    let gateway = Gateway::to(origin.address()).plugin(&filter).start();
    let mut client = gateway.client();
    for _ in 0..12 {
        assert_eq!(client.get("/bad").status(), 503);
        assert_eq!(client.get("/").text(), "fine");
    }
}

//! Time limits.

use std::time::{Duration, Instant};

use tidegate_host_abi::{
    Engine, EngineConfig, FaultKind, Instance, Limits, Module, Plugin, PluginSpec,
};

use super::support::{
    FakeServices, FakeStreams, Run, at_headers, eventually, filter, plugin, raw, spec,
};

const LOOP: &str = "(loop $forever (br $forever))";

/// Far more than any deadline of these tests, for machines that are very busy.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn an_endless_loop_is_ended_by_the_deadline() {
    let mut run = Run::new(&at_headers(LOOP));
    let context = run.stream();
    let start = Instant::now();
    let fault = run.headers(context).unwrap_err();
    assert!(start.elapsed() < BOUND);
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert_eq!(fault.callback, "proxy_on_request_headers");
    assert!(
        fault
            .message
            .ends_with("ms of CPU time used, 10 ms allowed"),
        "{fault}"
    );
    assert!(run.instance.is_faulted());
}

#[test]
fn an_endless_recursion_of_calls_is_ended_too() {
    let mut run = Run::new(&filter(
        r#"(func $f (param i32) (call $g (local.get 0)))
           (func $g (param i32) (drop (call $proxy_get_log_level (i32.const 3000))))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (loop $forever (call $f (i32.const 1)) (br $forever)) (i32.const 0))"#,
    ));
    let context = run.stream();
    assert_eq!(run.headers(context).unwrap_err().kind, FaultKind::Deadline);
}

#[test]
fn a_slow_callback_within_its_time_goes_on() {
    // About a millisecond of work, again and again: each callback has a budget of its own.
    let work = r#"(local $i i32)
        (loop $more
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 300000))))"#;
    let limits = Limits {
        call_timeout: Duration::from_secs(5),
        ..Limits::default()
    };
    let mut run = Run::with(&at_headers(work), PluginSpec { limits, ..spec() });
    let context = run.stream();
    for _ in 0..100 {
        run.headers(context).unwrap();
    }
}

#[test]
fn an_allocator_that_loops_runs_on_the_time_that_is_left() {
    let guest = raw(&format!(
        r#"(func (export "proxy_abi_version_0_2_1"))
           (func (export "malloc") (param i32) (result i32) {LOOP} (unreachable))
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (drop (call $proxy_get_property @"plugin_name" @out)) (i32.const 0))"#
    ));
    let mut run = Run::new(&guest);
    let context = run.stream();
    let start = Instant::now();
    let fault = run.headers(context).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
    assert_eq!(fault.callback, "proxy_on_request_headers");
    assert!(start.elapsed() < BOUND);
}

#[track_caller]
fn check_start(guest: &[u8]) {
    let limits = Limits {
        start_timeout: Duration::from_millis(20),
        ..Limits::default()
    };
    let start = Instant::now();
    let plugins = [plugin(guest, PluginSpec { limits, ..spec() })];
    let error = Run::start(&plugins, std::sync::Arc::default())
        .err()
        .unwrap();
    assert_eq!(error.fault.unwrap().kind, FaultKind::Deadline);
    assert!(start.elapsed() < BOUND);
}

#[test]
fn every_step_of_a_start_is_limited() {
    check_start(&filter(&format!("(func $start {LOOP}) (start $start)")));
    check_start(&filter(&format!(r#"(func (export "_initialize") {LOOP})"#)));
    check_start(&filter(&format!(r#"(func (export "_start") {LOOP})"#)));
    check_start(&filter(&format!(
        r#"(func (export "proxy_on_context_create") (param i32 i32) {LOOP})"#
    )));
    for callback in ["proxy_on_vm_start", "proxy_on_configure"] {
        check_start(&filter(&format!(
            r#"(func (export "{callback}") (param i32 i32) (result i32) {LOOP} (unreachable))"#
        )));
    }
}

#[test]
fn the_steps_of_a_start_share_one_limit() {
    // Each plugin works a little; all together are over the limit.
    let work = r#"(local $i i32)
        (loop $more
            (local.set $i (i32.add (local.get $i) (i32.const 1)))
            (br_if $more (i32.lt_u (local.get $i) (i32.const 20000000))))"#;
    let guest = filter(&format!(
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) {work} (i32.const 1))"#
    ));
    let limits = Limits {
        start_timeout: Duration::from_millis(60),
        ..Limits::default()
    };
    let spec = |name: &str| PluginSpec {
        name: name.into(),
        limits: limits.clone(),
        ..spec()
    };
    let plugins: Vec<_> = (0..200)
        .map(|number| plugin(&guest, spec(&number.to_string())))
        .collect();
    let error = Run::start(&plugins, std::sync::Arc::default())
        .err()
        .unwrap();
    assert_eq!(error.fault.unwrap().kind, FaultKind::Deadline);
}

#[test]
fn a_loop_after_a_quiet_time_is_ended_all_the_same() {
    let engine = Engine::new(EngineConfig {
        instances: 2,
        ..EngineConfig::default()
    })
    .unwrap();
    let module = Module::compile(&engine, "loop", &at_headers(LOOP)).unwrap();
    let plugin = std::sync::Arc::new(Plugin::new(std::sync::Arc::new(module), spec()));
    let services = std::sync::Arc::new(FakeServices::default());
    let mut instance = Instance::start(&[plugin], services).unwrap();
    let mut streams = FakeStreams::default();
    let root = instance.root(0).unwrap();
    let context = instance.create_stream(&mut streams, root).unwrap();
    eventually(|| engine.is_idle());
    let fault = instance
        .on_request_headers(&mut streams, context, 0, true)
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
}

#[test]
fn a_loop_is_ended_after_the_embedder_dropped_the_engine() {
    let engine = Engine::new(EngineConfig {
        instances: 2,
        ..EngineConfig::default()
    })
    .unwrap();
    let module = Module::compile(&engine, "loop", &at_headers(LOOP)).unwrap();
    drop(engine);
    let plugin = std::sync::Arc::new(Plugin::new(std::sync::Arc::new(module), spec()));
    let services = std::sync::Arc::new(FakeServices::default());
    let mut instance = Instance::start(&[plugin], services).unwrap();
    let mut streams = FakeStreams::default();
    let root = instance.root(0).unwrap();
    let context = instance.create_stream(&mut streams, root).unwrap();
    let fault = instance
        .on_request_headers(&mut streams, context, 0, true)
        .unwrap_err();
    assert_eq!(fault.kind, FaultKind::Deadline);
}

//! The end of plugins that were taken out: what they still wait for does not keep them.

use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::PluginKind;
use tidegate_testkit::Gateway;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

const CALL: &str = r#"
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

/// What calls the backend `auth`.
const CALLS: &str = r#"
    (data (i32.const 16) "auth")
    (data (i32.const 32) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
    (func $again
        (drop (call $call (i32.const 16) (i32.const 4) (i32.const 32) (i32.const 61)
            (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 60000) (i32.const 4))))"#;

/// A filter whose first request begins calls that have no end: each answer makes the next one.
fn calls_for_ever() -> Wasm {
    let body = format!(
        r#"{CALLS}
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (call $again) (i32.const 0))
        (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32) (call $again))"#
    );
    Wasm::wat("calls-for-ever", CALL, &body)
}

/// A service that waits for the answer to a call.
fn waits_for_ever() -> Wasm {
    let body = format!(
        r#"{CALLS}
        (func (export "proxy_on_configure") (param i32 i32) (result i32)
            (call $again) (i32.const 1))"#
    );
    Wasm::wat("waits-for-ever", CALL, &body).with(|spec| spec.kind = PluginKind::Service)
}

#[test]
fn a_filter_whose_answers_make_new_calls_ends_all_the_same_once_it_is_taken_out() {
    let origin = Origin::answers(200, "fine");
    let auth = Origin::answers(200, "yes");
    let to = || Gateway::to(origin.address()).backend("auth", auth.address());
    let mut gateway = to().plugin(&calls_for_ever()).start();
    assert_eq!(gateway.get("/").text(), "fine");
    eventually("calls", || (auth.requests().len() > 3).then_some(()));
    gateway.change(to());
    eventually("it is on its way out", || {
        (gateway.metrics().retired_instances == 1).then_some(())
    });
    eventually("its end", || {
        (gateway.metrics().retired_instances == 0).then_some(())
    });
    let made = auth.requests().len();
    assert_eq!(gateway.get("/").text(), "fine");
    // The last one may have been on its way.
    assert!(auth.requests().len() <= made + 1, "no more calls are made");
}

#[test]
fn a_service_that_waits_for_an_answer_ends_at_once_when_it_is_taken_out() {
    let origin = Origin::answers(200, "fine");
    let silent = Origin::script(|connection| {
        connection.request()?;
        connection.wait_for_close()
    });
    let to = || Gateway::to(origin.address()).backend("auth", silent.address());
    let mut gateway = to().service(&waits_for_ever()).start();
    eventually("its call", || (silent.requests().len() == 1).then_some(()));
    let instances = |gateway: &Gateway| {
        let plugins = gateway.metrics().plugins;
        let numbers = plugins.get("waits-for-ever");
        numbers.map_or(0, |numbers| numbers.gauges.instances)
    };
    eventually("the gauge", || (instances(&gateway) == 1).then_some(()));
    gateway.change(to());
    let taken_out = Instant::now();
    eventually("its end", || {
        let metrics = gateway.metrics();
        (metrics.retired_instances == 0 && instances(&gateway) == 0).then_some(())
    });
    // A filter that waits like this has five seconds.
    assert!(taken_out.elapsed() < Duration::from_secs(4));
}

//! Plugins of every type and isolation from resources, and what the admin API tells of them.

use tidegate_testkit::Origin;
use tidegate_testkit::Port;
use tidegate_testkit::Wasm;
use tidegate_testkit::Wire;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;
use crate::process::route;
use crate::process::tidegate;

/// A filter with names of functions that traps on requests with a body and counts the others.
fn traps() -> Wasm {
    Wasm::wat(
        "traps",
        r#"(import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "x-count")
        (global $count (mut i32) (i32.const 48))
        (func $deep_inside (unreachable))
        (func $on_headers (export "proxy_on_request_headers") (param i32 i32) (param $end i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (if (i32.eqz (local.get $end)) (then (call $deep_inside)))
            (i32.const 0))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (i32.store8 (i32.const 32) (global.get $count))
            (drop (call $add (i32.const 2) (i32.const 16) (i32.const 7) (i32.const 32) (i32.const 1)))
            (i32.const 0))"#,
    )
}

fn ticks() -> Wasm {
    Wasm::wat(
        "ticks",
        r#"(import "env" "proxy_set_tick_period_milliseconds" (func $tick (param i32) (result i32)))"#,
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (drop (call $tick (i32.const 5))) (i32.const 1))
        (func (export "proxy_on_tick") (param i32))"#,
    )
}

fn plugin(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1\nkind: Plugin\nmetadata: {{ name: {name} }}\nspec:\n  source: {{ file: {name}.wasm }}\n{spec}"
    )
}

const ON_GATEWAY: &str =
    "  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]\n";

fn folder(origin: &Origin, traps_spec: &str) -> Folder {
    let folder = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("apples")),
        ("backend.yaml", &backend("apples", origin.address())),
        (
            "traps.yaml",
            &plugin("traps", &format!("{traps_spec}{ON_GATEWAY}")),
        ),
        ("ticks.yaml", &plugin("ticks", "  type: Service\n")),
    ]);
    folder.write("traps.wasm", traps().module());
    folder.write("ticks.wasm", ticks().module());
    folder
}

#[test]
fn the_last_fault_of_a_plugin_is_told_with_the_guests_call_stack() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin, "");
    let gateway = Running::start(&files, &[]);
    assert_eq!(gateway.get("/").field("x-count"), Some("1"));
    let address = gateway.address().expect("it listens");
    let mut client = tidegate_testkit::Client::connect(address);
    assert_eq!(client.post("/", b"trap").status(), 503);
    let page = gateway.json("/plugins");
    let found = |name: &str| {
        let plugins = page["plugins"].as_array().expect("a list");
        let one = plugins.iter().find(|one| one["name"] == name);
        one.cloned().unwrap_or_else(|| panic!("{name}: {page}"))
    };
    let fault = found("default/traps")["lastFault"].clone();
    assert_eq!(fault["kind"], "trap", "{page}");
    assert_eq!(fault["callback"], "proxy_on_request_headers", "{page}");
    let stack = fault["backtrace"].to_string();
    assert!(
        stack.contains("deep_inside") && stack.contains("on_headers"),
        "{stack}"
    );
    let line = gateway.logs("filter faulted");
    assert!(line.contains("deep_inside"), "{line}");
    assert_eq!(found("default/ticks")["type"], "Service");
    assert!(found("default/ticks")["lastFault"].is_null());
}

#[test]
fn what_plugins_use_is_in_the_metrics() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin, "");
    let gateway = Running::start(&files, &[]);
    for _ in 0..3 {
        assert_eq!(gateway.get("/").status(), 200);
    }
    let of = |metric: &str, plugin: &str, callback: &str| {
        gateway.metric(&format!(
            "tidegate_plugin_{metric}{{plugin=\"default/{plugin}\",callback=\"{callback}\"}}"
        ))
    };
    eventually("the calls", || {
        let calls = of("calls_total", "traps", "proxy_on_request_headers");
        (calls == Some(3.0)).then_some(())
    });
    let seconds = of("cpu_seconds_total", "traps", "proxy_on_request_headers");
    assert!(
        seconds.is_some_and(|it| it > 0.0 && it < 1.0),
        "{seconds:?}"
    );
    eventually("the service ticks", || {
        (of("calls_total", "ticks", "proxy_on_tick")? > 3.0).then_some(())
    });
    let gauge = |name: &str, plugin: &str| {
        gateway.metric(&format!(
            "tidegate_plugin_{name}{{plugin=\"default/{plugin}\"}}"
        ))
    };
    assert_eq!(gauge("instances", "ticks"), Some(1.0));
    assert!(gauge("memory_bytes", "ticks") >= Some(65536.0));
    assert_eq!(gauge("paused_streams", "traps"), Some(0.0));
    assert_eq!(gauge("open_calls", "traps"), Some(0.0));
}

#[test]
fn a_plugin_with_an_instance_for_each_stream_is_one_line_of_yaml() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin, "  isolation: Stream\n  limits: { instances: 8 }\n");
    let gateway = Running::start(&files, &[]);
    for _ in 0..6 {
        assert_eq!(gateway.get("/").field("x-count"), Some("1"));
    }
    assert_eq!(
        gateway.json("/config_dump")["plugins"][1]["isolation"],
        "Stream"
    );
}

#[test]
fn a_rule_cannot_name_a_service() {
    let origin = Origin::answers(200, "apples");
    let files = folder(&origin, "");
    let named = route("apples").replace(
        "backendRefs",
        "filters: [{ type: ExtensionRef, extensionRef: { group: tidegate.dev, kind: Plugin, name: ticks } }]\n      backendRefs",
    );
    files.write("route.yaml", named.as_bytes());
    let (code, out, err) = finish(tidegate().args(["check", "-c"]).arg(files.path()));
    assert_eq!(code, Some(1), "{out} {err}");
    let said = format!("{out}{err}");
    assert!(
        said.contains("the Plugin `ticks` is a service and filters no requests"),
        "{said}"
    );
}

#[test]
fn a_network_filter_of_a_listener_edits_the_bytes_of_its_connections() {
    let origin = Port::new();
    let mark = Wasm::wat(
        "mark",
        r#"(import "env" "proxy_set_buffer_bytes"
            (func $set (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 16) "!")
        (func (export "proxy_on_downstream_data") (param i32 i32 i32) (result i32)
            (drop (call $set (i32.const 2) (i32.const -1) (i32.const 0) (i32.const 16) (i32.const 1)))
            (i32.const 0))"#,
    );
    let files = Folder::of(&[
        (
            "gateway.yaml",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: { name: edge }\nspec:\n  gatewayClassName: tidegate\n  addresses: [{ value: 127.0.0.1 }]\n  listeners: [{ name: bytes, port: 0, protocol: TCP }]\n",
        ),
        (
            "route.yaml",
            "apiVersion: gateway.networking.k8s.io/v1\nkind: TCPRoute\nmetadata: { name: bytes }\nspec:\n  parentRefs: [{ name: edge }]\n  rules: [{ backendRefs: [{ group: tidegate.dev, kind: Backend, name: apples }] }]\n",
        ),
        ("backend.yaml", &backend("apples", origin.address())),
        (
            "mark.yaml",
            &plugin("mark", &format!("  type: Network\n{ON_GATEWAY}")),
        ),
    ]);
    files.write("mark.wasm", mark.module());
    let gateway = Running::start(&files, &[]);
    let mut client = Wire::connect(gateway.address().expect("it listens"));
    let mut server = origin.accept();
    client.send("up");
    server.expect("up!");
    server.send("down");
    client.expect("down");
    let page = gateway.json("/plugins");
    assert_eq!(page["plugins"][0]["type"], "Network", "{page}");
}

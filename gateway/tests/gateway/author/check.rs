//! `plugin check` and `plugin bench`, on modules written by hand.

use std::path::PathBuf;

use serde_json::Value;

use super::Done;
use super::plugin;

const MANIFEST: &str = r#"{"name":"gate","version":"1.2.0","sdk":"0.1.0","description":"Counts.","kind":"http",
    "needs":["stopIteration"],"capabilities":["dns"],
    "configSchema":{"type":"object","additionalProperties":false,"required":["limit"],
        "properties":{"limit":{"type":"integer","minimum":1,"description":"How many."}}}}"#;

/// A filter with these imports that takes any configuration but an empty one.
fn filter(imports: &str, manifest: &str) -> (tempfile::TempDir, PathBuf) {
    let text = format!(
        r#"(module {imports}
            (@custom "tidegate.manifest" {manifest:?})
            (memory (export "memory") 2 9)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (i32.ne (local.get 1) (i32.const 0)))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0)))"#
    );
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("gate.wasm");
    std::fs::write(&file, wat::parse_str(text).expect("WAT")).expect("written");
    (folder, file)
}

#[test]
fn a_module_is_described_with_what_it_needs_and_where_it_runs() {
    let imports = r#"(import "env" "proxy_http_call" (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let (folder, _) = filter(imports, MANIFEST);
    let page = Done::of(&mut plugin(folder.path(), &["check", "gate.wasm"])).well();
    for said in [
        "gate.wasm: Proxy-Wasm 0.2.1; gate 1.2.0 filters requests, made with SDK 0.1.0: Counts.",
        "memory         128 KiB at the start, at most 576 KiB",
        "imports        1 that are there: proxy_http_call",
        "needs          stopIteration",
        "capabilities   backends: it calls backends",
        "capabilities   dns: it looks names up",
        "configuration  limit: integer, at least 1, required. How many.",
        "envoy          it reads bodies while it holds headers back: set allow_on_headers_stop_iteration",
        "istio          a WasmPlugin cannot set allow_on_headers_stop_iteration",
        "it serves here; with --config it is also started",
    ] {
        assert!(page.contains(said), "{said:?} in {page}");
    }
}

#[test]
fn a_configuration_is_checked_at_its_line_and_column_and_then_tried() {
    let (folder, _) = filter("", MANIFEST);
    std::fs::write(
        folder.path().join("bad.yaml"),
        "# ours\nlimt: 3\nlimit: 0\n",
    )
    .expect("written");
    let args = ["check", "gate.wasm", "--config", "@bad.yaml"];
    let done = Done::of(&mut plugin(folder.path(), &args));
    assert_eq!(done.code, Some(1), "{}", done.err);
    let page = done.out;
    assert!(
        page.contains("bad.yaml:2:1: error: ") && page.contains("did you mean `limit`?"),
        "{page}"
    );
    assert!(page.contains("bad.yaml:3:8: error: "), "{page}");
    assert!(page.ends_with("it does not serve here\n"), "{page}");

    let args = ["check", "gate.wasm", "--config", r#"{"limit": 3}"#];
    let page = Done::of(&mut plugin(folder.path(), &args)).well();
    assert!(
        page.contains("it starts with this configuration, and serves here"),
        "{page}"
    );
}

#[test]
fn what_is_missing_is_named_and_programs_read_it_as_json() {
    let imports = r#"(import "env" "proxy_rewind" (func (param i32)))
        (import "env" "clock_time_get" (func (param i32 i64 i32) (result i32)))"#;
    let (folder, _) = filter(imports, "{}");
    let args = ["check", "gate.wasm", "--format", "json"];
    let done = Done::of(&mut plugin(folder.path(), &args));
    assert_eq!(done.code, Some(1), "{}", done.err);
    let page: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!(page["serves"], false);
    assert_eq!(page["imports"][0]["here"], "missing");
    assert_eq!(
        page["imports"][1]["fault"],
        "missing; it is in wasi_snapshot_preview1"
    );
    let error = page["errors"][0].as_str().expect("a text");
    assert!(error.contains("env.proxy_rewind: unknown"), "{error}");
    let notes = page["notes"].as_array().expect("a list");
    assert!(
        notes
            .iter()
            .any(|note| note["host"] == "envoy" && note["obstacle"] == true),
        "{page}"
    );
}

#[test]
fn what_is_no_module_is_said_to_be_none_and_wrong_usage_is_two() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("x.wasm"), "hello").expect("written");
    let err = Done::of(&mut plugin(folder.path(), &["check", "x.wasm"])).badly(1);
    assert!(
        err.contains("error: x.wasm: not a WebAssembly module"),
        "{err}"
    );
    let err = Done::of(&mut plugin(folder.path(), &["check", "gone.wasm"])).badly(1);
    assert!(err.contains("gone.wasm"), "{err}");
    Done::of(&mut plugin(folder.path(), &["check"])).badly(2);
}

#[test]
fn a_bench_has_a_line_a_phase_and_says_what_keeps_it_from_one() {
    let (folder, _) = filter("", MANIFEST);
    let args = [
        "bench",
        "gate.wasm",
        "--config",
        "limit: 3",
        "--time",
        "10ms",
    ];
    let page = Done::of(&mut plugin(folder.path(), &args)).well();
    let phases = [
        "start of a stream",
        "request headers",
        "request body",
        "response headers",
        "response body",
        "end: ",
        "all of it",
    ];
    for phase in phases {
        let line = page.lines().find(|line| line.starts_with(phase));
        let numbers = line.unwrap_or_default().split_whitespace().rev().take(3);
        let numbers: Vec<Result<u64, _>> = numbers.map(str::parse).collect();
        assert!(
            numbers.len() == 3 && numbers.iter().all(Result::is_ok),
            "{phase}: {page}"
        );
    }
    let refused = [
        "bench",
        "gate.wasm",
        "--config",
        "limit: 0",
        "--time",
        "10ms",
    ];
    let err = Done::of(&mut plugin(folder.path(), &refused)).badly(1);
    assert!(err.contains("--config:1:8"), "{err}");
    let refused = ["bench", "gate.wasm", "--time", "10ms"];
    let err = Done::of(&mut plugin(folder.path(), &refused)).badly(1);
    assert!(err.contains("it refused its configuration"), "{err}");

    let waits = wat::parse_str(
        r#"(module (memory (export "memory") 1)
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 0))
            (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1)))"#,
    );
    std::fs::write(folder.path().join("waits.wasm"), waits.expect("WAT")).expect("written");
    let args = ["bench", "waits.wasm", "--time", "10ms"];
    let page = Done::of(&mut plugin(folder.path(), &args)).well();
    assert!(
        page.contains("it waits for something (request headers)"),
        "{page}"
    );
    let wrong = ["bench", "waits.wasm", "--answer", "yes"];
    let err = Done::of(&mut plugin(folder.path(), &wrong)).badly(2);
    assert!(err.contains("expected a status from 200 to 599"), "{err}");
}

/// A filter that calls the backend `b` for each request, and lets it go on once there is an answer.
/// The length of the header block and its text: three pairs.
const CALLS: &str = r#"(module
    (import "env" "proxy_http_call" (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_set_effective_context" (func $focus (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (memory (export "memory") 1)
    (global $stream (mut i32) (i32.const 0))
    (data (i32.const 0) "b")
    (data (i32.const 16) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00b\00")
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 4096))
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (global.set $stream (local.get 0))
        (drop (call $call (i32.const 0) (i32.const 1) (i32.const 16) (i32.const 61)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 1000) (i32.const 512)))
        (i32.const 1))
    (func (export "proxy_on_http_call_response") (param i32 i32 i32 i32 i32)
        (drop (call $focus (global.get $stream)))
        (drop (call $continue (i32.const 0)))))"#;

#[test]
fn a_bench_answers_calls_if_it_is_told_how() {
    let folder = tempfile::tempdir().expect("a folder");
    let module = wat::parse_str(CALLS).expect("WAT");
    std::fs::write(folder.path().join("calls.wasm"), module).expect("written");
    let args = ["bench", "calls.wasm", "--time", "10ms"];
    let page = Done::of(&mut plugin(folder.path(), &args)).well();
    assert!(page.contains("only with --answer STATUS"), "{page}");
    let args = [
        "bench",
        "calls.wasm",
        "--time",
        "10ms",
        "--answer",
        "200 {}",
    ];
    let page = Done::of(&mut plugin(folder.path(), &args)).well();
    assert!(page.contains(" calls to backends were answered"), "{page}");
    assert!(!page.contains("it waits"), "{page}");
    let body = page.lines().find(|line| line.starts_with("response body"));
    assert!(body.is_some_and(|line| !line.ends_with('-')), "{page}");
}

//! What versions may have that serve in the place of newer ones.

use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use super::*;

/// A version that asks the backend `apples`, and answers with `first` plus what came of asking: 0 if it
/// may.
fn asking(first: u16) -> Vec<u8> {
    let imports = r#"
        (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_http_call"
            (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let body = format!(
        r#"(data (i32.const 16) "apples")
        (data (i32.const 32) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\01\00\00\00\0a\00\00\00\01\00\00\00:method\00GET\00:path\00/\00:authority\00a\00")
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer
                (i32.add (i32.const {first}) (call $call (i32.const 16) (i32.const 6)
                    (i32.const 32) (i32.const 61) (i32.const 0) (i32.const 0) (i32.const 0)
                    (i32.const 0) (i32.const 1000) (i32.const 8)))
                (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#
    );
    Wasm::wat("stamp", imports, &body).module().to_vec()
}

#[test]
fn a_backend_that_is_withdrawn_is_withdrawn_from_the_version_that_serves_on() {
    let (folder, _origin) = folder("  allow: { backends: [apples] }\n");
    folder.write("stamp.wasm", &asking(220));
    let gateway = Running::start_with(folder.path(), &[]);
    assert_eq!(gateway.get("/").status(), 220);
    folder.write("stamp.wasm", b"broken");
    gateway.logs("the version before it serves on");
    assert_eq!(gateway.get("/").status(), 220, "nothing was withdrawn");
    folder.write("plugin.yaml", plugin("").as_bytes());
    gateway.logs("without what the Plugin gives no longer: backend default/apples");
    let status = gateway.get("/").status();
    assert!((221..=232).contains(&status), "{status}: it may not ask");
    // The next version that works may not either, and one that may again does.
    folder.write("stamp.wasm", &asking(240));
    eventually("the next version", || {
        let status = gateway.get("/").status();
        (241..=252).contains(&status).then_some(())
    });
    let plugin = plugin("  allow: { backends: [apples] }\n");
    folder.write("plugin.yaml", plugin.as_bytes());
    eventually("its right", || {
        (gateway.get("/").status() == 240).then_some(())
    });
}

/// A version that does not start without a variable, and answers 201.
fn needing_a_variable() -> Vec<u8> {
    let imports = r#"
        (import "env" "proxy_send_local_response"
            (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "environ_sizes_get"
            (func $sizes (param i32 i32) (result i32)))"#;
    let body = r#"
        (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
            (drop (call $sizes (i32.const 16) (i32.const 20)))
            (i32.load (i32.const 16)))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $answer (i32.const 201) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#;
    Wasm::wat("stamp", imports, body).module().to_vec()
}

#[test]
fn a_version_that_needs_a_variable_serves_again_once_that_is_given_again() {
    let given = "  env: [{ name: KEY, value: secret }]\n";
    let (folder, _origin) = folder(given);
    folder.write("stamp.wasm", &needing_a_variable());
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let mut gateway = Running::start_with(folder.path(), &args);
    let serves = |gateway: &Running, status: u16| {
        eventually(&format!("{status}"), || {
            (gateway.get("/").status() == status).then_some(())
        });
    };
    let withdraw = || folder.write("plugin.yaml", plugin("").as_bytes());
    let give = || folder.write("plugin.yaml", plugin(given).as_bytes());
    serves(&gateway, 201);
    folder.write("stamp.wasm", b"broken");
    gateway.logs("the version before it serves on");
    assert_eq!(gateway.get("/").status(), 201, "nothing was withdrawn");
    withdraw();
    serves(&gateway, 503);
    // Asked for everything again.
    assert_eq!(gateway.admin("POST /reload").status(), 409);
    assert_eq!(gateway.get("/").status(), 503);
    give();
    serves(&gateway, 201);
    withdraw();
    serves(&gateway, 503);
    // One that is wrong itself gives nothing back, also over a restart.
    let reloaded = gateway.generation();
    folder.write("plugin.yaml", plugin("  wrong: field\n").as_bytes());
    gateway.logs("wrong");
    assert!(gateway.generation() >= reloaded);
    assert_eq!(gateway.get("/").status(), 503);
    gateway.kill();
    let gateway = Running::start_with(folder.path(), &args);
    assert_eq!(gateway.get("/").status(), 503);
    give();
    serves(&gateway, 201);
}

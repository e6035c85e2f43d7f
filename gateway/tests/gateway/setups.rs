//! Plugins that set themselves up: their versions serve once that is done, and not if it fails.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use tidegate_proxy::StartError;
use tidegate_testkit::Gateway;
use tidegate_testkit::Latch;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;
use tidegate_testkit::gateway::Builder;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;

/// A filter that asks the backend `keys` before it serves. An answer of five bytes is good, any
/// other refuses. It adds the response header `x-by`.
pub(crate) fn keyed(by: &str) -> Wasm {
    Wasm::wat(
        "keyed",
        r#"(import "env" "proxy_call_foreign_function"
            (func $foreign (param i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_http_call"
            (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
        (import "env" "proxy_add_header_map_value"
            (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        &format!(
            r#"(data (i32.const 16) "x-by") (data (i32.const 32) "{by}")
            (data (i32.const 64) "tidegate.setup_pending")
            (data (i32.const 96) "tidegate.setup_done")
            (data (i32.const 128) "there are no keys")
            (data (i32.const 160) "keys")
            (data (i32.const 192) "\03\00\00\00\07\00\00\00\03\00\00\00\05\00\00\00\05\00\00\00\0a\00\00\00\04\00\00\00:method\00GET\00:path\00/keys\00:authority\00keys\00")
            (func (export "proxy_on_configure") (param i32 i32) (result i32)
                (if (call $foreign (i32.const 64) (i32.const 22) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0))
                    (then (return (i32.const 0))))
                (i32.eqz (call $call (i32.const 160) (i32.const 4) (i32.const 192) (i32.const 68)
                    (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 60000) (i32.const 320))))
            (func (export "proxy_on_http_call_response") (param i32 i32 i32) (param $body i32) (param i32)
                (drop (call $foreign (i32.const 96) (i32.const 19)
                    (i32.const 128) (select (i32.const 0) (i32.const 17) (i32.eq (local.get $body) (i32.const 5)))
                    (i32.const 0) (i32.const 0))))
            (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
                (drop (call $add (i32.const 2) (i32.const 16) (i32.const 4) (i32.const 32) (i32.const {})))
                (i32.const 0))"#,
            by.len()
        ),
    )
}

fn with_keys(origin: &Origin, keys: &Origin, by: &str) -> Builder {
    Gateway::to(origin.address())
        .backend("keys", keys.address())
        .may_call(&["keys"])
        .workers(2)
        .plugin(&keyed(by))
}

#[test]
fn a_plugin_is_set_up_on_every_worker_before_it_serves() {
    let origin = Origin::answers(200, "apples");
    let keys = Origin::answers(200, "keys!");
    let gateway = with_keys(&origin, &keys, "one").start();
    assert_eq!(keys.requests().len(), 2, "one for each worker");
    assert_eq!(gateway.get("/").field("x-by"), Some("one"));
    assert_eq!(keys.requests().len(), 2);
}

#[test]
fn the_version_before_serves_while_the_new_one_sets_itself_up() {
    let origin = Origin::answers(200, "apples");
    let latch = Latch::default();
    let (opened, asked) = (latch.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    let slow = Origin::script(move |connection| {
        while connection.request().is_ok() {
            counted.fetch_add(1, Ordering::SeqCst);
            opened.wait();
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nkeys!")?;
        }
        Ok(())
    });
    let keys = Origin::answers(200, "keys!");
    let mut gateway = with_keys(&origin, &keys, "one").start();
    let mut client = gateway.client();
    let change = with_keys(&origin, &slow, "two");
    std::thread::scope(|threads| {
        let changing = threads.spawn(|| gateway.change(change));
        eventually("the new version asks on both workers", || {
            (asked.load(Ordering::SeqCst) == 2).then_some(())
        });
        assert_eq!(client.get("/").field("x-by"), Some("one"));
        latch.open();
        changing.join().expect("it is taken");
    });
    assert_eq!(client.get("/").field("x-by"), Some("two"));
}

#[test]
fn a_setup_that_fails_leaves_the_version_before_in_service() {
    let origin = Origin::answers(200, "apples");
    let (good, bad) = (Origin::answers(200, "keys!"), Origin::answers(200, "no"));
    let mut gateway = with_keys(&origin, &good, "one").start();
    let refused = gateway.try_change(with_keys(&origin, &bad, "two"));
    let Err(StartError::Plugin { plugin, source }) = refused else {
        panic!("it is taken: {refused:?}");
    };
    assert_eq!(plugin, "keyed");
    assert_eq!(source.log, ["there are no keys"]);
    assert_eq!(gateway.get("/").field("x-by"), Some("one"));
    gateway.change(with_keys(&origin, &good, "three"));
    assert_eq!(gateway.get("/").field("x-by"), Some("three"));
}

#[test]
fn a_backend_that_is_down_fails_a_setup_and_a_gateway_does_not_start_with_it() {
    let origin = Origin::answers(200, "apples");
    let refused = Gateway::to(origin.address())
        .backend("keys", Origin::nowhere())
        .may_call(&["keys"])
        .plugin(&keyed("one"))
        .try_start();
    assert!(matches!(refused, Err(StartError::Plugin { .. })));
}

/// Files of a gateway whose filter asks the backend `keys` before it serves.
fn files_with_keys(origin: &Origin, keys: &Origin) -> Folder {
    let plugin = "apiVersion: tidegate.dev/v1alpha1\nkind: Plugin\nmetadata: { name: keyed }\nspec:\n  source: { file: keyed.wasm }\n  allow: { backends: [keys] }\n  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]\n";
    let files = Folder::of(&[
        ("gateway.yaml", GATEWAY),
        ("route.yaml", &route("apples")),
        ("backend.yaml", &backend("apples", origin.address())),
        ("keys.yaml", &backend("keys", keys.address())),
        ("plugin.yaml", plugin),
    ]);
    files.write("keyed.wasm", keyed("files").module());
    files
}

/// A backend of keys, which has them as long as the switch is on.
fn keys_if(there: &Arc<AtomicBool>) -> Origin {
    let there = Arc::clone(there);
    Origin::script(move |connection| {
        while connection.request().is_ok() {
            let body = match there.load(Ordering::SeqCst) {
                true => "keys!",
                false => "no",
            };
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            ))?;
        }
        Ok(())
    })
}

#[track_caller]
fn is_by(gateway: &Running, by: &str) {
    eventually(&format!("{by} serves"), || {
        (gateway.get("/").field("x-by") == Some(by)).then_some(())
    });
}

#[test]
fn a_version_gone_back_to_by_hand_whose_setup_fails_changes_nothing_and_holds_nothing_up() {
    let origin = Origin::answers(200, "apples");
    let there = Arc::new(AtomicBool::new(true));
    let keys = keys_if(&there);
    let files = files_with_keys(&origin, &keys);
    let gateway = Running::start(&files, &[]);
    is_by(&gateway, "files");
    files.write("keyed.wasm", keyed("second").module());
    is_by(&gateway, "second");
    there.store(false, Ordering::SeqCst);
    let answer = gateway.admin("POST /plugins/default/keyed/rollback");
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert!(answer.text().contains("version 1"), "{}", answer.text());
    assert_eq!(gateway.get("/").field("x-by"), Some("second"));
    let told = gateway.json("/plugins");
    let told = &told["plugins"][0];
    assert!(told["held"].is_null(), "{told}");
    let moved = Origin::answers(200, "pears");
    files.write(
        "backend.yaml",
        backend("apples", moved.address()).as_bytes(),
    );
    eventually("another change is taken", || {
        (gateway.get("/").text() == "pears").then_some(())
    });
    assert_eq!(gateway.get("/").field("x-by"), Some("second"));
    there.store(true, Ordering::SeqCst);
    let answer = gateway.admin("POST /plugins/default/keyed/rollback");
    assert_eq!(answer.status(), 200, "{}", answer.text());
    assert_eq!(gateway.get("/").field("x-by"), Some("files"));
    // And the same of what is asked for: it is said that it does not serve.
    there.store(false, Ordering::SeqCst);
    let answer = gateway.admin("POST /plugins/default/keyed/resume");
    assert_eq!(answer.status(), 409, "{}", answer.text());
    assert_eq!(gateway.get("/").field("x-by"), Some("files"));
}

#[test]
fn a_start_from_the_state_folder_goes_on_without_a_plugin_whose_setup_fails_by_now() {
    let origin = Origin::answers(200, "apples");
    let there = Arc::new(AtomicBool::new(true));
    let keys = keys_if(&there);
    let files = files_with_keys(&origin, &keys);
    let state = tempfile::tempdir().expect("a folder");
    let args = ["--state-dir", state.path().to_str().expect("text")];
    let mut gateway = Running::start_with(files.path(), &args);
    is_by(&gateway, "files");
    gateway.kill();
    there.store(false, Ordering::SeqCst);
    let mut gateway = Running::start_with(files.path(), &args);
    gateway.logs("its setup failed");
    assert_eq!(gateway.get("/").status(), 503, "it fails closed");
    there.store(true, Ordering::SeqCst);
    gateway.signal("HUP");
    is_by(&gateway, "files");
    // The same if there is a newer one, which fails in the same words as the one before.
    gateway.kill();
    there.store(false, Ordering::SeqCst);
    files.write("keyed.wasm", keyed("second").module());
    let gateway = Running::start_with(files.path(), &args);
    gateway.logs("its setup failed");
    assert_eq!(gateway.get("/").status(), 503, "it fails closed");
    there.store(true, Ordering::SeqCst);
    gateway.signal("HUP");
    is_by(&gateway, "second");
}

#[test]
fn a_plugin_whose_setup_failed_is_said_at_its_place_and_serves_after_a_reload() {
    let origin = Origin::answers(200, "apples");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let keys = Origin::script(move |connection| {
        while connection.request().is_ok() {
            let body = match count.fetch_add(1, Ordering::SeqCst) {
                0 => "no",
                _ => "keys!",
            };
            let length = body.len();
            connection.send(format!(
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            ))?;
        }
        Ok(())
    });
    let files = files_with_keys(&origin, &keys);
    let gateway = Running::start(&files, &[]);
    let line = gateway.logs("its setup failed");
    assert!(line.contains("plugin.yaml:"), "{line}");
    assert_eq!(gateway.get("/").status(), 503);
    gateway.signal("HUP");
    eventually("it is set up at the second attempt", || {
        (gateway.get("/").field("x-by") == Some("files")).then_some(())
    });
}

//! Setups, what runs at intervals, and hosts that wait for neither.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use testing_keys::keyring;
use tidegate_sdk_testing::{Harness, Mode, Reply, get, mode, ms, not_in};

fn keyed(key: &str) -> tidegate_sdk_testing::Request {
    get("/").header("x-key", key)
}

#[test]
fn the_setup_is_done_before_the_first_request() {
    let mut h = Harness::new(keyring)
        .backend("keys", |_| Reply::text(200, "k1\nk2").after(ms(100)))
        .start();
    assert_eq!(h.send(keyed("k2")).status(), 200);
    assert_eq!(h.send(keyed("k3")).status(), 403);
    // Envoy starts a plugin on its main thread, too.
    let fetches = h.calls("keys").len();
    assert!(fetches == 1 || mode() == Mode::Envoy, "{fetches}");
}

#[test]
fn a_setup_that_fails_refuses_the_plugin_with_its_message() {
    if not_in(Mode::Envoy, "it does not wait for setups") {
        return;
    }
    let refused = Harness::new(keyring)
        .backend("keys", |_| Reply::status(500))
        .try_start();
    let why = refused.map(|_| ()).unwrap_err();
    let expected = "fetching keys: call to backend keys: it answered with status 500";
    assert!(why.contains(expected), "{why}");
    let refused = Harness::new(keyring).try_start();
    let why = refused.map(|_| ()).unwrap_err();
    assert!(why.contains("knows no such backend"), "{why}");
}

#[test]
fn on_hosts_that_do_not_wait_for_setups_streams_do() {
    if not_in(Mode::Wasm, "it waits for setups") {
        return;
    }
    let works = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&works);
    let mut h = Harness::new(keyring)
        .backend("keys", move |_| match asked.load(Ordering::Relaxed) {
            false => Reply::status(500).after(ms(400)),
            true => Reply::text(200, "k1").after(ms(400)),
        })
        .on_other_hosts()
        .start();
    let first = h.begin(keyed("k1"));
    assert!(!first.so_far().has_begun());
    let res = first.finish();
    assert_eq!(res.status(), 503);
    assert!(h.logged("not set up"), "{:?}", h.logs());
    works.store(true, Ordering::Relaxed);
    h.advance(ms(1600));
    assert_eq!(h.send(keyed("k1")).status(), 200);
}

#[test]
fn a_job_runs_at_its_interval_and_its_failures_change_nothing() {
    if not_in(Mode::Envoy, "minutes pass") {
        return;
    }
    let asked = AtomicUsize::new(0);
    let mut h = Harness::new(keyring)
        .backend("keys", move |_| {
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => Reply::text(200, "k1"),
                1 => Reply::text(200, "k2\nk3"),
                _ => Reply::status(500),
            }
        })
        .start();
    assert_eq!(h.send(keyed("k1")).status(), 200);
    h.advance(Duration::from_secs(29));
    assert_eq!(h.calls("keys").len(), 1);
    h.advance(Duration::from_secs(2));
    h.wait_for("the second fetch", |h| h.metric("keys") == 2);
    assert_eq!(h.send(keyed("k1")).status(), 403);
    assert_eq!(h.send(keyed("k3")).status(), 200);
    h.advance(Duration::from_secs(31));
    h.wait_for("the message", |h| h.logged("refresh failed: fetching keys"));
    assert_eq!(h.send(keyed("k3")).status(), 200);
}

//! What the harness says when a test is wrong, or a filter leaks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use testing_corners::corners;
use testing_edits::edits;
use tidegate_sdk_testing::{Harness, Mode, Reply, get, mode, post};

/// The message with which `test` fails.
fn failure(test: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(test)).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()))
        .unwrap_or_default()
}

#[test]
fn a_plugin_that_does_not_start_fails_the_test_with_its_message() {
    let why = failure(|| drop(Harness::new(edits).start()));
    assert!(why.contains("testing-edits does not start"), "{why}");
    assert!(why.contains("key"), "{why}");
}

#[test]
fn an_answer_that_never_comes_fails_the_test_with_the_filters_log() {
    if mode() != Mode::Native {
        return;
    }
    let why = failure(|| {
        let mut h = Harness::new(corners).app(|_| Reply::never()).start();
        h.send(get("/next"));
    });
    assert!(why.contains("waited in vain for the answer"), "{why}");
}

#[test]
fn a_task_that_never_ends_is_a_leak_unless_it_is_meant_to() {
    if mode() != Mode::Native {
        return;
    }
    let why = failure(|| {
        let mut h = Harness::new(corners).start();
        assert_eq!(h.send(get("/leak")).status(), 200);
    });
    let expected = "testing-corners leaks: 1 background tasks do not end";
    assert!(why.contains(expected), "{why}");
    let mut h = Harness::new(corners).endless_tasks(1).start();
    assert_eq!(h.send(get("/leak")).status(), 200);
}

#[test]
fn a_condition_that_does_not_come_true_fails_with_what_was_waited_for() {
    if mode() != Mode::Native {
        return;
    }
    let mut h = Harness::new(corners).start();
    let why = failure(|| h.wait_for("a miracle", |_| false));
    assert!(why.contains("waited in vain for a miracle"), "{why}");
}

#[test]
fn a_request_that_streams_cannot_be_sent_at_once() {
    let mut h = Harness::new(corners).start();
    let why = failure(|| drop(h.send(post("/").streaming())));
    assert!(why.contains("use `begin`"), "{why}");
}

#[test]
fn a_closed_connection_has_no_status() {
    let mut h = Harness::new(corners)
        .app(|_| Reply::status(200).chunks(["x"]).cut())
        .start();
    let res = h.send(get("/"));
    assert_eq!(res.status(), 200);
    let none = tidegate_sdk_testing::Answer::default();
    let why = failure(|| {
        let _status = none.status();
    });
    assert!(why.contains("closed before one began"), "{why}");
}

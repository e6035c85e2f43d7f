//! What happens if the service does not answer, or answers what is no answer.

use std::time::Duration;

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{Builder, Harness, LogLine, Mode, Reply, get, json, mode, ms};

use super::service::{Answer, OK, OVER_LIMIT};

/// A limit of 2 in an hour if this gateway has to count.
fn limit(failure_mode: &str, timeout: &str) -> Value {
    let store = json!({"rls": {"backend": "limiter", "domain": "edge", "timeout": timeout}});
    json!({
        "name": "global", "key": ["path"], "requests": 2, "window": "1h", "store": store,
        "failureMode": failure_mode,
    })
}

fn with(failure_mode: &str, timeout: &str) -> Builder {
    Harness::new(rate_limit).config(json!({"limits": [limit(failure_mode, timeout)]}))
}

/// Sends three requests while the service fails so, in each failure mode.
fn fails(what: &str, timeout: &str, serve: impl Fn(Builder) -> Builder) {
    for (failure_mode, expected) in [
        ("local", [200, 200, 429]),
        ("open", [200, 200, 200]),
        ("closed", [503, 503, 503]),
    ] {
        let mut h = serve(with(failure_mode, timeout)).start();
        for expected in expected {
            let res = h.send(get("/"));
            assert_eq!(res.status(), expected, "{what}: {failure_mode}");
            assert_eq!(
                res.header("x-envoy-ratelimited"),
                None,
                "{what}: {failure_mode}"
            );
        }
        assert_eq!(
            h.metric("rate_limit_unavailable_global"),
            3,
            "{what}: {failure_mode}"
        );
        assert!(h.logged("does not answer"), "{what}: {:?}", h.logs());
    }
}

/// A service that answers so, one after the other.
fn answers(replies: Vec<(&'static str, Reply)>) {
    let mut next = replies.clone().into_iter();
    let mut h = with("closed", "5s")
        .grpc_backend("limiter", move |_| match next.next() {
            Some((_, reply)) => reply,
            None => Answer::new(OK).reply(),
        })
        .start();
    for (number, (what, _)) in (1..).zip(&replies) {
        let res = h.send(get("/"));
        assert_eq!(res.status(), 503, "{what}");
        assert_eq!(res.header("x-envoy-ratelimited"), None, "{what}");
        assert_eq!(h.metric("rate_limit_unavailable_global"), number, "{what}");
    }
    assert!(h.logged("does not answer"), "{:?}", h.logs());
    assert_eq!(h.send(get("/")).status(), 200);
}

#[test]
fn a_service_that_is_down_is_done_without() {
    fails("down", "5s", |builder| builder.backend_down("limiter"));
}

#[test]
fn a_backend_that_the_plugin_may_not_call_is_as_one_that_is_down() {
    let mut h = with("closed", "5s").start();
    assert_eq!(h.send(get("/")).status(), 503);
    assert!(h.logged("knows no such backend"), "{:?}", h.logs());
}

#[test]
fn a_service_that_is_slow_is_waited_for_up_to_the_timeout() {
    fails("slow", "50ms", |builder| {
        builder.grpc_backend("limiter", |_| Answer::new(OK).reply().after(ms(900)))
    });
}

#[test]
fn a_request_waits_no_longer_than_the_timeout() {
    let store = json!({"rls": {"backend": "limiter", "domain": "edge"}});
    let limit = json!({"key": ["path"], "store": store, "failureMode": "open"});
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [limit]}))
        .grpc_backend("limiter", |_| Reply::never())
        .start();
    let before = h.unix_time();
    assert_eq!(h.send(get("/")).status(), 200);
    check_waited(h.unix_time() - before, ms(20));
    assert!(h.logged("does not answer"), "{:?}", h.logs());
}

/// Whether that was a time-out of 20 ms, as far as time is exact.
#[track_caller]
fn check_waited(waited: Duration, expected: Duration) {
    // Envoy counts from when its loop woke up last, which may have been a while ago.
    assert!(waited >= expected || mode() == Mode::Envoy, "{waited:?}");
    // Elsewhere time is real, and the machine may be busy.
    let most = if mode() == Mode::Native {
        expected
    } else {
        Duration::from_secs(5)
    };
    assert!(waited <= most, "{waited:?}");
}

#[test]
fn a_service_that_breaks_off_or_is_none_is_done_without() {
    answers(vec![
        ("reset", Reply::reset()),
        ("cut", Answer::new(OK).reply().cut()),
        ("unimplemented", Reply::grpc_status(12, "unknown service")),
        ("unavailable", Reply::grpc_status(14, "")),
        ("not found", Reply::status(404)),
    ]);
}

#[test]
fn an_answer_that_is_none_is_done_without() {
    answers(vec![
        ("empty", Reply::grpc("")),
        ("garbage", Reply::grpc(b"\x0b\xff\xff")),
        ("cut message", Reply::grpc(b"\x08\x02\x12\x7f")),
        ("no frames", Reply::text(200, "fine")),
        ("code 0", Answer::new(0).reply()),
        ("code 3", Answer::new(3).reply()),
        ("a huge code", Answer::new(u64::MAX).reply()),
    ]);
}

#[test]
fn a_service_that_answers_again_is_believed_again() {
    let mut count = 0;
    let mut h = with("local", "5s")
        .grpc_backend("limiter", move |_| {
            count += 1;
            match count {
                1..=3 => Reply::grpc_status(14, "restarting"),
                4 => Answer::new(OK).reply(),
                _ => Answer::new(OVER_LIMIT).reply(),
            }
        })
        .start();
    for expected in [200, 200, 429, 200, 429] {
        assert_eq!(h.send(get("/")).status(), expected);
    }
    assert_eq!(h.metric("rate_limit_unavailable_global"), 3);
    assert!(h.logged("call to backend limiter: gRPC status 14: restarting"));
    assert_eq!(h.metric("rate_limit_rls_calls"), 5);
    assert_eq!(h.metric("rate_limit_rls_unreachable"), 3);
}

#[test]
fn a_service_that_fails_again_and_again_is_asked_by_one_request_once_in_a_while() {
    let mut count = 0;
    let mut h = with("open", "50ms")
        .grpc_backend("limiter", move |_| {
            count += 1;
            match count {
                1..=5 => Reply::never(),
                _ => Answer::new(OVER_LIMIT).reply(),
            }
        })
        .start();
    for _ in 0..5 {
        assert_eq!(h.send(get("/")).status(), 200);
    }
    assert_eq!(h.calls("limiter").len(), 5);
    assert_eq!(h.metric("rate_limit_rls_timeout"), 5);
    for _ in 0..5 {
        let status = h.send(get("/")).status();
        // Where time is real, the while may be over.
        assert!(status == 200 || mode() != Mode::Native, "{status}");
    }
    if mode() == Mode::Native {
        assert_eq!(h.metric("rate_limit_rls_skipped"), 5);
        assert_eq!(h.calls("limiter").len(), 5);
    }
    h.advance(ms(1100));
    assert_eq!(h.send(get("/")).status(), 429);
    assert_eq!(h.send(get("/")).status(), 429);
}

#[test]
fn a_charge_that_fails_is_said_and_changes_nothing() {
    let mut limit = limit("closed", "5s");
    limit["costFrom"] = json!({"responseHeader": "x-cost"});
    let mut first = true;
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [limit]}))
        .grpc_backend("limiter", move |_| match std::mem::take(&mut first) {
            true => Answer::new(OK).reply(),
            false => Reply::grpc_status(13, "no"),
        })
        .app(|_| Reply::status(200).header("x-cost", "9"))
        .start();
    assert_eq!(h.send(get("/")).status(), 200);
    h.wait_for("the log", |h| h.logged("cannot be charged"));
}

#[test]
fn charges_that_fail_again_and_again_are_said_once_in_a_while() {
    let mut limit = limit("closed", "5s");
    limit["costFrom"] = json!({"responseHeader": "x-cost"});
    let mut count = 0;
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [limit]}))
        .grpc_backend("limiter", move |_| {
            count += 1;
            match count % 2 {
                1 => Answer::new(OK).reply(),
                _ => Reply::grpc_status(13, "no"),
            }
        })
        .app(|_| Reply::status(200).header("x-cost", "9"))
        .start();
    for failed in 1..=3 {
        assert_eq!(h.send(get("/")).status(), 200);
        h.wait_for("the charge", |h| h.metric("rate_limit_rls_error") == failed);
    }
    let said = |it: &LogLine| it.text.contains("cannot be charged");
    assert_eq!(h.logs().iter().filter(|it| said(it)).count(), 1);
}

#[test]
fn a_request_waits_for_each_service_for_its_own_time() {
    let limit = |domain| {
        let store = json!({"rls": {"backend": "limiter", "domain": domain, "timeout": "20ms"}});
        json!({"name": domain, "key": ["path"], "store": store, "failureMode": "open"})
    };
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [limit("one"), limit("two"), limit("three")]}))
        .grpc_backend("limiter", |_| Reply::never())
        .start();
    let before = h.unix_time();
    assert_eq!(h.send(get("/")).status(), 200);
    check_waited(h.unix_time() - before, ms(60));
    assert_eq!(h.calls("limiter").len(), 3);
    for name in ["one", "two", "three"] {
        assert_eq!(h.metric(&format!("rate_limit_unavailable_{name}")), 1);
    }
}

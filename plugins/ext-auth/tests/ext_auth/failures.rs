//! A service that fails.

use ext_auth::ext_auth;
use tidegate_sdk_testing::{Harness, LogLevel, Received, Reply, get, json, ms};

use super::{config, start};

/// The ways in which a service can be bad, each at a path of its own.
fn bad(asked: &Received) -> Reply {
    match asked.path() {
        "/reset" => Reply::reset(),
        "/cut" => Reply::text(200, "never all of it").cut(),
        "/never" => Reply::never(),
        "/slow" => Reply::status(200).after(ms(1_800)),
        "/500" => Reply::text(500, "stack trace of the service"),
        "/503" => Reply::status(503).header("x-user", "root"),
        _ => Reply::status(200),
    }
}

const PATHS: [&str; 6] = ["/reset", "/cut", "/never", "/slow", "/500", "/503"];

#[test]
fn a_service_that_fails_lets_nobody_pass() {
    let mut h = start(&json!({"timeout": "600ms"}), bad);
    for path in PATHS {
        let res = h.send(get(path));
        assert_eq!(res.status(), 403, "{path}");
        assert!(!res.text().contains("stack trace"), "{path}");
    }
    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("ext_auth_error"), 6);
    assert_eq!(h.metric("ext_auth_denied_service_error"), 6);
    assert_eq!(h.metric("ext_auth_failure_mode_allowed"), 0);
    // It is said, and not for each request.
    let warned = h.logs_from(LogLevel::Warn);
    let said = warned.iter().filter(|it| it.text.contains("auth"));
    assert_eq!(said.count(), 1, "{warned:?}");
    assert_eq!(h.send(get("/good")).status(), 200);
}

#[test]
fn a_service_that_is_not_there_lets_nobody_pass_with_the_status_of_choice() {
    let mut h = Harness::new(ext_auth)
        .config(config(&json!({"statusOnError": 503})))
        .backend_down("auth")
        .start();
    assert_eq!(h.send(get("/")).status(), 503);
    assert!(h.app().requests().is_empty());
}

#[test]
fn if_failure_is_to_let_pass_the_backend_is_told_and_claims_are_taken_away() {
    let fields = json!({
        "timeout": "600ms",
        "failOpen": true,
        "headersToUpstreamOnAllow": ["x-user", "authorization"],
        "includeRequestHeadersInCheck": ["x-user"],
    });
    let mut h = start(&fields, bad);
    for path in PATHS {
        let req = get(path).bearer("t0k").header("x-user", "root");
        assert_eq!(h.send(req).status(), 200, "{path}");
        let seen = h.app().requests().pop().expect("it went on");
        let header = seen.headers().get_all("x-envoy-auth-failure-mode-allowed");
        assert_eq!(header, ["true"], "{path}");
        assert_eq!(seen.header("x-user"), None, "{path}");
        assert_eq!(seen.header("authorization").as_deref(), Some("Bearer t0k"));
    }
    assert_eq!(h.metric("ext_auth_failure_mode_allowed"), 6);
    assert_eq!(h.metric("ext_auth_denied"), 0);
    // A client cannot say that the service has failed.
    let req = get("/good").header("x-envoy-auth-failure-mode-allowed", "true");
    assert_eq!(h.send(req).status(), 200);
    let seen = h.app().requests().pop().expect("it went on");
    assert_eq!(seen.header("x-envoy-auth-failure-mode-allowed"), None);
}

#[test]
fn an_answer_of_megabytes_ends_well() {
    let mut h = start(&json!({}), |_: &Received| {
        Reply::text(401, "x".repeat(3 * 1024 * 1024))
    });
    // Tidegate takes no such answer of a call; Envoy does.
    let status = h.send(get("/")).status();
    assert!(matches!(status, 401 | 403), "{status}");
    assert!(h.app().requests().is_empty());
}

#[test]
fn odd_headers_of_an_answer_go_nowhere() {
    let fields = json!({"headersToUpstreamOnAllow": ["x-*"]});
    let mut h = start(&fields, |asked: &Received| match asked.path() {
        "/yes" => Reply::status(200)
            .header("x-empty", "")
            .header("x-bytes", b"caf\xc3\xa9")
            .header(
                "x-envoy-auth-headers-to-remove",
                ",, ,:authority,content-length,\"x\"",
            ),
        _ => Reply::status(403).header("keep-alive", "timeout=5"),
    });
    assert_eq!(h.send(get("/yes")).status(), 200);
    let seen = h.app().request();
    assert_eq!(seen.header("x-bytes").as_deref(), Some("café"));
    assert_eq!(seen.host(), "app.test");
    let res = h.send(get("/no"));
    assert_eq!((res.status(), res.header("keep-alive")), (403, None));
}

#[test]
fn requests_are_asked_about_beside_each_other_and_a_client_may_leave() {
    let mut h = start(&json!({"timeout": "2s"}), |asked: &Received| {
        let reply = match asked.path() {
            "/no" => Reply::status(401),
            _ => Reply::status(200),
        };
        reply.after(ms(100))
    });
    let (one, two, gone) = (
        h.begin(get("/yes")),
        h.begin(get("/no")),
        h.begin(get("/gone")),
    );
    gone.disconnect();
    assert_eq!(two.finish().status(), 401);
    assert_eq!(one.finish().status(), 200);
    assert_eq!(h.app().requests().len(), 1);
}

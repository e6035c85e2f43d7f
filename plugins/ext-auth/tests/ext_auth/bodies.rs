//! Bodies in the question.

use ext_auth::ext_auth;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Received, Reply, get, json, post};

use super::config;

/// A service that forbids bodies with a word in them.
fn start(body: &Value) -> Harness {
    Harness::new(ext_auth)
        .config(config(&json!({"includeRequestBodyInCheck": body})))
        .backend("auth", |asked: &Received| {
            match asked.text().contains("evil") {
                true => Reply::status(403),
                false => Reply::status(200),
            }
        })
        .stop_iteration()
        .start()
}

#[test]
fn the_service_judges_the_body_before_the_backend_sees_any_of_the_request() {
    let mut h = start(&json!({"maxRequestBytes": 10}));
    assert_eq!(h.send(post("/").chunks(["so ", "evil"])).status(), 403);
    assert!(h.app().requests().is_empty());
    assert_eq!(h.send(post("/").chunks(["so ", "good"])).status(), 200);
    assert_eq!(h.app().request().text(), "so good");
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.text(), "so good");
    assert_eq!(
        asked.header("x-envoy-auth-partial-body").as_deref(),
        Some("false")
    );
}

#[test]
fn a_body_over_the_limit_is_refused_unless_a_part_is_enough() {
    let mut h = start(&json!({"maxRequestBytes": 10}));
    assert_eq!(h.send(post("/").body("12345678901")).status(), 413);
    assert!(h.calls("auth").is_empty());
    assert_eq!(h.metric("ext_auth_denied_body_too_large"), 1);
    assert_eq!(h.send(post("/").body("1234567890")).status(), 200);

    let mut h = start(&json!({"maxRequestBytes": 10, "allowPartialMessage": true}));
    for body in ["1234567890", "12345678901", "1234567890 and evil things"] {
        assert_eq!(h.send(post("/").body(body)).status(), 200, "{body}");
        let asked = h.calls("auth").pop().expect("it was asked");
        assert_eq!(asked.body(), &body.as_bytes()[..10]);
        let is_part = (body.len() > 10).to_string();
        let said = asked.header("x-envoy-auth-partial-body");
        assert_eq!(said.as_deref(), Some(&*is_part), "{body}");
        assert_eq!(h.app().requests().pop().expect("it went on").text(), body);
    }
}

#[test]
fn without_a_body_nothing_is_said_of_one_whatever_the_client_says() {
    let mut h = start(&json!({"maxRequestBytes": 10}));
    let req = get("/").header("x-envoy-auth-partial-body", "true");
    assert_eq!(h.send(req).status(), 200);
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.header("x-envoy-auth-partial-body"), None);
}

#[test]
fn a_body_that_is_cut_anywhere_is_told_whole() {
    for seed in 0..4 {
        let mut h = start(&json!({"maxRequestBytes": "1KiB"}));
        h.split_bodies(seed);
        let body = "all good things ".repeat(20);
        assert_eq!(h.send(post("/").body(&body)).status(), 200);
        assert_eq!(h.calls("auth")[0].text(), body);
        assert_eq!(h.app().request().text(), body);
    }
}

#[test]
fn a_body_that_does_not_come_ends_the_wait() {
    let mut h = start(&json!({"maxRequestBytes": 10, "timeout": "50ms"}));
    let mut exchange = h.begin(post("/").streaming());
    exchange.chunk("so");
    exchange.wait_for_headers();
    assert_eq!(exchange.so_far().status(), 408);
    drop(exchange);
    assert!(h.calls("auth").is_empty());
    assert_eq!(h.metric("ext_auth_denied_body_timeout"), 1);
    assert!(h.app().requests().is_empty());
}

#[test]
fn a_host_that_shows_no_bodies_lets_nobody_pass_and_the_log_says_what_is_needed() {
    let body = json!({"maxRequestBytes": 10, "timeout": "50ms"});
    let mut h = Harness::new(ext_auth)
        .config(config(&json!({"includeRequestBodyInCheck": body})))
        .backend("auth", super::yes)
        .start();
    assert_eq!(h.send(post("/").body("hello")).status(), 408);
    assert!(h.logged("stopIteration"));
    assert!(h.app().requests().is_empty());
    // Requests without a body need nothing.
    assert_eq!(h.send(get("/")).status(), 200);
}

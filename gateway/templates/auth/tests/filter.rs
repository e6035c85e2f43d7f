//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::auth;
use tidegate_sdk_testing::{Harness, Received, Reply, get, json};

/// A service that knows one token.
fn service(asked: &Received) -> Reply {
    match asked.header("authorization").as_deref() {
        Some("Bearer good") => Reply::status(200).header("x-user", "ada"),
        Some("Bearer broken") => Reply::status(500),
        _ => Reply::status(401),
    }
}

fn start() -> Harness {
    Harness::new(auth)
        .config(json!({"backend": "idp"}))
        .backend("idp", service)
        .start()
}

#[test]
fn without_a_token_nobody_is_asked() {
    let mut h = start();
    let res = h.send(get("/").header("x-user", "root"));
    assert_eq!(res.status(), 401);
    assert_eq!(res.header("www-authenticate").as_deref(), Some("Bearer"));
    assert!(h.calls("idp").is_empty());
    assert!(h.app().requests().is_empty());
}

#[test]
fn the_application_learns_who_it_is_and_the_service_is_asked_once() {
    let mut h = start();
    for _ in 0..2 {
        let req = get("/")
            .header("authorization", "Bearer good")
            .header("x-user", "root");
        assert_eq!(h.send(req).status(), 200);
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
    }
    assert_eq!(h.calls("idp").len(), 1);
    assert_eq!(h.calls("idp")[0].path(), "/verify");
}

#[test]
fn a_token_that_is_not_known_is_refused() {
    let mut h = start();
    let res = h.send(get("/").header("authorization", "Bearer bad"));
    assert_eq!(res.status(), 401);
    assert!(h.app().requests().is_empty());
}

#[test]
fn a_service_that_fails_lets_nobody_pass() {
    let mut h = start();
    let res = h.send(get("/").header("authorization", "Bearer broken"));
    assert_eq!(res.status(), 503);
    assert!(h.app().requests().is_empty());
}

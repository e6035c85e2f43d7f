//! The same tests run natively, on Tidegate and on Envoy.

use introspect::introspect;
use tidegate_sdk_testing::{Harness, Received, Reply, get, json};

fn idp(asked: &Received) -> Reply {
    match asked.text().as_str() {
        "token=good" => Reply::json(200, &json!({"active": true, "sub": "ada"})),
        "token=old" => Reply::json(200, &json!({"active": false})),
        "token=odd" => Reply::text(200, "<html>"),
        _ => Reply::status(500),
    }
}

fn start() -> Harness {
    let config = json!({"idp": "idp"});
    Harness::new(introspect)
        .config(config)
        .backend("idp", idp)
        .start()
}

#[test]
fn a_request_without_a_token_is_challenged_and_nobody_is_asked() {
    let mut h = start();
    let res = h.send(get("/"));
    assert_eq!(res.status(), 401);
    assert_eq!(res.header("www-authenticate").as_deref(), Some("Bearer"));
    assert!(h.calls("idp").is_empty());
}

#[test]
fn the_backend_learns_the_subject_whatever_the_client_says_and_a_token_is_asked_about_once() {
    let mut h = start();
    for _ in 0..3 {
        let req = get("/").bearer("good").header("x-subject", "root");
        assert_eq!(h.send(req).status(), 200);
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.headers().get_all("x-subject"), ["ada"]);
    }
    assert_eq!(h.calls("idp").len(), 1);
    assert_eq!(h.calls("idp")[0].path(), "/introspect");
}

#[test]
fn an_inactive_token_is_refused_and_counted() {
    let mut h = start();
    let res = h.send(get("/").bearer("old"));
    assert_eq!(res.status(), 401);
    let challenge = res.header("www-authenticate");
    assert_eq!(challenge.as_deref(), Some("Bearer error=\"invalid_token\""));
    assert_eq!(h.metric("inactive_tokens"), 1);
    assert!(h.app().requests().is_empty());
}

#[test]
fn a_provider_that_fails_or_talks_nonsense_lets_nobody_pass_and_is_asked_again() {
    let mut h = start();
    for token in ["broken", "odd"] {
        assert_eq!(h.send(get("/").bearer(token)).status(), 503);
        assert_eq!(h.send(get("/").bearer(token)).status(), 503);
    }
    assert_eq!(h.calls("idp").len(), 4);
    assert!(h.logged("idp"));
    assert!(h.app().requests().is_empty());
}

//! The same tests run natively, on Tidegate (`--wasm`) and on Envoy (`--envoy`).

use template_name::headers;
use tidegate_sdk_testing::{Harness, Reply, get, json};

#[test]
fn the_application_gets_what_the_configuration_says_and_not_what_clients_say() {
    let config = json!({"request": {"x-gateway": "tidegate"}});
    let mut h = Harness::new(headers).config(config).start();
    h.send(get("/").header("x-gateway", "forged"));
    let seen = h.app().request();
    assert_eq!(seen.headers().get_all("x-gateway"), ["tidegate"]);
}

#[test]
fn clients_get_new_headers_and_lose_those_that_tell_too_much() {
    let mut h = Harness::new(headers)
        .config(json!({"response": {"x-frame-options": "DENY"}, "remove": ["x-powered-by"]}))
        .app(|_| Reply::text(200, "hello").header("x-powered-by", "PHP/5"))
        .start();
    let res = h.send(get("/"));
    assert_eq!(res.header("x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(res.header("x-powered-by"), None);
    assert_eq!(res.text(), "hello");
}

#[test]
fn a_configuration_of_another_shape_is_refused() {
    let config = json!({"reqest": {}});
    let refused = Harness::new(headers).config(config).try_start();
    let why = refused.expect_err("it is refused");
    assert!(why.contains("reqest"), "{why}");
}

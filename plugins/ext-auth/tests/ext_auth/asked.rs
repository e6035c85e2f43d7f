//! What the service is asked.

use tidegate_sdk_testing::{Received, Reply, get, json, post, request};

use super::{start, yes};

#[test]
fn the_service_is_asked_by_method_host_and_path_and_told_authorization_only() {
    let mut h = start(&json!({"pathPrefix": "/check"}), yes);
    let req = post("/cart/7?a=b%20c&d")
        .host("shop.test:8080")
        .header("authorization", "Basic YTpi")
        .header("cookie", "session=1")
        .header("x-tenant", "7")
        .body("secret");
    assert_eq!(h.send(req).status(), 200);
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.method(), "POST");
    assert_eq!(asked.path(), "/check/cart/7?a=b%20c&d");
    assert_eq!(asked.host(), "shop.test:8080");
    assert_eq!(asked.header("authorization").as_deref(), Some("Basic YTpi"));
    for name in ["cookie", "x-tenant"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert!(asked.body().is_empty());
    let seen = h.app().request();
    assert_eq!(seen.text(), "secret");
    assert_eq!(seen.path(), "/cart/7?a=b%20c&d");
    assert_eq!(seen.header("x-tenant").as_deref(), Some("7"));
    assert_eq!(h.metric("ext_auth_allowed"), 1);
}

#[test]
fn headers_are_told_as_the_lists_say() {
    let fields = json!({
        "includeRequestHeadersInCheck": ["Cookie", "x-a-*", "x-env", "x_env"],
        "excludeRequestHeadersFromCheck": ["x-a-secret", "authorization"],
        "includeAdditionalHeadersInCheck": {"X-Gateway": "edge", "x-env": "live"},
    });
    let mut h = start(&fields, yes);
    let req = get("/")
        .bearer("t0k")
        .header("cookie", "a=1")
        .header("X-A-One", "1")
        .header("x-a-one", "2")
        .header("x-a-secret", "no")
        .header("x-ab", "no")
        .header("x-env", "forged")
        .header("x_env", "forged")
        .header("x-gateway", "forged");
    assert_eq!(h.send(req).status(), 200);
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.headers().get_all("cookie"), ["a=1"]);
    assert_eq!(asked.headers().get_all("x-a-one").join(","), "1,2");
    for name in ["authorization", "x-a-secret", "x-ab", "x_env"] {
        assert_eq!(asked.header(name), None, "{name}");
    }
    assert_eq!(asked.headers().get_all("x-gateway"), ["edge"]);
    assert_eq!(asked.headers().get_all("x-env"), ["live"]);
}

#[test]
fn a_star_tells_all_but_what_frames_the_message() {
    let mut h = start(&json!({"includeRequestHeadersInCheck": ["*"]}), yes);
    let req = post("/")
        .header("x-a", "1")
        .header("cookie", "b=2")
        .body("12345");
    assert_eq!(h.send(req).status(), 200);
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.header("x-a").as_deref(), Some("1"));
    assert_eq!(asked.header("cookie").as_deref(), Some("b=2"));
    assert_ne!(asked.header("content-length").as_deref(), Some("5"));
}

#[test]
fn every_method_is_told_and_a_star_for_a_path_is_the_root() {
    let mut h = start(&json!({"pathPrefix": "/v1/check"}), yes);
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "PURGE"] {
        assert_eq!(h.send(request(method, "/x")).status(), 200);
        let asked = h.calls("auth").pop().expect("it was asked");
        assert_eq!((asked.method(), asked.path()), (method, "/v1/check/x"));
    }
}

#[test]
fn forward_auth_asks_at_one_path_and_says_what_the_request_is() {
    let fields = json!({
        "forwardAuth": "/oauth2/auth?groups=staff",
        "includeRequestHeadersInCheck": ["cookie", "x-forwarded-*"],
    });
    let mut h = start(&fields, |_: &Received| Reply::status(202));
    let req = post("/cart?a=b")
        .host("shop.test")
        .header("cookie", "s=1")
        .header("x-forwarded-uri", "/public")
        .header("x-forwarded-method", "GET")
        .body("hello");
    assert_eq!(h.send(req).status(), 200);
    let asked = h.calls("auth").pop().expect("it was asked");
    assert_eq!(asked.method(), "GET");
    assert_eq!(asked.path(), "/oauth2/auth?groups=staff");
    assert_eq!(asked.host(), "auth");
    assert!(asked.body().is_empty());
    for (name, expected) in [
        ("cookie", "s=1"),
        ("x-forwarded-method", "POST"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "shop.test"),
        ("x-forwarded-uri", "/cart?a=b"),
    ] {
        assert_eq!(asked.headers().get_all(name), [expected], "{name}");
    }
    assert!(
        asked
            .header("x-forwarded-for")
            .expect("it is there")
            .contains("127.0.0.1")
    );
    assert_eq!(h.app().request().text(), "hello");
}

#[test]
fn another_host_is_asked_for_if_the_configuration_says_so() {
    for fields in [
        json!({"host": "auth.example:8443"}),
        json!({"host": "auth.example:8443", "forwardAuth": "/verify"}),
    ] {
        let mut h = start(&fields, yes);
        assert_eq!(h.send(get("/")).status(), 200);
        assert_eq!(h.calls("auth")[0].host(), "auth.example:8443");
    }
}

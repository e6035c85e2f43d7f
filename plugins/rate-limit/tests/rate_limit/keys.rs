//! Whose limit it is.

use tidegate_sdk_testing::{Harness, Mode, Request, get, json, not_in, post};

use super::rate_limit;
use super::with_limits;

/// Whether two requests share a limit with this key: the second is refused.
fn share(h: &mut Harness, one: Request, other: Request) -> bool {
    assert_eq!(h.send(one).status(), 200);
    h.send(other).status() == 429
}

#[test]
fn requests_share_a_limit_if_all_parts_of_its_key_are_the_same() {
    let long = |last: &str| "x".repeat(5_000) + last;
    for (key, one, other, same) in [
        (json!([]), get("/a"), post("/b"), true),
        (json!(["clientIp"]), get("/a"), post("/b"), true),
        (json!(["path"]), get("/a?x=1"), get("/a?x=2"), true),
        (json!(["path"]), get("/a"), get("/b"), false),
        (json!(["method"]), get("/a"), get("/b"), true),
        (json!(["method"]), get("/a"), post("/a"), false),
        (
            json!(["host"]),
            get("/").host("Shop.test:8080"),
            get("/").host("shop.test"),
            true,
        ),
        (
            json!(["host"]),
            get("/").host("shop.test"),
            get("/").host("other.test"),
            false,
        ),
        (
            json!([{"header": "X-User"}]),
            get("/").header("x-user", "ann"),
            get("/").header("x-user", "Ann"),
            false,
        ),
        (
            json!([{"header": "authorization"}]),
            get("/").header("authorization", long("a")),
            get("/").header("authorization", long("a")),
            true,
        ),
        (
            json!([{"header": "authorization"}]),
            get("/").header("authorization", long("a")),
            get("/").header("authorization", long("b")),
            false,
        ),
        (
            json!([{"cookie": "session"}]),
            get("/").header("cookie", "theme=dark; session=1"),
            get("/").header("cookie", "session=1; theme=light"),
            true,
        ),
        (
            json!([{"cookie": "session"}]),
            get("/").header("cookie", "session=1"),
            get("/").header("cookie", "session=2"),
            false,
        ),
        (
            json!([{"query": "api key"}]),
            get("/a?api%20key=1"),
            get("/b?x&api+key=%31"),
            true,
        ),
        (json!([{"query": "k"}]), get("/?k=1"), get("/?k=2"), false),
        (json!([{"const": "x"}]), get("/a"), get("/b"), true),
        (
            json!([{"header": "a"}, {"header": "b"}]),
            get("/").header("a", "1").header("b", "23"),
            get("/").header("a", "12").header("b", "3"),
            false,
        ),
    ] {
        let mut h = with_limits(&json!([{"key": key, "requests": 1, "window": "1h"}]));
        assert_eq!(share(&mut h, one, other), same, "{key}");
    }
}

#[test]
fn claims_are_those_of_the_token_that_jwt_auth_has_verified() {
    let token = json!({
        "iss": "https://idp.test", "sub": "ann", "principal": "https://idp.test/ann",
        "claims": {"sub": "ann", "realm": {"tenant": 7}, "roles": ["a"]},
    });
    for (claim, statuses) in [
        ("sub", [200, 429]),
        ("realm.tenant", [200, 429]),
        ("roles", [200, 200]),
        ("email", [200, 200]),
    ] {
        let limits = json!([{"key": [{"claim": claim}], "requests": 1, "window": "1h"}]);
        let mut h = Harness::new(rate_limit)
            .config(json!({"limits": limits}))
            .property(["tidegate.auth.jwt"], token.to_string())
            .start();
        let seen = [0; 2].map(|_| h.send(get("/")).status());
        assert_eq!(seen, statuses, "{claim}");
    }
}

#[test]
fn routes_have_limits_of_their_own() {
    if not_in(Mode::Envoy, "the harness names no routes there") {
        return;
    }
    let limits = json!([{"key": ["route"], "requests": 1, "window": "1h"}]);
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": limits}))
        .property(["route_name"], "shop/rule/0")
        .start();
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.send(get("/")).status(), 429);
    h.property(["route_name"], "shop/rule/1");
    assert_eq!(h.send(get("/")).status(), 200);
}

#[test]
fn plugins_that_share_data_count_apart() {
    if not_in(Mode::Envoy, "the harness names no plugins there")
        || not_in(Mode::Wasm, "the host keeps limits")
    {
        return;
    }
    let limits = json!([{"name": "all", "requests": 1, "window": "1h"}]);
    for plugin in ["shop/one", "shop/other"] {
        let mut h = Harness::new(rate_limit)
            .config(json!({"limits": limits}))
            .property(["plugin_name"], plugin)
            .start();
        assert_eq!(h.send(get("/")).status(), 200);
        let slot = |number| h.shared(&format!("rate-limit/{plugin}/all/{number}"));
        assert_eq!((0..4096).filter_map(slot).count(), 1);
    }
}

#[test]
fn a_limit_is_not_for_requests_without_a_part_of_its_key_or_they_share_one() {
    for (when, expected) in [
        ("skip", [200, 200, 200, 429]),
        ("share", [200, 429, 200, 429]),
    ] {
        let mut h = with_limits(&json!([{
            "key": [{"header": "x-user"}], "whenMissing": when, "requests": 1, "window": "1h",
        }]));
        let empty = || get("/").header("x-user", "");
        let seen = [get("/"), get("/"), empty(), empty()].map(|it| h.send(it).status());
        assert_eq!(seen, expected, "{when}");
    }
}

#[test]
fn a_limit_is_for_the_requests_that_match_and_not_for_the_exceptions() {
    let mut h = with_limits(&json!([{
        "requests": 1, "window": "1h", "cost": 1,
        "match": [
            {"methods": ["POST"], "paths": ["/login", "/api/*"]},
            {"headers": {"user-agent": "*bot*"}},
        ],
        "except": [{"cookies": {"staff": "yes"}}, {"query": {"probe": "*"}}],
    }]));
    // One takes all there is.
    assert_eq!(h.send(post("/login?a=b")).status(), 200);
    for (request, status) in [
        (post("/login"), 429),
        (post("/api/orders"), 429),
        (post("/api"), 200),
        (get("/login"), 200),
        (post("/logins"), 200),
        (get("/").header("user-agent", "a robot"), 429),
        (get("/").header("user-agent", "a browser"), 200),
        (post("/login").header("cookie", "a=b; staff=yes"), 200),
        (post("/login").header("cookie", "staff=no"), 429),
        (post("/login?probe"), 200),
    ] {
        assert_eq!(h.send(request.clone()).status(), status, "{request:?}");
    }
}

#[test]
fn a_limit_of_logins_as_the_page_writes_it_has_the_spellings_that_the_page_says() {
    let page = include_str!("../../README.md");
    let paths = r#"paths: [/login, /login/*, "/login;*"]"#;
    assert!(page.contains(paths), "{paths}");
    let mut h = with_limits(&json!([{
        "match": [{"methods": ["POST"], "paths": ["/login", "/login/*", "/login;*"]}],
        "key": ["clientIp"], "requests": 1, "window": "1h",
    }]));
    assert_eq!(h.send(post("/login")).status(), 200);
    for (path, status) in [
        ("/login", 429),
        ("/login/", 429),
        ("/login;a=1", 429),
        ("/login?a=1", 429),
        ("/LOGIN", 200),
        ("//login", 200),
    ] {
        assert_eq!(h.send(post(path)).status(), status, "{path}");
    }
}

//! Answers that are remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tidegate_sdk_testing::{Received, Reply, get, json, ms, post};

use super::start;

/// A service that says who somebody is.
fn by_token(asked: &Received) -> Reply {
    match asked.header("authorization").as_deref() {
        Some("Bearer ada") => Reply::status(200).header("x-user", "ada"),
        Some("Bearer bob") => Reply::status(200).header("x-user", "bob"),
        _ => Reply::status(401),
    }
}

#[test]
fn a_yes_is_remembered_for_the_same_question_only() {
    let fields = json!({
        "cache": {"ttl": "1m"},
        "includeRequestHeadersInCheck": ["x-tenant"],
        "headersToUpstreamOnAllow": ["x-user"],
    });
    let mut h = start(&fields, by_token);
    for (request, user, calls) in [
        (get("/a").bearer("ada"), "ada", 1),
        (get("/a").bearer("ada"), "ada", 1),
        // What the service is not told makes no difference.
        (get("/a").bearer("ada").header("x-other", "1"), "ada", 1),
        (get("/a").bearer("bob"), "bob", 2),
        (get("/b").bearer("ada"), "ada", 3),
        (get("/a?q").bearer("ada"), "ada", 4),
        (post("/a").bearer("ada"), "ada", 5),
        (get("/a").bearer("ada").host("other.test"), "ada", 6),
        (get("/a").bearer("ada").header("x-tenant", "7"), "ada", 7),
        (get("/a").bearer("ada").header("x-tenant", "7"), "ada", 7),
        (get("/a").bearer("bob").header("x-user", "root"), "bob", 7),
    ] {
        assert_eq!(h.send(request).status(), 200);
        assert_eq!(h.calls("auth").len(), calls);
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.headers().get_all("x-user"), [user]);
    }
    assert_eq!(h.metric("ext_auth_cache_hits"), 4);
    assert_eq!(h.metric("ext_auth_allowed"), 11);
}

#[test]
fn with_a_key_only_its_headers_count_and_requests_without_them_are_asked_about() {
    let fields = json!({
        "cache": {"ttl": "1m", "key": ["Authorization"]},
        "headersToUpstreamOnAllow": ["x-user"],
    });
    let mut h = start(&fields, |asked: &Received| {
        match asked.header("authorization") {
            Some(_) => by_token(asked),
            None => Reply::status(200),
        }
    });
    for (request, calls) in [
        (get("/a").bearer("ada"), 1),
        (post("/b?c").bearer("ada"), 1),
        (get("/a").bearer("bob"), 2),
        (get("/a"), 3),
        (get("/a"), 4),
    ] {
        assert_eq!(h.send(request).status(), 200);
        assert_eq!(h.calls("auth").len(), calls);
    }
}

#[test]
fn what_is_remembered_vouches_for_no_header_that_the_key_does_not_have() {
    let fields = json!({
        "includeRequestHeadersInCheck": ["x-*", "cookie"],
        "headersToUpstreamOnAllow": ["x-tenant", "cookie", "authorization"],
        "cache": {"ttl": "1m", "key": ["authorization"]},
    });
    let mut h = start(&fields, |_: &Received| Reply::status(200));
    for (request, calls, cookie) in [
        (get("/").bearer("ada"), 1, None),
        (get("/").bearer("ada").header("x-tenant", "victim"), 1, None),
        (get("/").bearer("ada").header("cookie", "a=1"), 1, None),
        // It is the same whether somebody came before or not.
        (get("/").bearer("bob").header("cookie", "a=1"), 2, None),
        (get("/").bearer("bob").header("x-tenant", "victim"), 2, None),
        // Nothing is remembered without the key: the service has judged the cookie of this request.
        (get("/").header("cookie", "a=1"), 3, Some("a=1")),
    ] {
        assert_eq!(h.send(request).status(), 200);
        assert_eq!(h.calls("auth").len(), calls);
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.header("x-tenant"), None);
        assert_eq!(seen.header("cookie").as_deref(), cookie);
        let token = seen.header("authorization");
        assert_eq!(token.is_some(), cookie.is_none());
    }
}

#[test]
fn values_that_differ_in_bytes_that_are_no_text_are_different_questions() {
    for key in [json!([]), json!(["x-api-key"])] {
        let fields = json!({
            "includeRequestHeadersInCheck": ["x-api-key"],
            "headersToUpstreamOnAllow": ["x-user"],
            "cache": {"ttl": "1m", "key": key},
        });
        let mut h = start(&fields, |asked: &Received| {
            match asked.headers().get_bytes("x-api-key") {
                Some(b"k\xe9") => Reply::status(200).header("x-user", "ada"),
                _ => Reply::status(401),
            }
        });
        for (value, expected, calls) in [
            (&b"k\xe9"[..], 200, 1),
            (b"k\xe9", 200, 1),
            (b"k\xe8", 401, 2),
            (b"k\xef\xbf\xbd", 401, 3),
        ] {
            let res = h.send(get("/").header("x-api-key", value));
            assert_eq!(res.status(), expected, "{value:?}");
            assert_eq!(h.calls("auth").len(), calls, "{value:?}");
        }
        let seen = h.app().requests().pop().expect("it went on");
        assert_eq!(seen.headers().get_bytes("x-api-key"), Some(&b"k\xe9"[..]));
        assert_eq!(seen.headers().get_all("x-user"), ["ada"]);
    }
}

#[test]
fn a_no_and_a_failure_are_asked_about_again() {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let mut h = start(
        &json!({"cache": {"ttl": "1m"}}),
        move |_: &Received| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Reply::status(401),
            1 => Reply::status(500),
            _ => Reply::status(200),
        },
    );
    for expected in [401, 403, 200, 200] {
        assert_eq!(h.send(get("/")).status(), expected);
    }
    assert_eq!(count.load(Ordering::Relaxed), 3);
}

#[test]
fn what_is_remembered_ends() {
    let mut h = start(&json!({"cache": {"ttl": "1500ms"}}), by_token);
    for calls in [1, 1] {
        assert_eq!(h.send(get("/").bearer("ada")).status(), 200);
        assert_eq!(h.calls("auth").len(), calls);
    }
    h.advance(ms(1_600));
    assert_eq!(h.send(get("/").bearer("ada")).status(), 200);
    assert_eq!(h.calls("auth").len(), 2);
}

#[test]
fn what_is_for_one_request_or_too_large_is_not_remembered() {
    let fields = json!({
        "cache": {"ttl": "1m"},
        "headersToDownstreamOnAllow": ["set-cookie"],
        "headersToUpstreamOnAllow": ["x-user"],
    });
    let mut h = start(&fields, |asked: &Received| match asked.path() {
        "/cookie" => Reply::status(200).header("set-cookie", "a=1"),
        "/no-store" => Reply::status(200).header("cache-control", "private, no-store"),
        "/large" => Reply::status(200).header("x-user", "a".repeat(5_000)),
        _ => Reply::status(200),
    });
    for (path, calls) in [
        ("/cookie", 2),
        ("/no-store", 4),
        ("/large", 6),
        ("/kept", 7),
    ] {
        for _ in 0..2 {
            assert_eq!(h.send(get(path)).status(), 200, "{path}");
        }
        assert_eq!(h.calls("auth").len(), calls, "{path}");
    }
}

#[test]
fn no_more_is_remembered_than_the_configuration_says() {
    let mut h = start(&json!({"cache": {"ttl": "1m", "maxEntries": 2}}), by_token);
    for path in ["/a", "/b", "/c", "/c", "/a"] {
        assert_eq!(h.send(get(path).bearer("ada")).status(), 200);
    }
    // The first to be remembered was the first to be forgotten.
    assert_eq!(h.calls("auth").len(), 4);
}

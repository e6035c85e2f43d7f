//! Cross-origin answers.

use http::HeaderMap;
use http::Method;
use http::StatusCode;

use super::fields;
use super::request;
use crate::filter::Cors;
use crate::message::RequestHead;

fn list(items: &[&str]) -> Vec<Box<str>> {
    items.iter().map(|item| (*item).into()).collect()
}

fn allowing(origins: &[&str]) -> Cors {
    Cors {
        allow_origins: list(origins),
        max_age: 5,
        ..Cors::default()
    }
}

/// A preflight from `https://a.test` for PUT with `x-one`.
fn preflight() -> RequestHead {
    RequestHead {
        method: Method::OPTIONS,
        headers: fields(&[
            "origin: https://a.test",
            "access-control-request-method: PUT",
            "access-control-request-headers: x-one",
        ]),
        ..request("/")
    }
}

fn from(origin: &str) -> RequestHead {
    RequestHead {
        headers: fields(&[&format!("origin: {origin}")]),
        ..request("/")
    }
}

#[track_caller]
fn preflighted(cors: &Cors, expected: &[&str]) {
    let answer = cors.preflight(&preflight()).expect("a preflight");
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.headers, fields(expected));
}

#[track_caller]
fn responded(cors: &Cors, asked: &RequestHead, before: &[&str], expected: &[&str]) {
    let mut headers = fields(before);
    cors.on_response(asked, &mut headers);
    assert_eq!(headers, fields(expected));
}

#[track_caller]
fn allows(pattern: &str, origin: &str, expected: bool) {
    let mut headers = HeaderMap::new();
    allowing(&[pattern]).on_response(&from(origin), &mut headers);
    let allowed = headers.contains_key("access-control-allow-origin");
    assert_eq!(allowed, expected, "{pattern} / {origin}");
}

#[test]
fn a_preflight_is_answered_with_what_is_allowed() {
    let cors = Cors {
        allow_methods: list(&["PUT", "DELETE"]),
        allow_headers: list(&["x-one", "x-two"]),
        expose_headers: list(&["x-three"]),
        allow_credentials: true,
        ..allowing(&["https://b.test", "https://a.test"])
    };
    preflighted(
        &cors,
        &[
            "access-control-allow-origin: https://a.test",
            "access-control-allow-credentials: true",
            "access-control-allow-methods: PUT, DELETE",
            "access-control-allow-headers: x-one, x-two",
            "access-control-max-age: 5",
            "vary: Origin",
        ],
    );
}

#[test]
fn a_preflight_of_a_stranger_is_answered_without_leave() {
    preflighted(&allowing(&["https://b.test"]), &["vary: Origin"]);
    preflighted(&allowing(&[]), &["vary: Origin"]);
}

#[test]
fn stars_are_stars_without_credentials() {
    let cors = Cors {
        allow_methods: list(&["*"]),
        allow_headers: list(&["*"]),
        ..allowing(&["*"])
    };
    preflighted(
        &cors,
        &[
            "access-control-allow-origin: *",
            "access-control-allow-methods: *",
            "access-control-allow-headers: *",
            "access-control-max-age: 5",
        ],
    );
}

#[test]
fn stars_repeat_what_was_asked_with_credentials() {
    let cors = Cors {
        allow_methods: list(&["*"]),
        allow_headers: list(&["*"]),
        allow_credentials: true,
        ..allowing(&["*"])
    };
    preflighted(
        &cors,
        &[
            "access-control-allow-origin: https://a.test",
            "access-control-allow-credentials: true",
            "access-control-allow-methods: PUT",
            "access-control-allow-headers: x-one",
            "access-control-max-age: 5",
            "vary: Origin",
        ],
    );
}

#[test]
fn what_lacks_a_part_of_a_preflight_is_none() {
    let cors = allowing(&["*"]);
    let other = RequestHead {
        method: Method::GET,
        ..preflight()
    };
    assert!(cors.preflight(&other).is_none());
    for part in ["origin", "access-control-request-method"] {
        let mut head = preflight();
        head.headers.remove(part);
        assert!(cors.preflight(&head).is_none(), "{part}");
    }
}

#[test]
fn what_the_backend_says_is_replaced() {
    let before = [
        "access-control-allow-origin: *",
        "access-control-allow-credentials: true",
        "access-control-expose-headers: x-secret",
        "x-a: 1",
    ];
    responded(
        &allowing(&["https://b.test"]),
        &from("https://a.test"),
        &before,
        &["x-a: 1", "vary: Origin"],
    );
    let cors = Cors {
        expose_headers: list(&["x-a", "x-b"]),
        ..allowing(&["https://a.test"])
    };
    let after = [
        "x-a: 1",
        "access-control-allow-origin: https://a.test",
        "access-control-expose-headers: x-a, x-b",
        "vary: Origin",
    ];
    responded(&cors, &from("https://a.test"), &before, &after);
}

#[test]
fn exposing_all_names_all_where_credentials_are_allowed() {
    let cors = Cors {
        expose_headers: list(&["*"]),
        ..allowing(&["*"])
    };
    let open = [
        "x-a: 1",
        "access-control-allow-origin: *",
        "access-control-expose-headers: *",
    ];
    responded(&cors, &from("https://a.test"), &["x-a: 1"], &open);
    let with_credentials = Cors {
        allow_credentials: true,
        ..cors
    };
    let named = [
        "x-a: 1",
        "access-control-allow-origin: https://a.test",
        "access-control-allow-credentials: true",
        "access-control-expose-headers: x-a",
        "vary: Origin",
    ];
    responded(
        &with_credentials,
        &from("https://a.test"),
        &["x-a: 1"],
        &named,
    );
}

#[test]
fn caches_learn_that_origins_differ_even_if_none_was_named() {
    let cors = allowing(&["https://a.test"]);
    responded(&cors, &request("/"), &[], &["vary: Origin"]);
    for known in ["vary: accept, ORIGIN", "vary: *"] {
        responded(&cors, &request("/"), &[known], &[known]);
    }
}

#[test]
fn the_answer_to_a_preflight_is_left_alone() {
    let before = ["access-control-allow-methods: PUT"];
    responded(&allowing(&["*"]), &preflight(), &before, &before);
}

#[test]
fn an_origin_is_compared_as_a_whole() {
    allows("https://a.test", "https://a.test", true);
    allows("https://a.test", "https://A.test", true);
    allows("https://a.test", "http://a.test", false);
    allows("https://a.test", "https://a.test:8443", false);
    allows("https://a.test", "https://a.test.evil.test", false);
    allows("https://a.test:443", "https://a.test", true);
    allows("http://a.test:80", "http://a.test", true);
    allows("https://a.test:80", "https://a.test", false);
    allows("https://a.test", "null", false);
}

#[test]
fn a_star_stands_for_the_first_labels_of_a_host() {
    allows("https://*.a.test", "https://b.a.test", true);
    allows("https://*.a.test", "https://c.b.a.test", true);
    allows("https://*.a.test", "https://a.test", false);
    allows("https://*.a.test", "https://.a.test", false);
    allows("https://*.a.test", "https://ba.test", false);
    allows("https://*.a.test", "http://b.a.test", false);
    allows("https://*.a.test", "https://b.a.test:8443", false);
    allows("https://*.a.test:8443", "https://b.a.test:8443", true);
    allows("https://*", "https://anything.test", true);
    allows("https://*", "https://anything.test:8443", false);
    allows("https://*", "https://evil/@a.test", false);
    allows("*", "null", true);
}

#[test]
fn two_origins_are_none() {
    let mut head = from("https://a.test");
    let second = "https://a.test".parse().expect("a value");
    head.headers.append("origin", second);
    responded(
        &allowing(&["https://a.test"]),
        &head,
        &[],
        &["vary: Origin"],
    );
}

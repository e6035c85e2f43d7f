//! Requests that have their version by what they say.

use canary::canary;
use tidegate_sdk_testing::{Harness, get, json};

use crate::{start, version};

#[test]
fn the_first_entry_that_matches_decides_whatever_the_shares_are() {
    let config = json!({
        "weight": 100,
        "match": [
            {"headers": {"x-track": "stable"}, "version": "stable"},
            {"headers": {"x-track": "*"}},
            {"headers": {"x-other": "1"}, "version": "stable"},
        ],
    });
    let mut h = start(&config);
    for (track, other, expected) in [
        ("stable", "1", "stable"),
        ("anything", "1", "canary"),
        ("", "1", "canary"),
    ] {
        let request = get("/").header("x-track", track).header("x-other", other);
        assert_eq!(version(&mut h, request), expected, "{track} {other}");
    }
    assert_eq!(version(&mut h, get("/").header("x-other", "1")), "stable");
    assert_eq!(version(&mut h, get("/").header("x-other", "2")), "canary");
}

#[test]
fn without_a_weight_only_those_who_match_get_the_new_version() {
    let mut h = start(&json!({"match": [{"cookies": {"beta": "1"}}]}));
    assert_eq!(version(&mut h, get("/")), "stable");
    let request = get("/").header("cookie", "beta=0; beta=1");
    assert_eq!(version(&mut h, request), "canary");
}

#[test]
fn an_entry_needs_all_that_it_names() {
    let config = json!({"match": [{
        "headers": {"User-Agent": "*iPhone*", "accept-language": "de*"},
        "query": {"beta": "1"},
        "clientIps": ["10.0.0.0/8", "127.0.0.0/8"],
    }]});
    let mut h = start(&config);
    for (path, agent, language, expected) in [
        ("/?beta=1", "Mozilla (iPhone)", "de-AT", "canary"),
        ("/?beta=%31", "Mozilla (iPhone)", "de", "canary"),
        ("/?beta=2", "Mozilla (iPhone)", "de-AT", "stable"),
        ("/", "Mozilla (iPhone)", "de-AT", "stable"),
        ("/?beta=1", "Mozilla (Android)", "de-AT", "stable"),
        ("/?beta=1", "Mozilla (iPhone)", "en", "stable"),
    ] {
        let request = get(path)
            .header("user-agent", agent)
            .header("accept-language", language);
        assert_eq!(
            version(&mut h, request),
            expected,
            "{path} {agent} {language}"
        );
    }
    let mut h = start(&json!({"match": [{"clientIps": ["10.0.0.0/8"]}]}));
    assert_eq!(version(&mut h, get("/")), "stable");
}

#[test]
fn claims_are_text_numbers_and_lists() {
    let token = r#"{"claims": {"sub": "alice", "level": 3, "groups": ["staff", "beta"]}}"#;
    for (claims, expected) in [
        (
            json!({"sub": "alice", "level": "3", "groups": "beta"}),
            "canary",
        ),
        (json!({"groups": "st*"}), "canary"),
        (json!({"sub": "alice", "groups": "admin"}), "stable"),
        (json!({"email": "*"}), "stable"),
    ] {
        let mut h = Harness::new(canary)
            .config(json!({"match": [{"claims": claims}]}))
            .property(["tidegate.auth.jwt"], token)
            .start();
        assert_eq!(version(&mut h, get("/")), expected, "{claims}");
    }
    // Without a token there are no claims.
    let mut h = start(&json!({"match": [{"claims": {"sub": "*"}}]}));
    assert_eq!(version(&mut h, get("/")), "stable");
}

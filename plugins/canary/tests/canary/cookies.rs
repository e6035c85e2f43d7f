//! Clients that are known by a cookie of ours.

use tidegate_sdk_testing::{get, json};

use crate::{start, version};

/// The number that a client is given, by its `Set-Cookie`.
fn number(set_cookie: &str, name: &str) -> u16 {
    let rest = set_cookie
        .strip_prefix(name)
        .and_then(|it| it.strip_prefix('='));
    let (number, _) = rest.and_then(|it| it.split_once(';')).expect("a cookie");
    number.parse().expect("a number")
}

#[test]
fn a_client_gets_a_cookie_once_and_keeps_its_version_by_it() {
    let mut h = start(&json!({"weight": 50, "cookie": {}}));
    for _ in 0..5 {
        let answer = h.send(get("/"));
        let set = answer.header("set-cookie").expect("a cookie");
        let number = number(&set, "tidegate-canary");
        assert!(number < 10_000);
        let attributes = "; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax";
        assert_eq!(set, format!("tidegate-canary={number}{attributes}"));
        let requests = h.app().requests();
        let first = requests.last().and_then(|it| it.header("x-version"));
        let cookie = format!("a=b; tidegate-canary={number}");
        for _ in 0..3 {
            let again = h.send(get("/").header("cookie", &cookie));
            assert_eq!(again.header("set-cookie"), None);
            let requests = h.app().requests();
            let version = requests.last().and_then(|it| it.header("x-version"));
            assert_eq!(version, first);
        }
    }
}

#[test]
fn a_number_is_a_bucket_that_the_salt_moves() {
    // Bucket = number + 6921 with the empty salt, + 883 with this one, modulo 10,000.
    for (salt, number, bucket) in [("", 9_999, 6920), ("checkout-v2", 0, 883)] {
        for (weight, expected) in [(bucket, "stable"), (bucket + 1, "canary")] {
            let weight = f64::from(weight) / 100.0;
            let mut h =
                start(&json!({"weight": weight, "cookie": {"name": "track"}, "salt": salt}));
            let request = get("/").header("cookie", format!("track={number}"));
            assert_eq!(version(&mut h, request), expected, "{number} at {weight}");
        }
    }
}

#[test]
fn what_is_no_number_of_ours_is_replaced() {
    let mut h = start(&json!({"weight": 50, "cookie": {}}));
    for value in ["10000", "canary", "-1", "", "007", "99999999999999999999"] {
        let request = get("/").header("cookie", format!("tidegate-canary={value}"));
        let answer = h.send(request);
        assert!(answer.header("set-cookie").is_some(), "{value:?}");
    }
    // Of several, the first that is one decides.
    let request = get("/").header("cookie", "tidegate-canary=x; tidegate-canary=7");
    assert_eq!(h.send(request).header("set-cookie"), None);
}

#[test]
fn a_cookie_says_what_is_configured() {
    let cookie = json!({
        "name": "__Secure-track", "ttl": "1h30m", "path": "/shop", "domain": "shop.test",
        "sameSite": "None", "secure": true,
    });
    let mut h = start(&json!({"weight": 50, "cookie": cookie}));
    let set = h.send(get("/")).header("set-cookie").expect("a cookie");
    let number = number(&set, "__Secure-track");
    let attributes =
        "; Path=/shop; Max-Age=5400; Domain=shop.test; HttpOnly; SameSite=None; Secure";
    assert_eq!(set, format!("__Secure-track={number}{attributes}"));
}

#[test]
fn clients_with_a_key_or_a_match_get_no_cookie() {
    let config = json!({
        "weight": 50, "cookie": {}, "key": {"header": "x-user"},
        "match": [{"headers": {"x-beta": "1"}}],
    });
    let mut h = start(&config);
    let quiet = [
        get("/").header("x-user", "alice"),
        get("/").header("x-beta", "1"),
        // The key counts for more than the cookie: bob's bucket is 1787.
        get("/")
            .header("x-user", "bob")
            .header("cookie", "tidegate-canary=0"),
    ];
    for request in quiet {
        assert_eq!(h.send(request).header("set-cookie"), None);
    }
    let requests = h.app().requests();
    let versions: Vec<_> = requests
        .iter()
        .filter_map(|it| it.header("x-version"))
        .collect();
    assert_eq!(versions, ["stable", "canary", "canary"]);
    assert!(h.send(get("/")).header("set-cookie").is_some());
}

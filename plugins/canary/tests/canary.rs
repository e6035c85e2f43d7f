//! The same tests run natively, on Tidegate and on Envoy.

#[path = "canary/configs.rs"]
mod configs;
#[path = "canary/cookies.rs"]
mod cookies;
#[path = "canary/matches.rs"]
mod matches;

use canary::canary;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, Request, get, json, mode};

fn start(config: &Value) -> Harness {
    Harness::new(canary).config(config).start()
}

/// The version that the backend is told of a request.
fn version(h: &mut Harness, request: Request) -> String {
    assert_eq!(h.send(request).status(), 200);
    let requests = h.app().requests();
    let last = requests.last().expect("it got one");
    last.header("x-version").expect("it has a version")
}

#[test]
fn without_a_key_chance_decides_by_the_weight() {
    let config = |weight: u32| json!({"weight": weight});
    for (weight, expected) in [(0, "stable"), (100, "canary")] {
        let mut h = start(&config(weight));
        for _ in 0..5 {
            assert_eq!(version(&mut h, get("/")), expected);
        }
        assert_eq!(h.metric(&format!("canary_{expected}")), 5);
    }
    let mut h = start(&config(50));
    let mut seen = [0, 0];
    while seen[0] == 0 || seen[1] == 0 {
        seen[usize::from(version(&mut h, get("/")) == "canary")] += 1;
        // One in 2^1000 that all of so many are the same.
        assert!(seen[0] + seen[1] < 1000, "{seen:?}");
    }
    assert_eq!(h.metric("canary_stable"), seen[0]);
    assert_eq!(h.metric("canary_canary"), seen[1]);
}

#[test]
fn a_key_has_its_version_by_the_documented_hash() {
    // Buckets, as in the README: bob 1787, alice 6726, 42 8546; with the salt 2844, 2750, 7325.
    for (salt, weight, canaries) in [
        ("", 17.87, vec![]),
        ("", 67.27, vec!["alice", "bob"]),
        ("checkout-v2", 27.51, vec!["alice"]),
    ] {
        let config = json!({"weight": weight, "key": {"header": "x-user"}, "salt": salt});
        let mut h = start(&config);
        for user in ["42", "alice", "bob"] {
            let expected = if canaries.contains(&user) {
                "canary"
            } else {
                "stable"
            };
            let got = version(&mut h, get("/").header("x-user", user));
            assert_eq!(got, expected, "{user} at {weight} with {salt:?}");
        }
    }
}

#[test]
fn a_ramp_moves_nobody_back_and_every_gateway_decides_alike() {
    let users: Vec<String> = (0..40).map(|at| format!("user-{at}")).collect();
    let config = |weight: u32| json!({"weight": weight, "key": {"header": "x-user"}});
    let versions = |weight: u32| {
        let mut h = start(&config(weight));
        let requests = users.iter().map(|user| get("/").header("x-user", user));
        let versions = requests.map(|it| version(&mut h, it));
        versions.collect::<Vec<_>>()
    };
    let mut before = versions(5);
    assert_eq!(versions(5), before);
    for weight in [50, 100] {
        let after = versions(weight);
        let moved = before.iter().zip(&after);
        let back = moved.filter(|(old, new)| *old == "canary" && *new == "stable");
        assert_eq!(back.count(), 0, "at {weight}");
        before = after;
    }
    assert!(before.iter().all(|it| it == "canary"));
}

#[test]
fn clients_are_known_by_header_cookie_parameter_claim_or_address() {
    // The bucket of alice is 6726, that of bob 1787.
    let weight = 67.26;
    let token =
        |who: &str| format!(r#"{{"claims": {{"sub": "{who}", "realm": {{"user": "{who}"}}}}}}"#);
    for key in [
        json!({"header": "X-User"}),
        json!({"cookie": "user"}),
        json!({"query": "user"}),
        json!({"claim": "sub"}),
        json!({"claim": "realm.user"}),
    ] {
        let mut h = Harness::new(canary)
            .config(json!({"weight": weight, "key": key}))
            .property(["tidegate.auth.jwt"], "")
            .start();
        for (user, escaped, expected) in
            [("alice", "%61lice", "stable"), ("bob", "b%6fb", "canary")]
        {
            h.property(["tidegate.auth.jwt"], token(user));
            let request = get(&format!("/?a=b&user={escaped}"))
                .header("x-user", user)
                .header("cookie", format!("a=b; user={user}"));
            assert_eq!(version(&mut h, request), expected, "{key}: {user}");
        }
    }
    // 127.0.0.1 has bucket 3274.
    for (weight, expected) in [(32.74, "stable"), (32.75, "canary")] {
        let mut h = start(&json!({"weight": weight, "key": "clientIp"}));
        assert_eq!(version(&mut h, get("/")), expected, "{weight}");
    }
}

#[test]
fn requests_without_the_key_are_chances() {
    for key in [
        json!({"header": "x-user"}),
        json!({"cookie": "user"}),
        json!({"query": "user"}),
        json!({"claim": "sub"}),
    ] {
        let mut h = start(&json!({"weight": 50, "key": key}));
        let mut seen = [0, 0];
        while seen[0] == 0 || seen[1] == 0 {
            // Empty is none.
            let request = get("/?user=")
                .header("x-user", "")
                .header("cookie", "user=");
            seen[usize::from(version(&mut h, request) == "canary")] += 1;
            assert!(seen[0] + seen[1] < 1000, "{key}: {seen:?}");
        }
    }
}

#[test]
fn what_clients_say_about_the_version_is_replaced() {
    let mut h = start(&json!({"weight": 0}));
    h.send(
        get("/")
            .header("X-Version", "canary")
            .header("x-version", "v3"),
    );
    let request = h.app().request();
    let all = request.headers().get_all("x-version");
    assert_eq!(all, ["stable"]);
}

#[test]
fn the_version_is_in_the_headers_that_are_asked_for() {
    let config = json!({"weight": 100, "header": "X-Track", "responseHeader": "X-Served-By"});
    let mut h = start(&config);
    let answer = h.send(get("/"));
    assert_eq!(answer.header("x-served-by").as_deref(), Some("canary"));
    let request = h.app().request();
    assert_eq!(request.header("x-track").as_deref(), Some("canary"));
    assert_eq!(request.header("x-version"), None);
}

#[test]
fn more_versions_have_names_weights_and_metrics_of_their_own() {
    let config = json!({
        "versions": [
            {"name": "v1"},
            {"name": "v2", "weight": 20, "backend": "shop-v2"},
            {"name": "v3.1-rc", "weight": 30},
        ],
        "key": {"header": "x-user"},
    });
    let mut h = start(&config);
    // v2 has the buckets from 0 to 1999, v3 those from 5000 to 7999.
    for (user, expected) in [("bob", "v2"), ("alice", "v3.1-rc"), ("42", "v1")] {
        let got = version(&mut h, get("/").header("x-user", user));
        assert_eq!(got, expected, "{user}");
    }
    for (metric, count) in [("v1", 1), ("v2", 1), ("v3_1_rc", 1), ("canary", 0)] {
        assert_eq!(h.metric(&format!("canary_{metric}")), count, "{metric}");
    }
    // The rule here has one backendRef, so only the first version's is there. Envoy has no such function.
    let unknown = if mode() == Mode::Envoy { 0 } else { 2 };
    assert_eq!(h.metric("canary_unknown_backend"), unknown);
}

#[test]
fn only_the_header_says_the_version_if_no_backend_is_to_be_selected() {
    let versions = json!([{"name": "v1"}, {"name": "v2", "weight": 100}]);
    let mut h = start(&json!({"versions": versions, "selectBackend": false}));
    assert_eq!(version(&mut h, get("/")), "v2");
    assert_eq!(h.metric("canary_v2"), 1);
    assert_eq!(h.metric("canary_unknown_backend"), 0);
}

#[test]
fn clients_cannot_tell_the_backend_a_version_in_another_spelling() {
    for dry_run in [false, true] {
        let mut h = start(&json!({"weight": 100, "dryRun": dry_run, "header": "x-app-version"}));
        let forged = ["x_app_version", "X-App_Version", "x_app-version"];
        let request = forged
            .iter()
            .fold(get("/"), |it, name| it.header(name, "mine"));
        assert_eq!(h.send(request.header("x-app", "stays")).status(), 200);
        let seen = h.app().request();
        for name in forged {
            assert_eq!(seen.header(name), None, "{name}, dry run: {dry_run}");
        }
        assert_eq!(seen.header("x-app").as_deref(), Some("stays"));
        let version = (!dry_run).then_some("canary");
        assert_eq!(seen.header("x-app-version").as_deref(), version);
    }
}

#[test]
fn a_dry_run_counts_and_changes_nothing_but_what_clients_forge() {
    let config = json!({
        "weight": 100, "dryRun": true, "cookie": {}, "responseHeader": "x-version",
        "match": [{"headers": {"x-beta": "0"}, "version": "stable"}],
    });
    let mut h = start(&config);
    let answer = h.send(get("/").header("x-version", "mine"));
    assert_eq!(answer.header("x-version"), None);
    assert_eq!(answer.header("set-cookie"), None);
    let request = h.app().request();
    assert_eq!(request.header("x-version"), None);
    h.send(get("/").header("x-beta", "0"));
    assert_eq!(h.metric("canary_dry_run_canary"), 1);
    assert_eq!(h.metric("canary_dry_run_stable"), 1);
    assert_eq!(h.metric("canary_canary"), 0);
}

#[test]
fn hosts_that_select_no_backends_are_told_by_the_header() {
    let config = json!({"weight": 100, "versions": []});
    let mut h = Harness::new(canary)
        .config(&config)
        .on_other_hosts()
        .start();
    for _ in 0..2 {
        assert_eq!(version(&mut h, get("/")), "canary");
    }
    assert_eq!(h.metric("canary_unknown_backend"), 0);
}

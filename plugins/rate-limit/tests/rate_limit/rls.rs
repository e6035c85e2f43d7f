//! Limits in Envoy's rate limit service, played by a stub.

#[path = "rls/costs.rs"]
mod costs;
#[path = "rls/failures.rs"]
mod failures;
#[path = "rls/mistakes.rs"]
mod mistakes;
#[path = "rls/service.rs"]
pub(crate) mod service;

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Reply, get, json};

use service::{Answer, Asked, OK, OVER_LIMIT};

/// A store with a service that there is time for, on a busy machine.
fn store() -> Value {
    json!({"rls": {"backend": "limiter", "domain": "edge", "timeout": "10s"}})
}

/// A filter with one limit, whose fields these are beside its store, and a service.
fn start(limit: Value, answer: impl FnMut(&Asked) -> Reply + Send + 'static) -> Harness {
    start_all(json!([limit]), json!({}), answer)
}

fn start_all(
    mut limits: Value,
    mut more: Value,
    mut answer: impl FnMut(&Asked) -> Reply + Send + 'static,
) -> Harness {
    for limit in limits.as_array_mut().expect("a list") {
        let limit = limit.as_object_mut().expect("an object");
        limit.entry("store").or_insert_with(store);
        if !limit.contains_key("requests") {
            limit.entry("failureMode").or_insert(json!("closed"));
        }
    }
    more.as_object_mut()
        .expect("an object")
        .insert("limits".to_owned(), limits);
    Harness::new(rate_limit)
        .config(more)
        .grpc_backend("limiter", move |call| answer(&Asked::of(call)))
        .start()
}

fn admits(_: &Asked) -> Reply {
    Answer::new(OK).reply()
}

/// What the service was asked, call by call.
fn asked(h: &Harness) -> Vec<Asked> {
    h.calls("limiter").iter().map(Asked::of).collect()
}

#[test]
fn a_service_is_asked_about_all_limits_at_once_by_descriptors_as_envoy_names_them() {
    let limits = json!([
        {"key": ["clientIp"]},
        {"name": "all", "key": [
            "path", "method", "host", {"header": "X-User"}, {"cookie": "tier"}, {"query": "page"},
            {"const": "shop"},
        ]},
        {"name": "named", "key": [{"header": "x-user"}, {"const": "a"}], "descriptorKeys": ["user", "kind"]},
    ]);
    let mut h = start_all(limits, json!({}), admits);
    let request = get("/items?page=a%20b&x=1")
        .header("x-user", "ann")
        .header("cookie", "tier=gold");
    assert_eq!(h.send(request).status(), 200);
    let calls = h.calls("limiter");
    assert_eq!(calls.len(), 1);
    assert_eq!(
        calls[0].path(),
        "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
    );
    let asked = Asked::of(&calls[0]);
    assert_eq!((asked.domain.as_str(), asked.hits), ("edge", None));
    let host = h.app().request().host().to_owned();
    assert_eq!(
        asked.lines(),
        [
            "remote_address=127.0.0.1".to_owned(),
            format!(
                "path=/items method=GET host={host} x-user=ann tier=gold page=a b generic_key=shop"
            ),
            "user=ann kind=a".to_owned(),
        ]
    );
    assert!(asked.descriptors.iter().all(|it| it.hits.is_none()));
}

#[test]
fn a_limit_is_not_for_requests_without_a_part_unless_these_share_one() {
    let limits = json!([
        {"name": "one", "key": [{"header": "x-user"}]},
        {"name": "two", "key": [{"const": "c"}, {"header": "x-user"}], "whenMissing": "share"},
    ]);
    let mut h = start_all(limits, json!({}), admits);
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.send(get("/").header("x-user", "")).status(), 200);
    let lines: Vec<_> = asked(&h).iter().map(Asked::lines).collect();
    assert_eq!(
        lines,
        [
            vec!["generic_key=c"],
            vec!["x-user=", "generic_key=c x-user="]
        ]
    );
}

#[test]
fn a_service_is_not_asked_about_what_no_limit_is_for() {
    let mut h = start(json!({"key": [{"header": "x-user"}]}), admits);
    assert_eq!(h.send(get("/")).status(), 200);
    assert!(h.calls("limiter").is_empty());
}

#[test]
fn values_that_are_long_or_no_text_are_told_as_text() {
    let mut h = start(json!({"key": [{"header": "x-user"}]}), admits);
    let long = "a".repeat(2000);
    for value in [&b"k\xe9"[..], long.as_bytes()] {
        assert_eq!(h.send(get("/").header("x-user", value)).status(), 200);
    }
    let lines: Vec<String> = asked(&h).iter().flat_map(Asked::lines).collect();
    assert_eq!(lines[0], "x-user=k\u{fffd}");
    assert!(lines[1].starts_with("x-user=sha256:"), "{}", lines[1]);
}

#[test]
fn a_refusal_is_what_the_service_says() {
    let answer = Answer::new(OVER_LIMIT)
        .status(OK, Some((100, 1, "per-second")), 99, 1)
        .status(OVER_LIMIT, Some((5, 2, "per-minute")), 0, 42)
        .for_client("x-plan", "free")
        .for_client("content-type", "application/json")
        .for_backend("x-tier", "free")
        .body(b"{\"slow\":true}");
    let limits = json!([
        {"name": "one", "key": [{"const": "a"}]},
        {"name": "two", "key": [{"const": "b"}]},
    ]);
    let mut h = start_all(limits, json!({"headers": "both"}), move |_| answer.reply());
    let res = h.send(get("/"));
    assert_eq!(res.status(), 429);
    assert_eq!(res.text(), "{\"slow\":true}");
    let header = |name| res.header(name).unwrap_or_default();
    assert_eq!(header("x-envoy-ratelimited"), "true");
    assert_eq!(header("x-plan"), "free");
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("retry-after"), "42");
    assert_eq!(
        header("ratelimit"),
        "\"per-second\";r=99;t=1, \"per-minute\";r=0;t=42"
    );
    assert_eq!(header("x-ratelimit-remaining"), "0");
    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("rate_limit_denied_rate_limited"), 1);
    assert_eq!(h.metric("rate_limit_limited_one"), 0);
    assert_eq!(h.metric("rate_limit_limited_two"), 1);
}

#[test]
fn a_refusal_without_words_has_a_reason_and_one_with_them_is_plain_text() {
    let mut first = true;
    let mut h = start(json!({"key": ["path"]}), move |_| {
        match std::mem::take(&mut first) {
            true => Answer::new(OVER_LIMIT).reply(),
            false => Answer::new(OVER_LIMIT).body(b"\xff slow").reply(),
        }
    });
    let res = h.send(get("/"));
    assert_eq!((res.status(), &*res.text()), (429, "Too Many Requests\n"));
    assert_eq!(res.header("retry-after"), None);
    assert_eq!(res.header("x-envoy-ratelimited").as_deref(), Some("true"));
    let res = h.send(get("/"));
    assert_eq!((res.status(), res.body()), (429, &b"\xff slow"[..]));
    assert_eq!(res.header("content-type").as_deref(), Some("text/plain"));
}

#[test]
fn what_the_service_says_reaches_the_application_and_the_client() {
    let mut h = start_all(
        json!([{"name": "own", "key": ["path"]}]),
        json!({"headers": "both"}),
        |_| {
            Answer::new(OK)
                .status(OK, Some((10, 2, "per-minute")), 7, 30)
                .for_backend("x-tier", "gold")
                .for_backend("x-tier", "gilt")
                .for_backend("host", "evil.test")
                .for_backend(":path", "/admin")
                .for_backend("x-broken", "a\nb: c")
                .for_client("x-plan", "paid")
                .for_client("transfer-encoding", "chunked")
                .reply()
        },
    );
    let forged = get("/").header("x-tier", "forged").header("x_tier", "too");
    let res = h.send(forged.header("x_other", "stays"));
    assert_eq!(res.status(), 200);
    let request = h.app().request();
    assert_eq!(request.header("x_tier"), None);
    assert_eq!(request.header("x_other").as_deref(), Some("stays"));
    assert_eq!(request.headers().get_all("x-tier"), ["gold", "gilt"]);
    assert_eq!((request.path(), request.header("x-broken")), ("/", None));
    assert_ne!(request.host(), "evil.test");
    let header = |name| res.header(name).unwrap_or_default();
    assert_eq!(header("x-plan"), "paid");
    assert_eq!(header("ratelimit-policy"), "\"per-minute\";q=10;w=60");
    assert_eq!(header("ratelimit"), "\"per-minute\";r=7;t=30");
    assert_eq!(header("x-ratelimit-remaining"), "7");
    assert_eq!(header("x-ratelimit-reset"), "30");
    assert_eq!(res.header("x-envoy-ratelimited"), None);
}

#[test]
fn what_the_service_tells_clients_itself_is_not_told_twice() {
    for code in [OK, OVER_LIMIT] {
        let answer = Answer::new(code)
            .status(code, Some((10, 2, "per-minute")), 0, 30)
            .for_client("X-RateLimit-Remaining", "many")
            .for_client("Retry-After", "7");
        let mut h = start_all(
            json!([{"name": "own", "key": ["path"]}]),
            json!({"headers": "legacy"}),
            move |_| answer.reply(),
        );
        let res = h.send(get("/"));
        let all = |name| res.headers().get_all(name);
        assert_eq!(all("x-ratelimit-remaining"), ["many"]);
        assert_eq!(all("retry-after"), ["7"]);
        assert_eq!(all("x-ratelimit-reset"), ["30"]);
    }
}

#[test]
fn limits_of_this_gateway_are_asked_first_and_get_back_what_the_service_refuses() {
    let mut refuse = true;
    let limits = json!([
        {"name": "global", "key": ["path"]},
        {"name": "here", "key": ["path"], "requests": 1, "window": "1h", "store": "local"},
    ]);
    let mut h = start_all(limits, json!({}), move |_| {
        let code = if std::mem::take(&mut refuse) {
            OVER_LIMIT
        } else {
            OK
        };
        Answer::new(code).reply()
    });
    for (status, calls) in [(429, 1), (200, 2), (429, 2)] {
        assert_eq!(h.send(get("/")).status(), status);
        assert_eq!(h.calls("limiter").len(), calls);
    }
    assert_eq!(h.metric("rate_limit_limited_global"), 1);
    assert_eq!(h.metric("rate_limit_limited_here"), 1);
}

#[test]
fn a_dry_run_asks_and_lets_pass() {
    let limits = json!([{"name": "dry", "key": ["path"], "dryRun": true}]);
    let mut h = start_all(limits, json!({}), |_| Answer::new(OVER_LIMIT).reply());
    assert_eq!(h.send(get("/")).status(), 200);
    h.wait_for("the verdict", |h| {
        h.metric("rate_limit_dry_run_limited_dry") == 1
    });
    assert_eq!(h.calls("limiter").len(), 1);
    let limits = json!([{"name": "wet", "key": ["path"]}]);
    let mut h = start_all(limits, json!({"dryRun": true}), |_| {
        Answer::new(OVER_LIMIT).reply()
    });
    let res = h.send(get("/"));
    assert_eq!(res.status(), 200);
    assert_eq!(h.metric("rate_limit_dry_run_denied"), 1);
}

//! Limits that run dry: what they count, and what requests notice of them.

use rate_limit::rate_limit;
use tidegate_sdk_testing::{Harness, Mode, Reply, get, json, ms, not_in};

use super::rls::service::{Answer, Asked, OK, OVER_LIMIT};
use super::statuses;

#[test]
fn a_dry_limit_is_charged_for_what_it_would_have_admitted_and_nothing_else() {
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [{
            "name": "new", "requests": 10, "window": "1000h", "dryRun": true,
            "costFrom": {"responseHeader": "x-tokens"},
        }]}))
        .app(|_| Reply::text(200, "").header("x-tokens", "5"))
        .start();
    assert_eq!(statuses(&mut h, 5, || get("/")), [200; 5]);
    assert_eq!(h.metric("rate_limit_allowed_new"), 2);
    assert_eq!(h.metric("rate_limit_dry_run_limited_new"), 3);
}

/// A dry limit of a service that answers so after a while.
fn dry(code: u64, after: u64) -> Harness {
    let store = json!({"rls": {"backend": "limiter", "domain": "edge", "timeout": "10s"}});
    let limit = |name| {
        json!({
            "name": name, "key": [{"const": name}], "dryRun": true, "store": store,
            "costFrom": {"responseHeader": "x-tokens"}, "failureMode": "open",
        })
    };
    Harness::new(rate_limit)
        .config(json!({"limits": [limit("one"), limit("two")]}))
        .grpc_backend("limiter", move |_| {
            Answer::new(code).reply().after(ms(after))
        })
        .app(|_| Reply::text(200, "").header("x-tokens", "5"))
        .start()
}

#[test]
fn a_request_does_not_wait_for_dry_limits() {
    if not_in(Mode::Wasm, "time is exact") || not_in(Mode::Envoy, "time is exact") {
        return;
    }
    let mut h = dry(OK, 300);
    let began = h.unix_time();
    assert_eq!(h.send(get("/")).status(), 200);
    assert_eq!(h.unix_time(), began);
}

#[test]
fn dry_limits_of_a_service_are_asked_at_once_and_charged_when_both_answers_are_there() {
    for after in [0, 50] {
        let mut h = dry(OK, after);
        assert_eq!(h.send(get("/")).status(), 200);
        h.advance(ms(after));
        h.wait_for("the charges", |h| h.calls("limiter").len() == 3);
        let asked: Vec<_> = h.calls("limiter").iter().map(Asked::of).collect();
        assert_eq!(asked[0].lines(), ["generic_key=one", "generic_key=two"]);
        let hits: Vec<_> = asked.iter().map(|it| it.hits).collect();
        assert_eq!(hits, [None, Some(4), Some(4)]);
        h.advance(ms(after));
        h.wait_for("the verdicts", |h| h.metric("rate_limit_allowed_two") == 1);
    }
}

#[test]
fn what_a_dry_limit_would_have_refused_is_not_charged_to_it() {
    let mut h = dry(OVER_LIMIT, 50);
    assert_eq!(h.send(get("/")).status(), 200);
    h.advance(ms(50));
    h.wait_for("the verdicts", |h| {
        h.metric("rate_limit_dry_run_limited_two") == 1
    });
    assert_eq!(h.metric("rate_limit_dry_run_limited_one"), 1);
    // A charge would be another call.
    assert_eq!(h.metric("rate_limit_rls_calls"), 1);
}

//! The same tests run natively, on Tidegate and on Envoy.
//!
//! Windows are hours where nothing may come back within a test, which takes real time on Envoy.

#[path = "rate_limit/costs.rs"]
mod costs;
#[path = "rate_limit/dry.rs"]
mod dry;
#[path = "rate_limit/keys.rs"]
mod keys;
#[path = "rate_limit/leases.rs"]
mod leases;
#[path = "rate_limit/leaving.rs"]
mod leaving;
#[path = "rate_limit/mistakes.rs"]
mod mistakes;
#[path = "rate_limit/model.rs"]
mod model;
#[path = "rate_limit/redis.rs"]
mod redis;
#[path = "rate_limit/told.rs"]
mod told;

#[path = "rate_limit/rls.rs"]
mod rls;

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk::prelude::*;
use tidegate_sdk_testing::{Harness, Mode, Request as Sent, get, json, not_in};

fn start(config: &Value) -> Harness {
    Harness::new(rate_limit).config(config).start()
}

fn with_limits(limits: &Value) -> Harness {
    start(&json!({"limits": limits}))
}

/// The statuses of so many requests.
fn statuses(h: &mut Harness, count: usize, request: impl Fn() -> Sent) -> Vec<u16> {
    (0..count).map(|_| h.send(request()).status()).collect()
}

#[test]
fn what_is_beyond_the_burst_is_refused_for_each_requester_apart() {
    let mut h = with_limits(
        &json!([{"key": [{"header": "x-user"}], "requests": 100, "window": "1h", "burst": 3}]),
    );
    for user in ["ann", "bob"] {
        let seen = statuses(&mut h, 5, || get("/").header("x-user", user));
        assert_eq!(seen, [200, 200, 200, 429, 429], "{user}");
    }
    assert_eq!(h.app().requests().len(), 6);
    assert_eq!(h.metric("rate_limit_allowed"), 6);
    assert_eq!(h.metric("rate_limit_denied"), 4);
    assert_eq!(h.metric("rate_limit_denied_rate_limited"), 4);
    assert_eq!(h.metric("rate_limit_allowed_x_user_1h"), 6);
    assert_eq!(h.metric("rate_limit_limited_x_user_1h"), 4);
}

#[test]
fn in_any_time_a_burst_and_the_rate_are_admitted_and_nothing_else() {
    if not_in(Mode::Envoy, "ten seconds pass") {
        return;
    }
    let mut h = with_limits(&json!([{"requests": 20, "window": "1s", "burst": 7}]));
    let began = h.unix_time();
    let interval = Duration::from_millis(50);
    // The clock that limits go by is another than the one that can be read here: they may drift apart.
    let drift = Duration::from_millis(20);
    let mut admitted = Vec::new();
    // When the limit is full again, if each was admitted as late as can be.
    let mut full_at = Duration::ZERO;
    for _ in 0..1_000 {
        let asked = h.unix_time() - began;
        let status = h.send(get("/")).status();
        // In Tidegate the clock goes on by itself, too.
        let answered = h.unix_time() - began;
        if status == 200 {
            admitted.push((asked, answered));
            full_at = full_at.max(answered) + interval;
        } else {
            let room = full_at + interval + drift <= asked + 7 * interval;
            assert!(!room, "refused at {asked:?}, and full at {full_at:?}");
        }
        h.advance(Duration::from_millis(10));
    }
    for (index, (from, _)) in admitted.iter().enumerate() {
        for (count, (_, until)) in (1_u32..).zip(&admitted[index..]) {
            let span = (*until - *from + drift).as_secs_f64();
            assert!(f64::from(count) <= 7.0 + 20.0 * span, "{count} in {span} s");
        }
    }
    assert!(admitted.len() >= 7 + 200 - 1, "{}", admitted.len());
}

#[test]
fn a_refused_request_takes_from_no_limit() {
    let mut h = with_limits(&json!([
        {"name": "wide", "requests": 5, "window": "1h"},
        {"name": "narrow", "key": [{"header": "x-user"}], "requests": 2, "window": "1h"},
    ]));
    let seen = statuses(&mut h, 6, || get("/").header("x-user", "ann"));
    assert_eq!(seen, [200, 200, 429, 429, 429, 429]);
    // Four refusals later, the wide one still has three.
    let seen = statuses(&mut h, 2, || get("/").header("x-user", "bob"));
    assert_eq!(seen, [200, 200]);
    let seen = statuses(&mut h, 2, || get("/").header("x-user", "cid"));
    assert_eq!(seen, [200, 429]);
    assert_eq!(h.metric("rate_limit_limited_narrow"), 4);
    assert_eq!(h.metric("rate_limit_limited_wide"), 1);
    assert_eq!(h.metric("rate_limit_allowed_wide"), 5);
}

#[test]
fn what_was_used_comes_back_with_time() {
    let mut h = with_limits(&json!([{"requests": 1, "window": "500ms"}]));
    assert_eq!(statuses(&mut h, 1, || get("/")), [200]);
    h.advance(Duration::from_millis(600));
    assert_eq!(statuses(&mut h, 1, || get("/")), [200]);
}

#[test]
fn a_dry_run_counts_and_lets_pass() {
    let mut h = start(&json!({
        "limits": [{"requests": 1, "window": "1h"}], "dryRun": true,
    }));
    assert_eq!(statuses(&mut h, 3, || get("/")), [200, 200, 200]);
    assert_eq!(h.metric("rate_limit_allowed"), 1);
    assert_eq!(h.metric("rate_limit_denied"), 0);
    assert_eq!(h.metric("rate_limit_dry_run_denied"), 2);
    assert!(h.logged("runs dry"));
}

#[test]
fn a_limit_that_runs_dry_counts_beside_those_that_do_not() {
    let mut h = with_limits(&json!([
        {"name": "old", "requests": 3, "window": "1h"},
        {"name": "new", "requests": 1, "window": "1h", "dryRun": true},
    ]));
    assert_eq!(statuses(&mut h, 4, || get("/")), [200, 200, 200, 429]);
    assert_eq!(h.metric("rate_limit_allowed_new"), 1);
    assert_eq!(h.metric("rate_limit_limited_new"), 0);
    // Refused requests do not come that far.
    assert_eq!(h.metric("rate_limit_dry_run_limited_new"), 2);
    let res = h.send(get("/"));
    assert!(!res.header("ratelimit").unwrap().contains("new"));
}

#[test]
fn a_flood_of_other_keys_does_not_free_a_busy_one() {
    let mut h =
        with_limits(&json!([{"key": [{"header": "x-user"}], "requests": 10, "window": "1h"}]));
    let busy = || get("/").header("x-user", "busy");
    assert_eq!(statuses(&mut h, 11, busy)[9..], [200, 429]);
    for number in 0..1_000 {
        h.send(get("/").header("x-user", number.to_string()));
    }
    assert_eq!(statuses(&mut h, 2, busy), [429, 429]);
}

//! How much requests take.

use tidegate_sdk_testing::{Harness, Reply, get, json};

use super::rate_limit;
use super::statuses;
use super::with_limits;

#[test]
fn a_request_takes_what_it_costs() {
    let mut h = with_limits(&json!([{"requests": 10, "window": "1h", "cost": 4}]));
    assert_eq!(statuses(&mut h, 3, || get("/")), [200, 200, 429]);
    let left = h.send(get("/")).header("ratelimit").unwrap();
    assert!(left.contains(";r=2;"), "{left}");
}

#[test]
fn a_header_of_the_request_may_say_more_and_not_less() {
    let mut h = with_limits(&json!([{
        "requests": 10, "window": "1h", "cost": 2, "costFrom": {"requestHeader": "x-cost"},
    }]));
    for (cost, status, left) in [
        ("5", 200, 5),
        ("0", 200, 3),
        ("nonsense", 200, 1),
        ("1", 429, 1),
        ("18446744073709551615", 429, 1),
    ] {
        let res = h.send(get("/").header("x-cost", cost));
        assert_eq!(res.status(), status, "{cost}");
        let told = res.header("ratelimit").unwrap();
        assert!(told.contains(&format!(";r={left};")), "{cost}: {told}");
        // What can never be admitted has no time to wait for.
        let never = cost.len() > 10;
        assert_eq!(res.header("retry-after").is_some(), status == 429 && !never);
    }
}

#[test]
fn a_header_of_the_response_is_charged_afterwards_also_beyond_the_limit() {
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [{
            "requests": 100, "window": "1h", "costFrom": {"responseHeader": "x-tokens"},
        }]}))
        .app(|req| {
            let reply = Reply::text(200, "");
            match req.header("x-ask") {
                Some(tokens) => reply.header("x-tokens", tokens),
                None => reply,
            }
        })
        .start();
    for (ask, status, left) in [
        (Some("40"), 200, 99),
        (None, 200, 59),
        (Some("0"), 200, 58),
        (Some("90"), 200, 57),
        (Some("1"), 429, 0),
    ] {
        let request = match ask {
            Some(ask) => get("/").header("x-ask", ask),
            None => get("/"),
        };
        let res = h.send(request);
        assert_eq!(res.status(), status, "{ask:?}");
        let told = res.header("ratelimit").unwrap();
        assert!(told.contains(&format!(";r={left};")), "{ask:?}: {told}");
    }
}

#[test]
fn what_costs_nothing_takes_nothing() {
    let mut h = with_limits(&json!([{"requests": 1, "window": "1h", "cost": 0}]));
    assert_eq!(statuses(&mut h, 3, || get("/")), [200, 200, 200]);
}

#[test]
fn a_dry_run_charges_only_for_what_it_would_have_admitted() {
    let mut h = Harness::new(rate_limit)
        .config(json!({"dryRun": true, "limits": [{
            "requests": 10, "window": "1h", "costFrom": {"responseHeader": "x-tokens"},
        }]}))
        .app(|_| Reply::text(200, "").header("x-tokens", "10"))
        .start();
    let left = |h: &mut Harness| h.send(get("/")).header("ratelimit").unwrap();
    assert!(left(&mut h).contains(";r=9;t=360"));
    for _ in 0..3 {
        // Ten were used: an hour brings them back, however many requests come meanwhile.
        let told = left(&mut h);
        assert!(
            told.ends_with(";r=0;t=3600") || told.ends_with(";r=0;t=3599"),
            "{told}"
        );
    }
}

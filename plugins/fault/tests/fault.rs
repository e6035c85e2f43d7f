//! The same tests run natively, on Tidegate and on Envoy.

#[path = "fault/asked.rs"]
mod asked;
#[path = "fault/bandwidth.rs"]
mod bandwidth;
#[path = "fault/bounds.rs"]
mod bounds;
#[path = "fault/configuration.rs"]
mod configuration;
#[path = "fault/oracle.rs"]
mod oracle;

use fault::fault;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, get, json, mode, ms, not_in, post};

fn start(config: &Value) -> Harness {
    Harness::new(fault).config(config).start()
}

/// Here, and natively as on a host that knows no attempts.
fn everywhere(config: &Value) -> [Harness; 2] {
    [
        start(config),
        Harness::new(fault).config(config).on_other_hosts().start(),
    ]
}

#[test]
fn a_request_fails_as_if_the_backend_had_answered() {
    for mut h in everywhere(&json!({"abort": {"httpStatus": 418}})) {
        for request in [get("/"), post("/").body("order")] {
            let answer = h.send(request);
            assert_eq!(answer.status(), 418);
            assert_eq!(answer.text(), "fault filter abort");
        }
        assert!(h.app().requests().is_empty());
        assert_eq!(h.metric("fault_aborts"), 2);
        assert_eq!((h.metric("fault_delays"), h.metric("fault_active")), (0, 0));
    }
}

#[test]
fn a_status_that_has_no_body_gets_none() {
    for status in [204, 205, 304] {
        for mut h in everywhere(&json!({"abort": {"httpStatus": status}})) {
            for _ in 0..2 {
                let answer = h.send(get("/"));
                assert_eq!((answer.status(), answer.text()), (status, String::new()));
            }
        }
    }
}

#[test]
fn grpc_clients_get_a_status_of_grpc_and_others_the_nearest_of_http() {
    for mut h in everywhere(&json!({"abort": {"grpcStatus": 8}})) {
        let call = post("/shop.Orders/Get").header("content-type", "application/grpc");
        let answer = h.send(call.body([0; 5]));
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.header("grpc-status").as_deref(), Some("8"));
        assert_eq!(
            answer.header("grpc-message").as_deref(),
            Some("fault filter abort")
        );
        assert!(answer.body().is_empty(), "trailers alone");
        assert_eq!(h.send(get("/")).status(), 429);
    }
    for mut h in everywhere(&json!({"abort": {"httpStatus": 503}})) {
        let call = post("/shop.Orders/Get").header("content-type", "application/grpc");
        let answer = h.send(call.body([0; 5]));
        assert_eq!(answer.header("grpc-status").as_deref(), Some("14"));
    }
}

#[test]
fn a_request_waits_and_goes_on() {
    for mut h in everywhere(&json!({"delay": {"fixed": "200ms"}})) {
        let begun = h.unix_time();
        let answer = h.send(post("/").body("order"));
        assert!(h.unix_time() - begun >= ms(200));
        assert_eq!((answer.status(), answer.text()), (200, "order".to_owned()));
        assert_eq!(h.app().requests().len(), 1);
        assert_eq!(h.metric("fault_delays"), 1);
        assert_eq!((h.metric("fault_aborts"), h.metric("fault_active")), (0, 0));
    }
}

#[test]
fn a_request_waits_before_it_fails() {
    let config = json!({"abort": {"httpStatus": 503}, "delay": {"fixed": "200ms"}});
    for mut h in everywhere(&config) {
        let begun = h.unix_time();
        assert_eq!(h.send(get("/")).status(), 503);
        assert!(h.unix_time() - begun >= ms(200));
        assert!(h.app().requests().is_empty());
        assert_eq!((h.metric("fault_delays"), h.metric("fault_aborts")), (1, 1));
    }
}

#[test]
fn delays_lie_where_their_distribution_has_them() {
    for (delay, least) in [
        (json!({"uniform": {"min": "50ms", "max": "100ms"}}), 50),
        (json!({"exponential": {"mean": "20ms", "max": "100ms"}}), 0),
    ] {
        let mut h = start(&json!({"delay": delay}));
        for _ in 0..5 {
            let begun = h.unix_time();
            assert_eq!(h.send(get("/")).status(), 200);
            let took = h.unix_time() - begun;
            assert!(took >= ms(least), "{took:?}");
            // In real time, peers take theirs, too.
            assert!(took <= ms(101) || mode() != Mode::Native, "{took:?}");
        }
        assert_eq!(h.metric("fault_delays"), 5);
    }
}

#[test]
fn a_share_of_the_requests_suffers() {
    let sent = 200;
    let mut h = start(&json!({
        "abort": {"httpStatus": 503, "percentage": 12.5},
        "delay": {"fixed": "1ms", "percentage": 0},
    }));
    let failed = (0..sent).filter(|_| h.send(get("/")).status() == 503);
    let failed = failed.count();
    // 25, with a deviation of 4.7.
    assert!((2..=50).contains(&failed), "{failed}");
    assert_eq!(h.app().requests().len(), sent - failed);
    assert_eq!(h.metric("fault_aborts"), u64::try_from(failed).unwrap());
    assert_eq!(h.metric("fault_delays"), 0);
}

#[test]
fn only_requests_that_match_all_conditions_suffer() {
    let mut h = start(&json!({
        "abort": {"httpStatus": 503},
        "headers": [
            {"name": "x-tester"},
            {"name": "x-stage", "exact": "canary"},
            {"name": "user-agent", "prefix": "curl/"},
            {"name": "x-spare", "present": false},
        ],
    }));
    let all = [
        ("x-tester", "ann"),
        ("x-stage", "canary"),
        ("user-agent", "curl/8"),
    ];
    let mut status = |headers: &[(&str, &str)]| {
        let with = |req: tidegate_sdk_testing::Request, (name, value): &(&str, &str)| {
            req.header(name, value)
        };
        h.send(headers.iter().fold(get("/"), with)).status()
    };
    assert_eq!(status(&all), 503);
    assert_eq!(status(&[all[0], all[1], all[2], ("x-spare", "1")]), 200);
    for at in 0..all.len() {
        let mut some = all;
        some[at].1 = "other";
        assert_eq!(status(&some), if at == 0 { 503 } else { 200 });
        some[at].0 = "x-other";
        assert_eq!(status(&some), 200);
    }
}

#[test]
fn a_dry_run_counts_and_says_what_it_would_do_and_does_nothing() {
    let mut h = start(&json!({
        "abort": {"httpStatus": 503},
        "delay": {"fixed": "1h"},
        "dryRun": true,
    }));
    let request = get("/").header("x-envoy-fault-abort-request", "500");
    assert_eq!(h.send(request).status(), 200);
    let asked = h.app().requests()[0].header("x-envoy-fault-abort-request");
    assert_eq!(asked, None, "removed all the same");
    assert!(h.logged("delay of 3600000 ms, abort with 503"));
    assert_eq!(h.metric("fault_dry_run_aborts"), 1);
    assert_eq!(h.metric("fault_dry_run_delays"), 1);
    assert_eq!((h.metric("fault_aborts"), h.metric("fault_delays")), (0, 0));
}

#[test]
fn a_delay_counts_for_the_time_limit_of_the_request() {
    if not_in(Mode::Envoy, "its routes begin to count after the filters") {
        return;
    }
    let mut h = Harness::new(fault)
        .config(json!({"delay": {"fixed": "1h"}}))
        .request_timeout(ms(300))
        .start();
    assert_eq!(h.send(get("/")).status(), 504);
    assert!(h.app().requests().is_empty());
    assert_eq!(h.metric("fault_active"), 0);
}

#[test]
fn a_delay_may_be_longer_than_a_filter_may_hold_a_request() {
    if not_in(Mode::Envoy, "a minute passes") {
        return;
    }
    let mut h = start(&json!({"delay": {"fixed": "1m"}}));
    let exchange = h.begin(get("/"));
    h.wait_for("the delay", |h| h.metric("fault_delays") == 1);
    h.advance(ms(59_000));
    assert!(h.app().requests().is_empty());
    h.advance(ms(1_100));
    assert_eq!(exchange.finish().status(), 200);
}

//! How many suffer at once, and clients that do not wait.

use fault::fault;
use tidegate_sdk_testing::{Harness, Mode, get, json, not_in};

#[test]
fn no_more_requests_suffer_at_once_than_may() {
    let config = json!({"delay": {"fixed": "1500ms"}, "maxActiveFaults": 2});
    for builder in [
        Harness::new(fault).config(&config),
        Harness::new(fault).config(&config).on_other_hosts(),
    ] {
        let mut h = builder.start();
        let first = h.begin(get("/first"));
        let second = h.begin(get("/second"));
        h.wait_for("two that suffer", |h| h.metric("fault_active") == 2);
        let third = h.begin(get("/third"));
        h.wait_for("the third", |h| h.metric("fault_overflow") == 1);
        assert_eq!(third.finish().status(), 200);
        assert_eq!(h.metric("fault_delays"), 2);
        assert_eq!(first.finish().status(), 200);
        assert_eq!(second.finish().status(), 200);
        h.wait_for("nobody to suffer", |h| h.metric("fault_active") == 0);
        assert_eq!(h.send(get("/fourth")).status(), 200);
        assert_eq!(h.metric("fault_delays"), 3);
    }
}

#[test]
fn a_client_that_leaves_gives_its_place_to_others() {
    let config = json!({"delay": {"fixed": "1h"}, "maxActiveFaults": 1});
    for builder in [
        Harness::new(fault).config(&config),
        Harness::new(fault).config(&config).on_other_hosts(),
    ] {
        let mut h = builder.start();
        for times in 1..=2 {
            let exchange = h.begin(get("/"));
            h.wait_for("one that suffers", |h| h.metric("fault_delays") == times);
            exchange.disconnect();
            h.wait_for("nobody to suffer", |h| h.metric("fault_active") == 0);
        }
        assert_eq!(h.metric("fault_overflow"), 0);
        assert!(h.app().requests().is_empty());
    }
}

#[test]
fn many_that_wait_at_once_all_go_on() {
    let why = "so many connections take it minutes";
    if not_in(Mode::Wasm, why) || not_in(Mode::Envoy, why) {
        return;
    }
    let config = json!({"delay": {"fixed": "300ms"}});
    for builder in [
        Harness::new(fault).config(&config),
        Harness::new(fault).config(&config).on_other_hosts(),
    ] {
        let mut h = builder.start();
        // More than one callback wakes.
        let waiting: Vec<_> = (0..300).map(|_| h.begin(get("/"))).collect();
        for exchange in waiting {
            assert_eq!(exchange.finish().status(), 200);
        }
        assert_eq!(
            (h.metric("fault_delays"), h.metric("fault_active")),
            (300, 0)
        );
    }
}

//! Clients that leave while stores are asked about them.

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Reply, Request, get, json, ms};

use super::redis::{Server, no_redis};

/// A limit that all share: requests take what their header says, and can look without taking.
fn all(store: &Value) -> Value {
    json!({
        "name": "all", "requests": 12, "window": "1000h", "cost": 0,
        "costFrom": {"requestHeader": "x-cost"}, "store": store,
    })
}

fn taking(cost: &str) -> Request {
    get("/").header("x-cost", cost)
}

/// Waits until the limit that all share is as it was.
fn wait_until_full(h: &mut Harness) {
    h.advance(ms(300));
    h.wait_for("what was taken comes back", |h| {
        let told = h.send(taking("0")).header("ratelimit");
        told.is_some_and(|it| it.contains("\"all\";r=12;"))
    });
    assert_eq!(h.send(taking("12")).status(), 200);
    assert_eq!(h.send(taking("1")).status(), 429);
}

#[test]
fn a_client_that_leaves_while_another_store_is_asked_takes_nothing() {
    let service = json!({"rls": {"backend": "limiter", "domain": "edge", "timeout": "10s"}});
    let own = json!({"name": "own", "key": [{"header": "x-user"}], "store": service,
        "failureMode": "open"});
    let mut h = Harness::new(rate_limit)
        .config(json!({"limits": [all(&json!("local")), own]}))
        .grpc_backend("limiter", |_| Reply::never())
        .start();
    for count in 1..=4 {
        let gone = h.begin(taking("3").header("x-user", "ann"));
        h.wait_for("the call", |h| h.calls("limiter").len() == count);
        gone.disconnect();
    }
    wait_until_full(&mut h);
}

#[test]
fn a_client_that_leaves_before_redis_answers_takes_nothing() {
    if no_redis() {
        return;
    }
    for slots in [1, 64] {
        let server = Server::default();
        let store = json!({"redis": {"backend": "redis", "timeout": "5s", "slots": slots}});
        let own = json!({"name": "own", "key": [{"header": "x-user"}], "requests": 100,
            "window": "1000h", "store": store});
        let mut h = Harness::new(rate_limit)
            .config(json!({"limits": [all(&store), own]}))
            .redis("redis", move |command| {
                server.command(command).after(ms(50))
            })
            .start();
        // The server knows the script now.
        assert_eq!(h.send(taking("0")).status(), 200);
        for _ in 0..4 {
            let before = h.commands("redis").len();
            let gone = h.begin(taking("3").header("x-user", "ann"));
            h.wait_for("the command", |h| h.commands("redis").len() > before);
            gone.disconnect();
        }
        wait_until_full(&mut h);
        let refunds = h.commands("redis");
        let refunds = refunds.iter().filter(|it| {
            let mut words = it.words().iter();
            words.any(|word| word == b"refund")
        });
        assert!(refunds.count() >= 4, "{slots}");
    }
}

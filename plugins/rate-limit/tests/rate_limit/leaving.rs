//! Clients that leave while stores are asked about them.

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{Harness, Reply, Request, get, json, ms};

use super::redis::{Server, no_redis};
use super::rls::service::{Answer, Asked, OK, OVER_LIMIT};

/// A limit that each has, by its header, and one that all share.
fn limits(own: (u32, &Value), all: (u32, &Value)) -> Value {
    let limit = |name: &str, (requests, store): (u32, &Value), key: Value| {
        json!({
            "name": name, "requests": requests, "window": "1000h", "key": key, "store": store,
            "failureMode": "open",
        })
    };
    let own = limit("own", own, json!([{"header": "x-user"}]));
    json!({"limits": [own, limit("all", all, json!([{"const": "all"}]))]})
}

fn service() -> Value {
    json!({"rls": {"backend": "limiter", "domain": "edge", "timeout": "10s"}})
}

fn of_ann() -> Request {
    get("/").header("x-user", "ann")
}

/// What is left of the limit that all share, as somebody else is told.
fn left(h: &mut Harness) -> Option<u64> {
    let response = h.send(get("/").header("x-user", "bob"));
    let told = response.header("ratelimit")?;
    let (_, all) = told.split_once("\"all\";r=")?;
    all.split(';').next()?.parse().ok()
}

#[test]
fn who_leaves_meets_its_own_limit_as_who_stays_does() {
    if no_redis() {
        return;
    }
    for slots in [1, 64] {
        let server = Server::default();
        let store = json!({"redis": {"backend": "redis", "timeout": "5s", "slots": slots}});
        let mut h = Harness::new(rate_limit)
            .config(limits((5, &json!("local")), (100, &store)))
            .redis("redis", move |command| {
                server.command(command).after(ms(50))
            })
            .start();
        assert_eq!(left(&mut h), Some(99));
        for _ in 0..5 {
            let before = h.commands("redis").len();
            let gone = h.begin(of_ann());
            h.wait_for("the command", |h| h.commands("redis").len() > before);
            gone.disconnect();
        }
        for _ in 0..20 {
            assert_eq!(h.send(of_ann()).status(), 429);
        }
        h.advance(ms(300));
        assert_eq!(left(&mut h), Some(93), "{slots}");
    }
}

#[test]
fn what_a_service_refuses_comes_back_though_its_client_has_left() {
    let mut h = Harness::new(rate_limit)
        .config(limits((1, &service()), (10, &json!("local"))))
        .grpc_backend("limiter", |call| match &Asked::of(call).lines()[..] {
            [user] if user == "x-user=ann" => Answer::new(OVER_LIMIT).reply().after(ms(50)),
            _ => Answer::new(OK).reply(),
        })
        .start();
    assert_eq!(left(&mut h), Some(9));
    for count in 2..=6 {
        let gone = h.begin(of_ann());
        h.wait_for("the call", |h| h.calls("limiter").len() == count);
        gone.disconnect();
    }
    h.advance(ms(300));
    h.wait_for("what was taken comes back", |h| {
        left(h).is_some_and(|it| it >= 4)
    });
}

#[test]
fn what_a_service_admits_stays_taken_though_its_client_has_left() {
    let mut h = Harness::new(rate_limit)
        .config(limits((1, &service()), (5, &json!("local"))))
        .grpc_backend("limiter", |_| Reply::never())
        .start();
    for count in 1..=5 {
        let gone = h.begin(of_ann());
        h.wait_for("the call", |h| h.calls("limiter").len() == count);
        gone.disconnect();
    }
    assert_eq!(h.send(of_ann()).status(), 429);
}

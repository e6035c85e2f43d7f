//! Limits in Redis with leases: fewer commands, and never more beyond the limit than is promised.

use serde_json::Value;
use tidegate_sdk_testing::{Harness, Mode, RedisReply, Reply, get, json, ms, not_in};

use super::redis::{Server, admitted_by_three, gateway, no_redis};

/// The most permits that a worker holds in these tests.
const PERMITS: u64 = 20;

fn leased() -> Value {
    json!({"backend": "redis", "timeout": "5s", "lease": {"permits": PERMITS, "ttl": "1s"}})
}

fn gateways(server: &Server, count: usize, limits: &[Value]) -> Vec<Harness> {
    (0..count)
        .map(|_| gateway(server, &leased(), limits).start())
        .collect()
}

fn admitted(h: &mut Harness, requests: usize) -> u64 {
    let statuses = (0..requests).map(|_| h.send(get("/")).status());
    statuses.filter(|status| *status == 200).count() as u64
}

#[test]
fn permits_are_spent_without_asking_and_the_limit_holds_exactly_when_no_time_passes() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({"requests": 200, "window": "8000h"});
    let mut all = gateways(&server, 3, &[limit]);
    let mut sum = 0;
    for h in &mut all {
        sum += admitted(h, 100);
    }
    // What is missing is held by those who were asked first.
    assert!((200 - 2 * PERMITS..=200).contains(&sum), "{sum}");
    for h in &mut all {
        sum += admitted(h, 100);
    }
    assert_eq!(sum, 200);
    let commands: usize = all.iter().map(|h| h.commands("redis").len()).sum();
    // One, two, four, … twenty at a time.
    assert!(commands < 60, "{commands}");
}

#[test]
fn what_is_not_spent_is_given_back() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({"requests": 100, "window": "8000h"});
    let mut all = gateways(&server, 2, &[limit]);
    let [one, other] = &mut all[..] else { panic!() };
    // It takes more and more at a time, and leaves some of the last.
    assert_eq!(admitted(one, 50), 50);
    one.advance(ms(1_600));
    one.wait_for("what is given back", |one| {
        let commands = one.commands("redis");
        commands
            .iter()
            .any(|it| it.words().iter().any(|word| word == b"refund"))
    });
    assert_eq!(admitted(other, 60), 50);
}

#[test]
fn who_needs_what_is_on_its_way_waits_for_the_same_fetch() {
    if no_redis() || not_in(Mode::Wasm, "requests begin while time stands still") {
        return;
    }
    let server = Server::default();
    let limit = json!({"requests": 100, "window": "8000h"});
    let mut h = gateway(&server, &leased(), &[limit])
        .redis("redis", {
            let server = server.clone();
            move |command| server.command(command).after(ms(10))
        })
        .start();
    let exchanges: Vec<_> = (0..30).map(|_| h.begin(get("/"))).collect();
    let statuses = exchanges.into_iter().map(|it| it.finish().status());
    assert!(statuses.into_iter().all(|status| status == 200));
    // The first is asked twice, because the server does not know the script.
    let commands = h.commands("redis").len();
    assert!(commands <= 2 + 6, "{commands}");
}

#[test]
fn a_client_that_leaves_has_spent_its_permits() {
    if no_redis() || not_in(Mode::Wasm, "time stands still") {
        return;
    }
    let server = Server::default();
    let limit = json!({"requests": 3, "window": "8000h"});
    let mut h = gateway(&server, &leased(), &[limit])
        .redis("redis", {
            let server = server.clone();
            move |command| server.command(command).after(ms(10))
        })
        .start();
    h.begin(get("/")).disconnect();
    assert_eq!(admitted(&mut h, 3), 2);
}

#[test]
fn a_server_that_is_gone_stops_nobody_who_has_permits() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({"requests": 1000, "window": "8000h", "failureMode": "closed"});
    let mut h = gateway(&server, &leased(), &[limit]).start();
    // It has taken 1, 2, 4, 8 and 16: six are left.
    assert_eq!(admitted(&mut h, 25), 25);
    server.answer(Some(RedisReply::reset()));
    assert_eq!(admitted(&mut h, 40), 6);
}

#[test]
fn what_only_responses_cost_is_refused_while_it_is_owed() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({
        "requests": 10, "window": "8000h", "cost": 0, "costFrom": {"responseHeader": "x-cost"},
    });
    let mut h = gateway(&server, &leased(), &[limit])
        .app(|_| Reply::status(200).header("x-cost", "15"))
        .start();
    assert_eq!(h.send(get("/")).status(), 200);
    h.wait_for("the charge", |h| {
        let commands = h.commands("redis");
        commands
            .iter()
            .any(|it| it.words().iter().any(|word| word == b"charge"))
    });
    // A permit that it holds is given back in its time.
    h.advance(ms(1_600));
    h.wait_for("what is given back", |h| {
        let commands = h.commands("redis");
        commands
            .iter()
            .any(|it| it.words().iter().any(|word| word == b"refund"))
    });
    assert_eq!(h.send(get("/")).status(), 429);
}

#[test]
fn several_limits_are_spent_together_or_not_at_all() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let narrow = json!({"key": [{"header": "x-user"}], "requests": 5, "window": "8000h"});
    let wide = json!({"name": "all", "requests": 12, "window": "8000h"});
    let mut h = gateway(&server, &leased(), &[narrow, wide]).start();
    let mut count = |user: &str| {
        let statuses = (0..10).map(|_| h.send(get("/").header("x-user", user)).status());
        statuses.filter(|status| *status == 200).count()
    };
    assert_eq!((count("ann"), count("bob"), count("cid")), (5, 5, 2));
}

#[test]
fn three_gateways_with_leases_stay_within_what_they_may_hold() {
    if not_in(Mode::Wasm, "time is exact") || no_redis() {
        return;
    }
    let admitted = admitted_by_three(&leased(), 100, 40);
    let most = 40 + 100 * 10;
    // A quarter of the burst is less than the permits that are configured.
    let held = 3 * 10;
    assert!(
        (most * 99 / 100..=most + held).contains(&admitted),
        "{admitted}"
    );
}

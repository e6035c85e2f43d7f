//! Limits in Redis, exactly: what is asked of it, and what happens while it does not answer.

#![expect(
    clippy::disallowed_types,
    reason = "a server of a test may be asked by several threads"
)]

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use rate_limit::rate_limit;
use serde_json::Value;
use tidegate_sdk_testing::{
    Builder, Harness, Mode, RedisCommand, RedisReply, RedisValue, get, json, ms, not_in,
};

use super::model::Model;

/// A Redis server with the script's model in it, for any number of gateways.
#[derive(Clone, Default)]
pub(crate) struct Server(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    model: Model,
    /// It has the script: not before somebody sends the text.
    knows: bool,
    /// What it answers in the place of the script, if it does.
    instead: Option<RedisReply>,
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers with this from now on, or runs the script again.
    pub(crate) fn answer(&self, instead: Option<RedisReply>) {
        self.state().instead = instead;
    }

    /// Loses all it knows.
    pub(crate) fn restart(&self) {
        *self.state() = State::default();
    }

    pub(crate) fn command(&self, command: &RedisCommand) -> RedisReply {
        let mut state = self.state();
        if let Some(instead) = &state.instead {
            return instead.clone();
        }
        match command.name().as_str() {
            "EVAL" => state.knows = true,
            "EVALSHA" if state.knows => {}
            _ => return RedisReply::error("NOSCRIPT No matching script."),
        }
        let now = u64::try_from(command.at().as_micros()).unwrap_or(u64::MAX);
        let words = command.words().get(2..).unwrap_or_default();
        match state.model.run(words, now) {
            Some(answers) => {
                let one = |it: [i64; 5]| RedisValue::List(it.map(RedisValue::Integer).to_vec());
                RedisReply::value(&RedisValue::List(answers.into_iter().map(one).collect()))
            }
            None => RedisReply::error("ERR these are no arguments of the script"),
        }
    }
}

/// In Envoy filters run no commands; what they do there is a test of its own.
pub(crate) fn no_redis() -> bool {
    not_in(Mode::Envoy, "filters run Redis commands")
}

/// A gateway with these limits, which are kept in the server as it says.
pub(crate) fn gateway(server: &Server, store: &Value, limits: &[Value]) -> Builder {
    let with_store = |limit: &Value| {
        let mut limit = limit.clone();
        if let Some(fields) = limit.as_object_mut() {
            fields.insert("store".to_owned(), json!({"redis": store}));
        }
        limit
    };
    let limits: Vec<Value> = limits.iter().map(with_store).collect();
    let server = server.clone();
    Harness::new(rate_limit)
        .config(json!({"limits": limits}))
        .redis("redis", move |command| server.command(command))
}

fn exact() -> Value {
    json!({"backend": "redis", "timeout": "5s", "domain": "shop"})
}

fn three_an_hour() -> Value {
    json!({"key": [{"header": "x-user"}], "requests": 3, "window": "1h"})
}

fn status(h: &mut Harness, user: &str) -> u16 {
    h.send(get("/").header("x-user", user)).status()
}

#[test]
fn gateways_count_together() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let mut gateways: Vec<Harness> = (0..3)
        .map(|_| gateway(&server, &exact(), &[three_an_hour()]).start())
        .collect();
    for user in ["ann", "bob"] {
        let statuses: Vec<u16> = (0..6).map(|i| status(&mut gateways[i % 3], user)).collect();
        assert_eq!(statuses, [200, 200, 200, 429, 429, 429], "{user}");
    }
}

#[test]
fn the_script_is_sent_once_and_again_after_a_restart() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let mut h = gateway(&server, &exact(), &[three_an_hour()]).start();
    for _ in 0..2 {
        assert_eq!(status(&mut h, "ann"), 200);
        assert_eq!(status(&mut h, "ann"), 200);
        server.restart();
    }
    let names: Vec<String> = h.commands("redis").iter().map(RedisCommand::name).collect();
    let once = ["EVALSHA", "EVAL", "EVALSHA"];
    assert_eq!(names, [once, once].concat());
}

#[test]
fn keys_share_a_slot_and_tell_nobody_whose_they_are() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limits = [
        three_an_hour(),
        json!({"name": "all", "requests": 100, "window": "1h"}),
    ];
    let mut h = gateway(&server, &exact(), &limits).start();
    assert_eq!(status(&mut h, "secret-user"), 200);
    let commands = h.commands("redis");
    let command = commands.last().unwrap();
    assert_eq!(command.text(2), "2");
    for key in [command.text(3), command.text(4)] {
        assert!(key.starts_with("tidegate:{shop}:"), "{key}");
        assert!(!key.contains("secret"), "{key}");
    }
    assert!(command.text(4).starts_with("tidegate:{shop}:all:"));
}

#[test]
fn all_limits_of_a_request_are_asked_at_once_and_none_is_charged_for_a_refusal() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let narrow = json!({"key": [{"header": "x-user"}], "requests": 1, "window": "1h"});
    let wide = json!({"name": "all", "requests": 3, "window": "1h"});
    let mut h = gateway(&server, &exact(), &[narrow, wide]).start();
    assert_eq!(status(&mut h, "ann"), 200);
    assert_eq!(status(&mut h, "ann"), 429);
    // What is known to be refused is not asked again.
    let asked = h.commands("redis").len();
    assert_eq!(status(&mut h, "ann"), 429);
    assert_eq!(h.commands("redis").len(), asked);
    for (user, expected) in [("bob", 200), ("cid", 200), ("dan", 429)] {
        assert_eq!(status(&mut h, user), expected, "{user}");
    }
}

#[test]
fn clients_are_told_what_the_server_says() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({"name": "few", "requests": 2, "window": "10s"});
    let mut h = gateway(&server, &exact(), &[limit]).start();
    let res = h.send(get("/"));
    assert_eq!(
        res.header("ratelimit").as_deref(),
        Some("\"few\";r=1;t=5"),
        "{:?}",
        res.headers()
    );
    assert_eq!(h.send(get("/")).status(), 200);
    let res = h.send(get("/"));
    assert_eq!(res.status(), 429);
    let wait: u64 = res.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
}

#[test]
fn a_server_that_does_not_answer_leaves_it_to_the_failure_mode() {
    if no_redis() {
        return;
    }
    let modes = ["local", "open", "closed"];
    let limits = modes.map(|mode| {
        json!({"name": mode, "key": [{"header": mode}], "requests": 2, "window": "1h",
            "failureMode": mode})
    });
    let server = Server::default();
    let store = json!({"backend": "redis", "timeout": "500ms"});
    let mut h = gateway(&server, &store, &limits).start();
    for (case, instead) in [
        RedisReply::error("OOM command not allowed when used memory > 'maxmemory'."),
        RedisReply::error("WRONGTYPE Operation against a key holding the wrong kind of value"),
        RedisReply::error("LOADING Redis is loading the dataset in memory"),
        RedisReply::error("READONLY You can't write against a read only replica."),
        RedisReply::integer(1),
        RedisReply::value(&RedisValue::List(vec![RedisValue::Nil])),
        RedisReply::never(),
        RedisReply::reset(),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{instead:?}");
        server.answer(Some(instead));
        let mut three = |mode: &str| {
            let send = |_| h.send(get("/").header(mode, case.to_string())).status();
            (0..3).map(send).collect::<Vec<_>>()
        };
        assert_eq!(three("local"), [200, 200, 429], "{what}");
        assert_eq!(three("open"), [200, 200, 200], "{what}");
        assert_eq!(three("closed"), [503, 503, 503], "{what}");
    }
    assert_eq!(h.metric("rate_limit_redis_error"), 6 * 9);
    assert!(h.metric("rate_limit_redis_timeout") > 0);
}

#[test]
fn a_request_waits_no_longer_than_the_timeout() {
    if no_redis() || not_in(Mode::Wasm, "time is exact") {
        return;
    }
    let server = Server::default();
    let store = json!({"backend": "redis"});
    for instead in [
        RedisReply::never(),
        // The script's text is sent within the same time.
        RedisReply::error("NOSCRIPT No matching script.").after(ms(15)),
    ] {
        server.answer(Some(instead));
        let limit = json!({"requests": 1, "window": "1h", "failureMode": "open"});
        let mut h = gateway(&server, &store, &[limit]).start();
        let began = h.unix_time();
        assert_eq!(status(&mut h, "ann"), 200);
        let waited = h.unix_time() - began;
        assert_eq!(waited, ms(20));
    }
}

#[test]
fn a_server_that_is_gone_is_not_asked_for_each_request_and_found_again() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    server.answer(Some(RedisReply::reset()));
    let limit = json!({"requests": 3, "window": "1h", "failureMode": "open"});
    let mut h = gateway(&server, &exact(), &[limit]).start();
    for _ in 0..50 {
        assert_eq!(status(&mut h, "ann"), 200);
    }
    let asked = h.commands("redis").len();
    assert!(asked <= 10, "{asked}");
    assert!(h.metric("rate_limit_redis_skipped") >= 40);
    assert!(h.metric("rate_limit_redis_unreachable") >= 1);
    assert!(h.logged("does not answer"));
    server.answer(None);
    // It is asked again after a while, which is real for connections, and counts from then on.
    h.wait_for("Redis to be asked again", |h| {
        (0..10).any(|_| {
            h.advance(ms(1_000));
            status(h, "ann") == 429
        })
    });
}

#[test]
fn what_a_response_costs_is_charged_also_beyond_the_limit() {
    if no_redis() {
        return;
    }
    let server = Server::default();
    let limit = json!({
        "requests": 10, "window": "10h", "costFrom": {"responseHeader": "x-cost"},
    });
    let mut h = gateway(&server, &exact(), &[limit])
        .app(|_| tidegate_sdk_testing::Reply::status(200).header("x-cost", "15"))
        .start();
    assert_eq!(h.send(get("/")).status(), 200);
    h.wait_for("the charge", |h| {
        let commands = h.commands("redis");
        commands
            .iter()
            .any(|it| it.words().iter().any(|word| word == b"charge"))
    });
    assert_eq!(h.send(get("/")).status(), 429);
}

#[test]
fn on_hosts_without_redis_the_failure_mode_decides() {
    if not_in(Mode::Wasm, "Tidegate runs commands") {
        return;
    }
    for (mode, expected) in [
        ("local", [200, 429]),
        ("open", [200, 200]),
        ("closed", [503, 503]),
    ] {
        let limit = json!({"requests": 1, "window": "1h", "failureMode": mode,
            "store": {"redis": {"backend": "redis"}}});
        let mut h = Harness::new(rate_limit)
            .config(json!({"limits": [limit]}))
            .backend_down("redis")
            .on_other_hosts()
            .start();
        assert_eq!(
            [status(&mut h, "ann"), status(&mut h, "ann")],
            expected,
            "{mode}"
        );
    }
}

#[test]
fn servers_share_the_keys_and_a_refusal_takes_from_none_of_them() {
    if no_redis() {
        return;
    }
    let (one, other) = (Server::default(), Server::default());
    let store = json!({"backend": "redis", "shards": ["more"], "timeout": "5s", "slots": 2});
    let narrow =
        json!({"name": "user", "key": [{"header": "x-user"}], "requests": 2, "window": "8000h"});
    let wide = json!({"name": "all", "requests": 30, "window": "8000h"});
    let mut h = gateway(&one, &store, &[narrow, wide])
        .redis("more", move |command| other.command(command))
        .start();
    let mut admitted = 0;
    for user in 0..20 {
        for _ in 0..3 {
            admitted += usize::from(status(&mut h, &user.to_string()) == 200);
        }
    }
    assert_eq!(admitted, 30);
    for server in ["redis", "more"] {
        let commands = h.commands(server);
        let takes = commands
            .iter()
            .filter(|it| it.words().iter().any(|word| word == b"take"));
        assert!(takes.count() > 5, "{server}");
    }
    let both = [h.commands("redis"), h.commands("more")].concat();
    let slots: std::collections::BTreeSet<String> = both
        .iter()
        .filter_map(|it| Some(it.text(3).split_once('}')?.0.to_owned()))
        .collect();
    assert_eq!(slots.len(), 4, "{slots:?}");
}

#[test]
fn mistakes_about_the_server_name_their_place() {
    // These are of the module's own, told alike everywhere.
    for (store, path, why) in [
        (json!({}), "store.redis", "backend"),
        (
            json!({"backend": ""}),
            "store.redis.backend",
            "name of a backend",
        ),
        (
            json!({"backend": "a", "timeout": "0s"}),
            "store.redis.timeout",
            "from 1ms",
        ),
        (
            json!({"backend": "a", "domain": "{a}"}),
            "store.redis.domain",
            "A-Za-z",
        ),
        (
            json!({"backend": "a", "slots": 0}),
            "store.redis.slots",
            "from 1",
        ),
        (
            json!({"backend": "a", "shards": ["a"]}),
            "store.redis.shards[0]",
            "named before",
        ),
        (
            json!({"backend": "a", "shards": ["b", "b"]}),
            "store.redis.shards[1]",
            "named before",
        ),
        (
            json!({"backend": "a", "lease": {"permits": 0}}),
            "store.redis.lease.permits",
            "from 1",
        ),
        (
            json!({"backend": "a", "lease": {"ttl": "2m"}}),
            "store.redis.lease.ttl",
            "to 1m",
        ),
        (
            json!({"backend": "a", "leases": {}}),
            "store.redis",
            "lease",
        ),
        (
            json!({"backend": "a", "password": 1}),
            "store.redis.password",
            "text",
        ),
    ] {
        let limit = json!({"requests": 1, "window": "1s", "store": {"redis": store}});
        let refused = Harness::new(rate_limit)
            .config(json!({"limits": [limit]}))
            .backend_down("a")
            .backend_down("b")
            .try_start();
        let said = refused.err().unwrap_or_default();
        assert!(said.contains(path) && said.contains(why), "{store}: {said}");
    }
}

/// How many three gateways admit together of far too many requests in ten seconds.
pub(crate) fn admitted_by_three(store: &Value, requests: u64, burst: u64) -> u64 {
    let server = Server::default();
    let limit = json!({"requests": requests, "window": "1s", "burst": burst});
    let mut gateways: Vec<Harness> = (0..3)
        .map(|_| gateway(&server, store, std::slice::from_ref(&limit)).start())
        .collect();
    let mut admitted = 0;
    for _ in 0..1_000 {
        for h in &mut gateways {
            h.advance(ms(10));
            for _ in 0..2 {
                admitted += u64::from(status(h, "ann") == 200);
            }
        }
    }
    admitted
}

#[test]
fn three_gateways_admit_what_the_limit_admits_and_hardly_less() {
    if not_in(Mode::Wasm, "time is exact") || no_redis() {
        return;
    }
    let admitted = admitted_by_three(&exact(), 100, 20);
    let most = 20 + 100 * 10;
    assert!((most * 99 / 100..=most).contains(&admitted), "{admitted}");
}

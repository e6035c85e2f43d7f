//! Rate limits in a real Redis: three gateways, restarts, and everything a server may say.
//!
//! The real one is a peer: `cargo xtask test --peers` installs it.

#[path = "../../../plugins/rate-limit/tests/rate_limit/model.rs"]
mod model;
#[path = "shared_limits/server.rs"]
mod server;

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use serde_json::json;
use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::Peer;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::GATEWAY;
use crate::process::Running;
use crate::process::backend;
use crate::process::route;
use model::Model;
use server::Server;

/// The workers of one gateway, as [`Running`] starts it.
const WORKERS: u64 = 2;

/// Three gateways with one limit, which is kept in one Redis.
struct Fleet {
    gateways: Vec<Running>,
    addresses: Vec<SocketAddr>,
    _folder: Folder,
    _origin: Origin,
}

impl Fleet {
    fn new(redis: SocketAddr, store: Value, limit: Value) -> Self {
        let origin = Origin::replies("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let mut limit = limit;
        let mut redis_store = json!({"backend": "redis", "timeout": "5s", "password": "sesame"});
        merge(&mut redis_store, store);
        merge(
            &mut limit,
            json!({"store": {"redis": redis_store}, "failureMode": "closed"}),
        );
        let plugin = json!({
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "Plugin",
            "metadata": {"name": "fair"},
            "spec": {
                "targetRefs": [
                    {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
                ],
                "source": {"builtin": "rate-limit"},
                "allow": {"backends": ["redis"]},
                "config": {"limits": [limit]},
            },
        });
        let documents = [
            GATEWAY.to_owned(),
            route("origin"),
            backend("origin", origin.address()),
            backend("redis", redis),
            plugin.to_string(),
        ];
        let folder = Folder::of(&[("all.yaml", &documents.join("\n---\n"))]);
        let start = |_| Running::start(&folder, &[]);
        let gateways: Vec<Running> = (0..3).map(start).collect();
        let address = |it: &Running| eventually("the listener", || it.address());
        Self {
            addresses: gateways.iter().map(address).collect(),
            gateways,
            _folder: folder,
            _origin: origin,
        }
    }

    /// The status of one request on a connection of its own.
    fn status(&self, gateway: usize) -> u16 {
        let address = self.addresses.get(gateway).expect("a gateway");
        Client::connect(*address).get("/").status()
    }

    /// How many of so many requests to each gateway are admitted, all at once on several connections.
    fn admitted(&self, requests: usize) -> u64 {
        const CONNECTIONS: usize = 4;
        let count = |address: SocketAddr| {
            let mut client = Client::connect(address);
            let statuses = (0..requests / CONNECTIONS).map(|_| client.get("/").status());
            statuses.filter(|status| *status == 200).count() as u64
        };
        std::thread::scope(|scope| {
            let clients = self.addresses.iter().flat_map(|it| [*it; CONNECTIONS]);
            let threads: Vec<_> = clients.map(|it| scope.spawn(move || count(it))).collect();
            threads
                .into_iter()
                .map(|it| it.join().expect("no panic"))
                .sum()
        })
    }

    /// Waits until each of the gateways says something else than that Redis does not answer. These
    /// requests may be admitted: how many were.
    fn wait_for_redis(&self) -> u64 {
        let found = |gateway| {
            eventually("Redis is asked again", || {
                let status = self.status(gateway);
                (status != 503).then(|| u64::from(status == 200))
            })
        };
        (0..self.gateways.len()).map(found).sum()
    }
}

fn merge(into: &mut Value, more: Value) {
    let (Some(into), Value::Object(more)) = (into.as_object_mut(), more) else {
        return;
    };
    into.extend(more);
}

/// A real server with the password `sesame` that keeps what it knows in this folder; `None` where peers
/// are not asked for.
fn durable(folder: &Path, at: Option<SocketAddr>) -> Option<Peer> {
    let folder = folder.to_str().expect("the folder's name is text");
    let settings = [
        "--requirepass",
        "sesame",
        "--dir",
        folder,
        "--appendonly",
        "yes",
        "--appendfsync",
        "always",
    ];
    Peer::wanted("rate limits in a real Redis").then(|| match at {
        Some(address) => Peer::redis_at(address, &settings),
        None => Peer::redis(&settings),
    })
}

/// So slow that nothing comes back within a test.
fn slow(requests: u64) -> Value {
    json!({"requests": requests, "window": "8000h"})
}

#[test]
fn three_gateways_admit_exactly_the_limit_also_across_a_restart_of_redis() {
    let folder = Folder::of(&[]);
    let Some(redis) = durable(folder.path(), None) else {
        return;
    };
    let address = redis.address();
    let fleet = Fleet::new(address, json!({}), slow(300));
    let before = fleet.admitted(40);
    assert_eq!(before, 3 * 40);
    drop(redis);
    assert_eq!(fleet.admitted(8), 0);
    let _again = durable(folder.path(), Some(address));
    // It has kept the counts, and has forgotten the script.
    let mut sum = before + fleet.wait_for_redis();
    sum += fleet.admitted(100);
    assert_eq!(sum, 300);
    assert_eq!(fleet.admitted(8), 0);
    let counted = |name: &str| {
        let labels = format!("{{plugin=\"default/fair\",metric=\"rate_limit_redis_{name}\"}}");
        fleet.gateways[0].metric(&format!("tidegate_plugin_counter_total{labels}"))
    };
    assert!(counted("commands") > Some(0.0));
    assert_eq!(counted("error"), None);
}

#[test]
fn a_redis_that_forgets_admits_one_limit_more_and_no_more_than_that() {
    let Some(redis) = Peer::wanted("rate limits in a Redis that forgets")
        .then(|| Peer::redis(&["--requirepass", "sesame"]))
    else {
        return;
    };
    let address = redis.address();
    let fleet = Fleet::new(address, json!({}), slow(100));
    assert_eq!(fleet.admitted(60), 100);
    drop(redis);
    let _again = Peer::redis_at(address, &["--requirepass", "sesame"]);
    // What was refused is believed for a second.
    for gateway in 0..3 {
        eventually("a pass", || (fleet.status(gateway) == 200).then_some(()));
    }
    let sum = 3 + fleet.admitted(60);
    assert_eq!(sum, 100);
}

#[test]
fn three_gateways_with_leases_stay_within_their_bound_also_across_a_restart() {
    const PERMITS: u64 = 10;
    let folder = Folder::of(&[]);
    let Some(redis) = durable(folder.path(), None) else {
        return;
    };
    let address = redis.address();
    // What is leased is held for as long as the test lasts.
    let lease = json!({"lease": {"permits": PERMITS, "ttl": "1m"}});
    let fleet = Fleet::new(address, lease, slow(400));
    let mut sum = fleet.admitted(40);
    drop(redis);
    // Some have permits left.
    sum += fleet.admitted(40);
    let _again = durable(folder.path(), Some(address));
    sum += fleet.wait_for_redis();
    for _ in 0..3 {
        sum += fleet.admitted(200);
    }
    let held = 3 * WORKERS * PERMITS;
    assert!((400 - held..=400).contains(&sum), "{sum}");
}

#[test]
fn whatever_redis_says_a_request_gets_an_answer_and_all_is_well_again_later() {
    let Some(redis) = Peer::wanted("what a real Redis says to rate limits")
        .then(|| Peer::redis(&["--requirepass", "sesame"]))
    else {
        return;
    };
    let fleet = Fleet::new(redis.address(), json!({"domain": "shop"}), slow(1000));
    let mut server = Server::connect(redis.address(), "sesame");
    let status = || fleet.status(0);
    assert_eq!(status(), 200);
    // It forgets the script.
    assert_eq!(server.text(&["SCRIPT", "FLUSH"]), "OK");
    assert_eq!(status(), 200);
    // Its memory is full.
    assert_eq!(server.text(&["CONFIG", "SET", "maxmemory", "1"]), "OK");
    assert_eq!(status(), 503);
    assert_eq!(server.text(&["CONFIG", "SET", "maxmemory", "0"]), "OK");
    assert_eq!(status(), 200);
    // The key is somebody else's.
    let keys = server.texts(&["KEYS", "*"]);
    let [key] = &keys[..] else {
        panic!("one key: {keys:?}");
    };
    assert!(key.starts_with("tidegate:{shop}:all-8000h:"), "{key}");
    for other in [["LPUSH", key, "x"], ["SET", key, "not ours"]] {
        server.text(&["DEL", key]);
        server.text(&other);
        assert_eq!(status(), 503, "{other:?}");
    }
    server.text(&["DEL", key]);
    assert_eq!(status(), 200);
    // It only reads.
    assert_eq!(server.text(&["REPLICAOF", "127.0.0.1", "1"]), "OK");
    assert_eq!(status(), 503);
    assert_eq!(server.text(&["REPLICAOF", "NO", "ONE"]), "OK");
    assert_eq!(status(), 200);
    // Its password is another one; connections that have logged in stay.
    assert_eq!(
        server.text(&["CONFIG", "SET", "requirepass", "other"]),
        "OK"
    );
    let closed = server.text(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    assert_ne!(closed, "0");
    eventually("a refusal", || (status() == 503).then_some(()));
    fleet.gateways[0].logs("WRONGPASS");
    assert_eq!(
        server.text(&["CONFIG", "SET", "requirepass", "sesame"]),
        "OK"
    );
    eventually("a pass", || (status() == 200).then_some(()));
}

#[test]
fn the_script_does_in_redis_what_the_tests_of_the_filter_believe() {
    let Some(redis) = Peer::wanted("the script of rate limits").then(|| Peer::redis(&[])) else {
        return;
    };
    let mut server = Server::connect(redis.address(), "");
    let script = include_str!("../../../plugins/rate-limit/src/store/redis/limit.lua");
    let mut model = Model::default();
    let mut random = 8_u64;
    let mut draw = |below: u64| {
        // Knuth's generator; its high bits are good enough.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for step in 0..3_000 {
        let count = 1 + draw(3);
        let mode = match draw(5) {
            0 | 1 => "take",
            2 => "lease",
            3 => "charge",
            _ => "refund",
        };
        let mut words = vec![count.to_string()];
        words.extend((0..count).map(|key| format!("key-{key}-{}", draw(4))));
        words.push(mode.to_owned());
        for _ in 0..count {
            let least = draw(4);
            let want = match mode {
                "lease" => least + draw(20),
                _ => least,
            };
            // So slow that the time between two commands makes no difference to counts.
            let year = 366 * 24 * 3600 * 1_000_000_u64;
            words.extend([1, year, 10 + draw(30), want, least].map(|it| it.to_string()));
        }
        let all = [&["EVAL".to_owned(), script.to_owned()][..], &words].concat();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        let said = server.answers(&all);
        let words: Vec<Vec<u8>> = words.into_iter().map(String::into_bytes).collect();
        let expected = model.run(&words, 1).expect("these are its arguments");
        assert_eq!(said.len(), expected.len());
        for (said, expected) in said.iter().zip(&expected) {
            assert_eq!(said[..3], expected[..3], "{step}: {all:?}");
            for (said, expected) in said[3..].iter().zip(&expected[3..]) {
                // At most the time of this test.
                let apart = said.abs_diff(*expected);
                assert!(apart < 600_000_000, "{step}: {said} and {expected}");
            }
        }
    }
}

#[test]
fn what_was_taken_comes_back_by_the_clock_of_redis_and_keys_end_with_it() {
    let Some(redis) = Peer::wanted("the clock of Redis").then(|| Peer::redis(&[])) else {
        return;
    };
    let mut server = Server::connect(redis.address(), "");
    let script = include_str!("../../../plugins/rate-limit/src/store/redis/limit.lua");
    // Ten in a second, two at once.
    let mut take = |want: &str| {
        let answers = server.answers(&[
            "EVAL", script, "1", "k", "take", "10", "1000000", "2", want, want,
        ]);
        answers[0].clone()
    };
    assert_eq!(take("2")[0], 1);
    let refused = take("2");
    assert!(
        refused[0] == 0 && (1..=200_000).contains(&refused[3]),
        "{refused:?}"
    );
    assert_eq!(take("3")[3], -1);
    eventually("both are back", || (take("2")[0] == 1).then_some(()));
    eventually("the end of the key", || {
        server.texts(&["KEYS", "*"]).is_empty().then_some(())
    });
}

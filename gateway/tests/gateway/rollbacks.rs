//! New versions of filters under traffic: bad ones never serve, or not for long.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use tidegate_testkit::Client;
use tidegate_testkit::Origin;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

use crate::process::Folder;
use crate::process::Running;
use crate::process::backend;
use crate::process::finish;
use crate::process::tidegate;

#[path = "rollbacks/by_hand.rs"]
mod by_hand;
#[path = "rollbacks/meanwhile.rs"]
mod meanwhile;
#[path = "rollbacks/registries.rs"]
mod registries;
#[path = "rollbacks/restarts.rs"]
mod restarts;
#[path = "rollbacks/rights.rs"]
mod rights;
#[path = "rollbacks/swaps.rs"]
mod swaps;

/// Within which a bad version must be gone.
const SOON: Duration = Duration::from_secs(2);

/// What a version does with its requests before it answers them: nothing.
const WELL: &str = "";

/// On one request of so many, so much.
fn on_one_of(count: u32, what: &str) -> String {
    format!("(if (i32.eqz (i32.rem_u (global.get $count) (i32.const {count}))) (then {what}))")
}

/// A version that answers with its status after it has done this.
fn version(status: u16, first: &str) -> Vec<u8> {
    let imports = r#"(import "env" "proxy_send_local_response"
        (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;
    let body = format!(
        r#"(global $count (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            {first}
            (drop (call $answer (i32.const {status}) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#
    );
    Wasm::wat("stamp", imports, &body).module().to_vec()
}

fn plugin(more: &str) -> String {
    format!(
        "apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: stamp }}
spec:
  source: {{ file: stamp.wasm }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
{more}"
    )
}

/// A gateway whose filter answers 201.
fn folder(more: &str) -> (Folder, Origin) {
    let origin = Origin::answers(200, "origin");
    let folder = Folder::before(&origin, &[("plugin.yaml", &plugin(more))]);
    folder.write("stamp.wasm", &version(201, WELL));
    (folder, origin)
}

/// Requests one after the other, each on its way as soon as the last is answered.
struct Traffic {
    stop: Arc<AtomicBool>,
    statuses: Arc<Mutex<Vec<(Instant, u16)>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Traffic {
    fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let statuses = Arc::new(Mutex::new(Vec::new()));
        let client = || {
            let (stop, statuses) = (Arc::clone(&stop), Arc::clone(&statuses));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                    let status = match client.try_response() {
                        Ok(answer) => answer.status(),
                        Err(_) => match Client::try_connect(address) {
                            Ok(next) => {
                                client = next;
                                0
                            }
                            // The gateway was killed.
                            Err(_) => return,
                        },
                    };
                    statuses
                        .lock()
                        .expect("no panic")
                        .push((Instant::now(), status));
                }
            })
        };
        let clients = (0..2).map(|_| client()).collect();
        Self {
            stop,
            statuses,
            clients,
        }
    }

    /// How many answers there were with a status so far.
    fn count(&self, wanted: u16) -> usize {
        let statuses = self.statuses.lock().expect("no panic");
        statuses
            .iter()
            .filter(|(_, status)| *status == wanted)
            .count()
    }

    /// Waits for so many more answers with a status.
    #[track_caller]
    fn more(&self, wanted: u16, count: usize) {
        let before = self.count(wanted);
        eventually(&format!("{count} times {wanted}"), || {
            (self.count(wanted) >= before + count).then_some(())
        });
    }

    /// Ends it; all answers in their order.
    fn end(self) -> Vec<(Instant, u16)> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("no panic");
        }
        let mut statuses = self.statuses.lock().expect("no panic").clone();
        statuses.sort();
        statuses
    }
}

/// From the first answer that is not 201 to the last of them.
fn bad_time(statuses: &[(Instant, u16)]) -> Duration {
    let mut bad = statuses.iter().filter(|(_, status)| *status != 201);
    let first = bad.next().map(|(at, _)| *at);
    let last = bad.next_back().map(|(at, _)| *at).or(first);
    match (first, last) {
        (Some(first), Some(last)) => last - first,
        _ => Duration::ZERO,
    }
}

/// A part of a page; null if there is none.
fn at<'a>(page: &'a Value, pointer: &str) -> &'a Value {
    page.pointer(pointer).unwrap_or(&Value::Null)
}

/// What /plugins says about the only one.
#[track_caller]
fn story(gateway: &Running) -> Value {
    at(&gateway.json("/plugins"), "/plugins/0").clone()
}

/// Waits until the wanted version is barred; what /plugins says then.
#[track_caller]
fn rolled_back(gateway: &Running) -> Value {
    eventually("the version to be taken back", || {
        let story = story(gateway);
        // It serves no more before all of that is told.
        let is_told = !at(&story, "/held").is_null() && story.pointer("/problems/0").is_some();
        is_told.then_some(story)
    })
}

/// Swaps a version in under traffic that must be gone by itself within two seconds.
#[track_caller]
fn goes_back(first: &str, more: &str, reason: &str) {
    let (folder, _origin) = folder(more);
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    folder.write("stamp.wasm", &version(202, first));
    let story = rolled_back(&gateway);
    traffic.more(201, 100);
    let statuses = traffic.end();
    let bad = bad_time(&statuses);
    assert!(bad < SOON, "{bad:?}");
    assert_eq!(at(&story, "/held/reason"), "RolledBack", "{story}");
    assert_eq!(at(&story, "/version/number"), 3, "{story}");
    assert_eq!(at(&story, "/problems/0/reason"), "RolledBack", "{story}");
    gateway.logs("plugin default/stamp is rolled back to its version 1: ");
    let metric =
        format!("tidegate_plugin_rollbacks_total{{plugin=\"default/stamp\",reason=\"{reason}\"}}");
    assert_eq!(gateway.metric(&metric), Some(1.0));
    let status = gateway.resource("Plugin", "stamp").expect("it is listed");
    let conditions = at(&status, "/conditions").as_array().expect("a list");
    let is_programmed = |one: &&Value| at(one, "/type") == "Programmed";
    let programmed = conditions.iter().find(is_programmed);
    assert_eq!(
        at(programmed.expect("a condition"), "/reason"),
        "RolledBack"
    );
    let history = gateway.json("/plugins/default/stamp/history");
    let ends = ["/versions/0/end", "/versions/1/end", "/versions/2/end"];
    let ends = ends.map(|at| history.pointer(at).and_then(Value::as_str));
    assert_eq!(
        ends,
        [None, Some("RolledBack"), Some("Replaced")],
        "{history}"
    );
}

#[test]
fn a_version_that_traps_on_one_request_of_twenty_goes_back_by_itself() {
    goes_back(&on_one_of(20, "unreachable"), "", "trap");
}

#[test]
fn a_version_that_loops_on_one_request_of_a_hundred_goes_back_by_itself() {
    goes_back(&on_one_of(100, "(loop $l (br $l))"), "", "deadline");
}

#[test]
fn a_version_that_loops_on_every_request_goes_back_though_it_is_soon_not_entered_any_more() {
    goes_back("(loop $l (br $l))", "", "deadline");
}

#[test]
fn a_version_that_leaks_memory_goes_back_by_itself() {
    // Two pages a request, of a memory of 16.
    let leak = "(if (i32.eq (memory.grow (i32.const 2)) (i32.const -1)) (then unreachable))";
    goes_back(leak, "  limits: { memory: 1Mi }\n", "trap");
}

#[test]
fn a_version_that_fails_without_a_probation_stays() {
    let (folder, _origin) = folder("  probation: { period: 0s }\n");
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    folder.write("stamp.wasm", &version(202, &on_one_of(2, "unreachable")));
    traffic.more(503, 100);
    traffic.more(202, 100);
    // What the version before had begun may end last.
    let status = gateway.get("/").status();
    assert!([202, 503].contains(&status), "{status}");
    traffic.end();
    let story = story(&gateway);
    assert!(
        story["held"].is_null() && story["probation"].is_null(),
        "{story}"
    );
}

#[test]
fn a_first_version_that_fails_has_nothing_to_go_back_to_and_stays() {
    let (folder, _origin) = folder("");
    folder.write("stamp.wasm", &version(202, &on_one_of(2, "unreachable")));
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(503, 100);
    traffic.more(202, 100);
    assert_eq!(traffic.count(201), 0);
    let story = story(&gateway);
    assert!(
        story["held"].is_null() && story["probation"].is_null(),
        "{story}"
    );
}

#[test]
fn a_version_that_stands_its_probation_is_not_taken_back_later() {
    let (folder, _origin) = folder("  probation: { period: 1s }\n");
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    // It turns bad after so many requests of a worker: those of its probation are fewer.
    let late = "(if (i32.and (i32.gt_u (global.get $count) (i32.const 100000000))
        (i32.const 1)) (then unreachable))";
    folder.write("stamp.wasm", &version(202, late));
    traffic.more(202, 1);
    let story = eventually("the end of the probation", || {
        let story = story(&gateway);
        (story["version"]["proven"] == true).then_some(story)
    });
    assert_eq!(story["version"]["number"], 2, "{story}");
    assert!(story["probation"].is_null(), "{story}");
    let metric = "tidegate_plugin_on_probation{plugin=\"default/stamp\"}";
    assert_eq!(gateway.metric(metric), Some(0.0));
    drop(traffic.end());
}

#[test]
fn versions_that_cannot_serve_never_do_and_no_request_fails() {
    let (folder, _origin) = folder("  limits: { startTimeout: 200ms }\n");
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    let wat = |body: &str| Wasm::wat("stamp", "", body).module().to_vec();
    let module = |text: &str| wat::parse_str(text).expect("WAT");
    let bad: [(&str, Vec<u8>); 6] = [
        ("InvalidModule", b"\0asm\x01\0\0\0\x01\x01".to_vec()),
        (
            "NotStarted",
            wat(r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32) unreachable)"#),
        ),
        (
            "ConfigRefused",
            wat(
                r#"(func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 0))"#,
            ),
        ),
        (
            "ConfigRefused",
            wat(
                r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
                (loop $for_ever (br $for_ever)) (unreachable))"#,
            ),
        ),
        // Another ABI, and a need that nobody has.
        (
            "InvalidModule",
            module(
                r#"(module (memory (export "memory") 1) (func (export "proxy_abi_version_9_9_9")))"#,
            ),
        ),
        (
            "InvalidModule",
            Wasm::wat(
                "stamp",
                r#"(import "env" "proxy_fly" (func (result i32)))"#,
                "",
            )
            .module()
            .to_vec(),
        ),
    ];
    for (reason, module) in bad {
        let before = gateway.metric("tidegate_config_reloads_total{result=\"partial\"}");
        folder.write("stamp.wasm", &module);
        let story = eventually(reason, || {
            let after = gateway.metric("tidegate_config_reloads_total{result=\"partial\"}");
            let story = story(&gateway);
            (after > before && story["problems"][0]["reason"] == reason).then_some(story)
        });
        assert_eq!(story["version"]["number"], 1, "{story}");
    }
    let statuses = traffic.end();
    assert!(statuses.iter().all(|(_, status)| *status == 201));
}

#[test]
fn a_version_is_taken_back_while_another_takes_long_to_start() {
    let (folder, _origin) = folder("");
    let slow = plugin("  limits: { startTimeout: 20s }\n")
        .replace("name: stamp }", "name: slow }")
        .replace("stamp.wasm", "slow.wasm");
    let gateway = Running::start(&folder, &[]);
    let address = gateway.address().expect("it listens");
    // It traps on requests of many fields.
    let many = "(if (i32.gt_u (local.get 1) (i32.const 20)) (then unreachable))";
    folder.write("stamp.wasm", &version(202, many));
    eventually("the new version", || {
        (gateway.get("/").status() == 202).then_some(())
    });
    let hangs = Wasm::wat(
        "slow",
        "",
        r#"(func (export "proxy_on_configure") (param i32 i32) (result i32)
            (loop $for_ever (br $for_ever)) (unreachable))"#,
    );
    folder.write("slow.wasm", hangs.module());
    folder.write("slow.yaml", slow.as_bytes());
    let is_starting = || {
        let threads = std::fs::read_dir(format!("/proc/{}/task", gateway.id()));
        let mut threads = threads.expect("it runs").filter_map(Result::ok);
        threads.any(|thread| {
            let name = std::fs::read_to_string(thread.path().join("comm"));
            name.is_ok_and(|name| name.trim() == "plugin-load")
        })
    };
    eventually("the slow one to be started", || is_starting().then_some(()));
    let fields: String = (0..30).map(|n| format!("x-{n}: 1\r\n")).collect();
    let status = || {
        let mut client = Client::connect(address);
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        client.response().status()
    };
    let first = Instant::now();
    eventually("the version before", || (status() == 201).then_some(()));
    assert!(first.elapsed() < SOON, "{:?}", first.elapsed());
    assert!(is_starting(), "the slow one is still being started");
}

#[test]
fn edits_in_every_order_within_a_second_end_with_the_last_good_one() {
    let (folder, _origin) = folder("");
    let gateway = Running::start(&folder, &[]);
    let traffic = Traffic::start(gateway.address().expect("it listens"));
    traffic.more(201, 20);
    let bad = b"no module".to_vec();
    let worse = version(299, "unreachable");
    let good = |status| version(status, WELL);
    for (round, status) in (202..208).enumerate() {
        let mut edits = [bad.clone(), worse.clone(), good(300 + status)];
        edits.rotate_left(round % 3);
        if round >= 3 {
            edits.swap(0, 1);
        }
        for edit in &edits {
            folder.write("stamp.wasm", edit);
        }
        folder.write("stamp.wasm", &good(status));
        eventually("the last edit", || {
            let metric = traffic.count(status);
            (metric > 20).then_some(())
        });
    }
    let statuses = traffic.end();
    assert_eq!(statuses.last().map(|(_, status)| *status), Some(207));
    let story = story(&gateway);
    assert!(story["held"].is_null(), "{story}");
}

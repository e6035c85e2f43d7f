//! Each criterion under real traffic: what trips it, and what must not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use super::*;

/// Clients that ask beside each other.
const CLIENTS: usize = 12;
/// Users that they ask for.
const USERS: u32 = 1_000;
/// How long a slow answer takes, and any other one.
const SLOW: Duration = Duration::from_millis(150);
const QUICK: Duration = Duration::from_millis(5);

/// Users who ask until it ends.
struct Crowd {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn of(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU32::new(0));
        let client = || {
            let (stop, next) = (Arc::clone(&stop), Arc::clone(&next));
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                while !stop.load(Ordering::Relaxed) {
                    get(&mut client, next.fetch_add(1, Ordering::Relaxed) % USERS);
                }
            })
        };
        let clients = (0..CLIENTS).map(|_| client()).collect();
        Self { stop, clients }
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("every request was answered");
        }
    }
}

/// An origin that fails for whom a filter says `x-fail`, and for one in ten; takes its time for whom
/// one says `x-slow`, and a little for everybody.
fn origin() -> Origin {
    let asked = AtomicU32::new(0);
    Origin::script(move |connection| {
        while let Ok(request) = connection.request() {
            let time = match request.field("x-slow") {
                Some(_) => SLOW,
                None => QUICK,
            };
            std::thread::park_timeout(time);
            let is_tenth = asked.fetch_add(1, Ordering::Relaxed).is_multiple_of(10);
            let status = match request.field("x-fail").is_some() || is_tenth {
                true => "500 Failed",
                false => "200 OK",
            };
            connection.send(format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"))?;
        }
        Ok(())
    })
}

/// A filter that adds a request header of six letters to one request in so many. Two of other `salt` are
/// other versions.
fn adding_to_one_of(count: u32, name: &str, salt: &str) -> Wasm {
    let body = format!(
        r#"(data (i32.const 0) "{name}1{salt}")
        (global $count (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (if (i32.eqz (i32.rem_u (global.get $count) (i32.const {count})))
                (then (drop (call $add (i32.const 0)
                    (i32.const 0) (i32.const 6) (i32.const 6) (i32.const 1)))))
            (i32.const 0))"#
    );
    Wasm::wat("adding", ADD, &body)
}

/// The same for all requests.
fn adding(name: &str, salt: &str) -> Wasm {
    adding_to_one_of(1, name, salt)
}

/// A filter that answers one request in so many itself, with 403.
fn denying_one_of(count: u32, salt: &str) -> Wasm {
    let body = format!(
        r#"(data (i32.const 0) "{salt}")
        (global $count (mut i32) (i32.const 0))
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (global.set $count (i32.add (global.get $count) (i32.const 1)))
            (if (i32.rem_u (global.get $count) (i32.const {count})) (then (return (i32.const 0))))
            (drop (call $answer (i32.const 403) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#
    );
    Wasm::wat("denying", ANSWER, &body)
}

/// Requests of each version that a step has at least: before so many, and some, no time of the stable
/// version is known that 99 of 100 do not exceed.
const LEAST: u32 = 1_300;

/// Tries a canary beside a stable version until it is in a phase; what is told of it then.
#[track_caller]
fn ends(stable: &Wasm, canary: &Wasm, share: u8, phase: &str) -> Value {
    let origin = origin();
    let steps = format!("steps: [{share}, 100]\n    interval: 1s\n    minRequests: {LEAST}");
    let files = files(&origin, canary, &steps);
    files.write("stable.wasm", stable.module());
    let gateway = Running::start(&files, &["--access-log", "off"]);
    let crowd = Crowd::of(gateway.address().expect("it listens"));
    let told = eventually(&format!("the phase {phase}"), || {
        let told = rollout(&gateway);
        let now = told.get("phase")?.as_str()?.to_owned();
        let is_over = ["Promoted", "Aborted"].contains(&now.as_str());
        assert!(!is_over || now == phase, "{told}");
        is_over.then_some(told)
    });
    crowd.end();
    // Every criterion has had its say.
    if phase == "Promoted" {
        let findings = told.get("findings").and_then(Value::as_array);
        let findings = findings.expect("a list");
        let unknown = findings.iter().find(|one| {
            let words = one["words"].as_str();
            words.is_none_or(|words| words.contains("not known"))
        });
        assert!(findings.len() == 4 && unknown.is_none(), "{told}");
    }
    told
}

#[track_caller]
fn trips(stable: &Wasm, canary: &Wasm, share: u8, criterion: &str) {
    let told = ends(stable, canary, share, "Aborted");
    let why = told.get("why").and_then(Value::as_str).expect("a reason");
    assert!(why.starts_with(&format!("{criterion}: ")), "{told:#}");
}

#[track_caller]
fn trips_nothing(stable: &Wasm, canary: &Wasm) {
    ends(stable, canary, 50, "Promoted");
}

#[test]
fn a_canary_that_denies_more_trips_the_criterion_of_denials() {
    let (stable, canary) = (denying_one_of(20, "a"), denying_one_of(4, "b"));
    trips(&stable, &canary, 50, "denyRateDelta");
}

#[test]
fn a_canary_that_denies_as_much_as_the_stable_version_trips_nothing() {
    let (stable, canary) = (denying_one_of(4, "a"), denying_one_of(4, "b"));
    trips_nothing(&stable, &canary);
}

#[test]
fn a_canary_whose_requests_fail_at_the_origin_trips_the_criterion_of_errors() {
    let (stable, canary) = (adding("x-else", "a"), adding("x-fail", "b"));
    trips(&stable, &canary, 50, "errorRateDelta");
}

#[test]
fn a_canary_whose_requests_fail_as_often_as_the_others_trips_nothing() {
    let (stable, canary) = (adding("x-else", "a"), adding("x-else", "b"));
    trips_nothing(&stable, &canary);
}

#[test]
fn a_canary_that_makes_answers_late_trips_the_criterion_of_times() {
    let (stable, canary) = (adding("x-else", "a"), adding("x-slow", "b"));
    // A few, so that enough is soon known of the others.
    trips(&stable, &canary, 10, "p99Delta");
}

#[test]
fn a_canary_that_makes_less_than_one_in_a_hundred_late_trips_nothing() {
    let stable = adding("x-else", "a");
    let canary = adding_to_one_of(400, "x-slow", "b");
    trips_nothing(&stable, &canary);
}

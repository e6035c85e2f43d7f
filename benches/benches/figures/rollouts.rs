//! What a rollout adds to a request: its stream is dealt to a version, and counted when it has ended. And
//! what a shadow adds: its stream is copied and shown to a filter beside it.
//!
//! Owns two gateways of one worker each that differ in nothing else. They are asked in turns, and what is
//! compared is the CPU time of their workers, as the kernel counts it. A filter behind answers, and many
//! requests come at once: reads, writes and waking up would cost ten times what is looked for, and never the
//! same.

use std::collections::HashSet;
use std::fs;
use std::time::Duration;

use tidegate_core::rollout::split::{Key, Share, Split};
use tidegate_host_abi::Shadow;
use tidegate_testkit::gateway::Builder;
use tidegate_testkit::{Client, Gateway, Origin, Wasm};

use crate::report::{Figure, Report};

/// Requests of a round: some milliseconds, between two other programs' turns. What is sent at once, and all
/// answers to it, find room in the buffers of sockets.
const REQUESTS: u32 = 400;
const ROUNDS: usize = 300;

/// A filter that looks at each request.
const FILTER: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 0))"#;

/// A filter that answers each request.
const ANSWERS: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        (drop (call $answer (i32.const 200) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0) (i32.const 0) (i32.const -1)))
        (i32.const 1))"#;
const IMPORTS: &str = r#"(import "env" "proxy_send_local_response"
    (func $answer (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

/// A gateway, a client of it, and the thread of its worker.
struct Site {
    _gateway: Gateway,
    client: Client,
    worker: String,
    next: u32,
}

impl Site {
    fn start(builder: Builder) -> Option<Self> {
        let before = workers();
        let gateway = builder.start();
        let new = workers().difference(&before).next().cloned()?;
        Some(Self {
            client: gateway.client(),
            _gateway: gateway,
            worker: new,
            next: 0,
        })
    }

    /// CPU time of the worker for so many requests of different users.
    fn round(&mut self) -> Option<Duration> {
        let before = cpu_time(&self.worker)?;
        let users = self.next..self.next + REQUESTS;
        self.next = users.end;
        let requests: String = users
            .map(|user| format!("GET / HTTP/1.1\r\nhost: a\r\nx-user: {user}\r\n\r\n"))
            .collect();
        self.client.send(requests);
        for _ in 0..REQUESTS {
            assert_eq!(self.client.response().status(), 200);
        }
        Some(cpu_time(&self.worker)?.saturating_sub(before))
    }
}

/// The figures.
pub(crate) fn requests(report: &mut Report) {
    let filter = Wasm::wat("filter", "", FILTER);
    let canary = Wasm::wat("canary", "(global i32 (i32.const 1))", FILTER);
    let to = || Gateway::to(Origin::nowhere()).plugin(&filter);
    let by_header = Key::Header("x-user".parse().expect("a name"));
    for (name, key, at_most) in [
        (
            "what a rollout adds to a request, by a header",
            Some(by_header),
            500.0,
        ),
        (
            "the same, by the client's address",
            Some(Key::ClientIp),
            500.0,
        ),
        ("the same, by chance", None, 500.0),
    ] {
        let split = Split::new("default/filter", key);
        let tried = to().canary(&filter, canary.clone(), split, Share::percent(50));
        let more = compare(report, to(), tried);
        report.note(name, more.map(Figure::Nanos), Figure::Nanos(at_most));
    }
}

/// The figures of shadows. The copy's own work is the worker's, too, and counts.
pub(crate) fn shadows(report: &mut Report) {
    let looking_on = |percent: u8| {
        Wasm::wat("filter@shadow", "", FILTER).with(|spec| {
            spec.shadow = Some(Shadow {
                of: "filter".to_owned(),
                percent,
                cpu_percent: 100,
                concurrent: 256,
                memory_bytes: 16 << 20,
                backends: Vec::new(),
            });
        })
    };
    let plain = || Gateway::to(Origin::nowhere());
    for (name, percent, at_most) in [
        (
            "what a shadow that is shown each request adds",
            100,
            15_000.0,
        ),
        ("the same, if it is shown none", 0, 500.0),
    ] {
        let shown = plain().plugin(&looking_on(percent));
        let more = compare(report, plain(), shown);
        report.note(name, more.map(Figure::Nanos), Figure::Nanos(at_most));
    }
}

/// How many nanoseconds more one of its requests takes than one of the first, in the middle of all rounds.
fn compare(report: &Report, plain: Builder, tried: Builder) -> Option<f64> {
    let answers = Wasm::wat("answers", IMPORTS, ANSWERS);
    let mut plain = Site::start(plain.plugin(&answers))?;
    let mut tried = Site::start(tried.plugin(&answers))?;
    let mut more = Vec::new();
    for _ in 0..report.times(ROUNDS) {
        let [plain, tried] = [plain.round()?, tried.round()?].map(|time| time.as_secs_f64() * 1e9);
        more.push((tried - plain) / f64::from(REQUESTS));
    }
    more.sort_by(f64::total_cmp);
    more.get(more.len() / 2).copied()
}

/// The threads of this process that are workers.
fn workers() -> HashSet<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten();
    let names = tasks.filter_map(|task| task.ok()?.file_name().into_string().ok());
    let is_worker = |task: &String| {
        let name = fs::read_to_string(format!("/proc/self/task/{task}/comm"));
        name.is_ok_and(|name| name.starts_with("worker"))
    };
    names.filter(is_worker).collect()
}

/// The CPU time of a thread of this process, in nanoseconds as the scheduler counts them.
fn cpu_time(task: &str) -> Option<Duration> {
    let text = fs::read_to_string(format!("/proc/self/task/{task}/schedstat")).ok()?;
    let nanos = text.split_ascii_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

//! Tidegate with the module: `tidegate plugin host`, led by lines of JSON.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};
use tidegate_sdk_sys::LogLevel;

use crate::builder::Plan;
use crate::live::module;
use crate::live::program::Program;
use crate::live::server::Place;
use crate::observed::{LogLine, Seen};

/// How long an order may take: compiling a module is one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running program.
pub(super) struct Tidegate {
    child: Child,
    orders: ChildStdin,
    events: Receiver<Value>,
    address: SocketAddr,
}

impl Tidegate {
    /// Starts the plugin in it.
    ///
    /// # Errors
    /// Why the plugin does not start.
    pub(super) fn start(
        plan: &Plan,
        seen: &Seen,
        app: SocketAddr,
        backends: &[Place],
    ) -> Result<Self, String> {
        let binary = binary();
        let mut command = Command::new(&binary);
        command
            .args(["--log", "off", "plugin", "host"])
            .arg(module(plan.name)?);
        if let Some(folder) = std::env::var_os("TIDEGATE_TEST_CODE_CACHE") {
            command.arg("--code-cache").arg(folder);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let (Some(orders), Some(out)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the program has no standard input and output".to_owned());
        };
        let (sender, events) = channel();
        let lines = seen.clone();
        std::thread::spawn(move || listen(out, &lines, &sender));
        let mut program = Self {
            child,
            orders,
            events,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let answer = program.order(&start_order(plan, app, backends))?;
        let address = answer.get("address").and_then(Value::as_str);
        match address.and_then(|it| it.parse().ok()) {
            Some(address) => program.address = address,
            None => return Err(refusal(&answer, seen)),
        }
        Ok(program)
    }

    /// Gives an order and waits for what comes of it.
    fn order(&mut self, order: &Value) -> Result<Value, String> {
        let line = format!("{order}\n");
        let sent = self.orders.write_all(line.as_bytes());
        let answer = match sent.and_then(|()| self.orders.flush()) {
            Ok(()) => self.events.recv_timeout(PATIENCE).ok(),
            Err(_) => None,
        };
        let Some(answer) = answer else {
            return Err("the program under test has ended, or does not answer".to_owned());
        };
        match answer.get("is").and_then(Value::as_str) {
            Some("wrong") => Err(text(&answer, "why")),
            _ => Ok(answer),
        }
    }
}

fn start_order(plan: &Plan, app: SocketAddr, backends: &[Place]) -> Value {
    let backends = backends.iter();
    let backends: serde_json::Map<String, Value> = backends
        .map(|it| (it.name.clone(), json!(it.address)))
        .collect();
    json!({
        "do": "start",
        "config": plan.config,
        "app": app,
        "backends": backends,
        "network": plan.network,
        "stopIteration": plan.stop_iteration,
        "denied": plan.denied,
        "properties": plan.properties,
        "shared": plan.shared,
        "logLevel": plan.log_level as u32,
        "requestTimeoutMs": plan.request_timeout.map(|it| it.as_millis()),
    })
}

/// Why a plugin was refused: what the program says, and what the filter said last.
fn refusal(answer: &Value, seen: &Seen) -> String {
    let last_words = seen.with(|seen| {
        let mut lines = seen.logs.iter().rev();
        let error = lines.find(|line| line.level as u32 >= LogLevel::Error as u32);
        error.map(|line| line.text.clone())
    });
    let why = text(answer, "why");
    match last_words {
        Some(words) if !why.contains(&words) => format!("{why}: {words}"),
        _ => why,
    }
}

/// Takes what the program says: lines of the filter, and answers to orders.
fn listen(out: ChildStdout, seen: &Seen, answers: &Sender<Value>) {
    for line in BufReader::new(out).lines().map_while(Result::ok) {
        let Ok(event) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if event.get("is").and_then(Value::as_str) == Some("log") {
            let level = event.get("level").and_then(Value::as_u64);
            let level = level.and_then(|it| LogLevel::of(u32::try_from(it).ok()?));
            let line = LogLine {
                level: level.unwrap_or(LogLevel::Info),
                text: text(&event, "text"),
            };
            seen.with(|seen| seen.logs.push(line));
        } else if answers.send(event).is_err() {
            return;
        }
    }
}

fn text(event: &Value, name: &str) -> String {
    let text = event.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

/// The program: as the environment says, or the one of the workspace that this test is of, or the
/// one in PATH.
fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("TIDEGATE_BIN") {
        return PathBuf::from(named);
    }
    let test = std::env::current_exe().ok();
    let beside = test.as_deref().and_then(|it| it.parent()?.parent());
    let beside = beside.map(|folder| folder.join("tidegate"));
    beside
        .filter(|it| it.is_file())
        .unwrap_or_else(|| "tidegate".into())
}

impl Program for Tidegate {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn open(&mut self) -> Result<usize, String> {
        let answer = self.order(&json!({"do": "streams"}))?;
        let count = answer.get("count").and_then(Value::as_u64).unwrap_or(0);
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    fn advance(&mut self, time: Duration) -> Result<bool, String> {
        let ms = time.as_millis();
        self.order(&json!({"do": "advance", "ms": ms}))?;
        Ok(true)
    }

    fn metric(&mut self, name: &str) -> Result<Option<u64>, String> {
        let answer = self.order(&json!({"do": "metrics"}))?;
        let values = answer.get("values");
        Ok(values.and_then(|it| it.get(name)).and_then(Value::as_u64))
    }

    fn shared(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        let answer = self.order(&json!({"do": "shared", "key": key}))?;
        let value = answer.get("value").cloned().unwrap_or(Value::Null);
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String> {
        let order = json!({"do": "property", "path": path, "value": value});
        self.order(&order).map(|_done| ())
    }

    fn stop(&mut self) -> Result<(), String> {
        let stopped = self.order(&json!({"do": "stop"}));
        if stopped.is_err() {
            self.child.kill().ok();
        }
        self.child.wait().ok();
        stopped.map(|_| ())
    }
}

impl Drop for Tidegate {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

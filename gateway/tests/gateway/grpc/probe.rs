//! The filter that makes calls on command (`probe.wat`), and talking to it.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tidegate_testkit::Client;
use tidegate_testkit::Wasm;
use tidegate_testkit::eventually;

/// The filter.
pub(super) fn filter() -> Wasm {
    let body = concat!(
        include_str!("../probe_common.wat"),
        include_str!("probe.wat")
    );
    Wasm::wat("probe", include_str!("imports.wat"), body)
}

/// A proxy with the filter in it.
pub(super) struct Probe {
    client: Client,
    /// What the filter has written down, read so far.
    lines: Vec<String>,
}

impl Probe {
    pub(super) fn at(address: SocketAddr) -> Self {
        Self {
            client: Client::connect(address),
            lines: Vec::new(),
        }
    }

    fn ask(&mut self, fields: &str) -> String {
        self.client
            .send(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        self.client.response().text()
    }

    /// Starts a unary call with the message `ping`; returns the status and the token.
    pub(super) fn call(&mut self, up: &[u8], method: &str, timeout: u32) -> (u32, u32) {
        let (up, message) = (hex(up), hex(b"ping"));
        numbers(&self.ask(&format!(
            "x-op: u\r\nx-up: {up}\r\nx-method: {method}\r\nx-msg: {message}\r\n\
             x-timeout: {timeout}\r\n"
        )))
    }

    /// Starts a stream; returns the status and the token.
    pub(super) fn stream(&mut self, up: &[u8], method: &str) -> (u32, u32) {
        let up = hex(up);
        numbers(&self.ask(&format!("x-op: s\r\nx-up: {up}\r\nx-method: {method}\r\n")))
    }

    fn on(&mut self, op: char, token: u32, message: &[u8]) -> u32 {
        let message = hex(message);
        let fields = format!("x-op: {op}\r\nx-token: {token}\r\nx-msg: {message}\r\n");
        numbers(&self.ask(&fields)).0
    }

    /// Sends a message on a stream; returns the status.
    pub(super) fn send(&mut self, token: u32, message: &[u8]) -> u32 {
        self.on('m', token, message)
    }

    /// Sends the last message on a stream; returns the status.
    pub(super) fn send_last(&mut self, token: u32, message: &[u8]) -> u32 {
        self.on('e', token, message)
    }

    /// Cancels a call or stream; returns the status.
    pub(super) fn cancel(&mut self, token: u32) -> u32 {
        self.on('c', token, b"")
    }

    /// Closes a call or stream; returns the status.
    pub(super) fn close(&mut self, token: u32) -> u32 {
        self.on('k', token, b"")
    }

    /// What the filter has heard of a token so far.
    pub(super) fn heard(&mut self, token: u32) -> Vec<String> {
        let said = self.ask("x-op: r\r\n");
        for line in said.lines() {
            // A message may have lines of its own.
            let begins = [
                "initial ",
                "receive ",
                "trailing ",
                "close ",
                "not the root! ",
            ];
            match self.lines.last_mut() {
                Some(last) if !begins.iter().any(|begin| line.starts_with(begin)) => {
                    last.push('\n');
                    last.push_str(line);
                }
                _ => self.lines.push(line.to_owned()),
            }
        }
        let token = token.to_string();
        let mut about = Vec::new();
        for line in &self.lines {
            let mut words = line.splitn(3, ' ');
            let (kind, of) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            if of == token {
                about.push(plain(kind, words.next().unwrap_or("")));
            }
        }
        about
    }

    /// What the filter has heard of a token once that are so many things.
    #[track_caller]
    pub(super) fn hears(&mut self, token: u32, count: usize) -> Vec<String> {
        eventually("events of a call", || {
            let heard = self.heard(token);
            (heard.len() >= count).then_some(heard)
        })
    }
}

/// A line without what no test can know: counts that agree, times, and statuses of other calls.
fn plain(kind: &str, rest: &str) -> String {
    match kind {
        "initial" | "trailing" => {
            let (count, pairs) = rest.split_once(' ').unwrap_or((rest, ""));
            let named = pairs.split(" x-envoy-upstream-service-time=").next();
            let named = named.unwrap_or(pairs);
            assert_eq!(count == "0", pairs.is_empty(), "{rest}");
            format!("{kind} {named}").trim_end().to_owned()
        }
        "receive" => {
            let message = rest
                .rsplit_once(" status=")
                .map_or(rest, |(message, _)| message);
            format!("{kind} {message}")
        }
        _ => {
            let (status, how) = rest.split_once(' ').unwrap_or((rest, ""));
            let said = format!("status=0/{status}/");
            let message = how.strip_prefix(&said).unwrap_or("get_status disagrees");
            let message = message.split('{').next().unwrap_or(message);
            format!("{kind} {status} {message}")
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string");
        text
    })
}

fn numbers(said: &str) -> (u32, u32) {
    let parsed = said
        .split_once(' ')
        .and_then(|(status, token)| Some((status.parse().ok()?, token.trim().parse().ok()?)));
    assert!(parsed.is_some(), "the probe said {said:?}");
    parsed.unwrap_or_default()
}

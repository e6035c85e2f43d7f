//! One Redis server: runs the script there, and says why it could not.

use std::cell::RefCell;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_sdk::error::CallFailure;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::redis::Client;
use tidegate_sdk::redis::Value;

use super::breaker::Breaker;
use super::leases::Leases;
use super::leasing::Fetch;
use super::refusals::Refusals;
use super::script;
use super::script::By;
use super::script::Granted;
use super::script::Mode;
use super::script::Wanted;
use crate::config::RedisConfig;
use crate::state::Context;
use crate::store::Answered;
use crate::store::Ask;
use crate::store::Unavailable;

/// A server with what a worker knows of it.
#[derive(Debug)]
pub(super) struct Server {
    client: Client,
    /// What all keys begin with: the part in braces puts them into one slot of a cluster, where one
    /// script may use them together.
    prefix: String,
    pub(super) timeout: Duration,
    breaker: Breaker,
    refusals: RefCell<Refusals>,
    pub(super) leases: RefCell<Leases<Fetch>>,
    commands: Counter,
}

impl Server {
    pub(super) fn new(config: &RedisConfig, cx: &Context) -> Self {
        let domain = config.domain.clone();
        let domain = domain.or_else(|| cx.property(&["plugin_name"]));
        let domain = domain.filter(|it| !it.is_empty());
        let domain = domain.unwrap_or_else(|| "default".to_owned());
        let mut client = cx
            .redis(&config.backend)
            .timeout(config.timeout)
            .database(config.database);
        if let Some(username) = &config.username {
            client = client.user(username);
        }
        if let Some(password) = &config.password {
            client = client.password(password);
        }
        Self {
            client,
            prefix: ["tidegate:{", &domain, "}:"].concat(),
            timeout: config.timeout,
            breaker: Breaker::default(),
            refusals: RefCell::default(),
            leases: RefCell::new(Leases::new(config.lease)),
            commands: cx.counter("rate_limit_redis_commands"),
        }
    }

    /// What is wanted of the server so that all of these are admitted.
    pub(super) fn wanted(&self, asks: &[Ask<'_>]) -> Vec<Wanted> {
        let wanted = asks.iter().map(|ask| Wanted {
            key: self.key(ask),
            rate: ask.limit.rate,
            want: ask.cost,
            least: ask.cost,
        });
        wanted.collect()
    }

    /// The key in Redis: the limit's name, and a hash of whose it is. Clients' addresses and secrets in
    /// headers do not leave the gateway.
    fn key(&self, ask: &Ask<'_>) -> Vec<u8> {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let hash = Sha256::digest(ask.key.as_bytes());
        let name = ask.limit.name.as_bytes();
        let mut key = Vec::with_capacity(self.prefix.len() + name.len() + 33);
        key.extend_from_slice(self.prefix.as_bytes());
        key.extend_from_slice(name);
        key.push(b':');
        for byte in hash.iter().take(16) {
            for nibble in [byte >> 4, byte & 15] {
                key.push(HEX.get(usize::from(nibble)).copied().unwrap_or(b'0'));
            }
        }
        key
    }

    /// Takes from all if all admit it. The server is not asked about what it is known to refuse; of the
    /// other keys nothing is known then.
    pub(super) async fn take(
        &self,
        cx: &Context,
        wanted: &[Wanted],
    ) -> Answered<Vec<Option<Granted>>> {
        let known = self.refusals.borrow().answers(wanted, cx.now().nanos());
        if let Some(known) = known {
            return Ok(known);
        }
        let answers = self.run(cx, Mode::Take, wanted).await?;
        let mut refusals = self.refusals.borrow_mut();
        refusals.note(wanted, &answers, cx.now().nanos());
        Ok(answers.into_iter().map(Some).collect())
    }

    /// Runs the script.
    pub(super) async fn run(
        &self,
        cx: &Context,
        mode: Mode,
        wanted: &[Wanted],
    ) -> Answered<Vec<Granted>> {
        let began = cx.now();
        if !self.breaker.may_ask(began.nanos()) {
            return Err(unavailable(
                cx,
                "skipped",
                "it failed a moment ago".to_owned(),
            ));
        }
        self.commands.add(1);
        let mut value = self.send(&script::command(By::Name, mode, wanted)).await;
        if matches!(&value, Ok(it) if is(it, "NOSCRIPT")) {
            // It has forgotten the script: it is new, or was started anew.
            let left = self.timeout.saturating_sub(began.elapsed());
            let command = script::command(By::Text, mode, wanted);
            let again = cx.timeout(left, self.send(&command)).await;
            value = again.unwrap_or_else(Err);
        }
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                self.breaker.on_failure(cx.now().nanos());
                let reason = match error.call_failure() {
                    Some(CallFailure::Unreachable) => "unreachable",
                    Some(CallFailure::Timeout) | None => "timeout",
                    Some(_) => "unsupported",
                };
                return Err(unavailable(cx, reason, error.to_string()));
            }
        };
        self.breaker.on_answer();
        script::answer(&value, wanted.len())
            .ok_or_else(|| unavailable(cx, "error", refusal(&value)))
    }

    async fn send(&self, words: &[Vec<u8>]) -> Result<Value> {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.client.run(&words).await
    }
}

#[cold]
fn unavailable(cx: &Context, reason: &str, why: String) -> Unavailable {
    cx.counter(&["rate_limit_redis_", reason].concat()).add(1);
    Unavailable(["Redis: ", &why].concat())
}

/// Whether the server refuses with this word.
fn is(value: &Value, word: &str) -> bool {
    value.error().is_some_and(|why| why.starts_with(word))
}

/// What is wrong with an answer.
fn refusal(value: &Value) -> String {
    match value.error() {
        Some(why)
            if ["MOVED", "ASK", "CROSSSLOT"]
                .iter()
                .any(|it| why.starts_with(it)) =>
        {
            let hint = "it is a node of a cluster, where another has this domain's keys: name that one, or a \
                        proxy of the cluster";
            [why, " (", hint, ")"].concat()
        }
        Some(why) => why.to_owned(),
        None => "the script's answer is not the script's".to_owned(),
    }
}

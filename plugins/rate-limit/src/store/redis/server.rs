//! The Redis servers of a store: which of them has a key, what runs there, and why it could not.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_sdk::error::CallFailure;
use tidegate_sdk::metrics::Counter;
use tidegate_sdk::prelude::*;
use tidegate_sdk::redis::Client;
use tidegate_sdk::redis::Value;

use super::keys::Keys;
use super::keys::is_one_part;
use super::keys::parts;
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
use crate::store::breaker::Breaker;

/// The servers of a store, of which one has each key, with what a worker knows of them.
#[derive(Debug)]
pub(super) struct Server {
    servers: Vec<One>,
    keys: Keys,
    pub(super) timeout: Duration,
    refusals: RefCell<Refusals>,
    pub(super) leases: RefCell<Leases<Fetch>>,
    commands: Counter,
}

/// One of the servers.
#[derive(Debug)]
struct One {
    client: Client,
    breaker: Breaker,
}

impl One {
    fn new(backend: &Backend, config: &RedisConfig, cx: &Context) -> Self {
        let mut client = cx
            .redis(backend)
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
            breaker: Breaker::default(),
        }
    }

    async fn send(&self, words: &[Vec<u8>]) -> Result<Value> {
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        self.client.run(&words).await
    }
}

impl Server {
    pub(super) fn new(config: &RedisConfig, cx: &Context) -> Self {
        let domain = config.domain.clone();
        let domain = domain.or_else(|| cx.property(&["plugin_name"]));
        let domain = domain.filter(|it| !it.is_empty());
        let domain = domain.unwrap_or_else(|| "default".to_owned());
        let backends = std::iter::once(&config.backend).chain(&config.shards);
        Self {
            servers: backends.map(|it| One::new(it, config, cx)).collect(),
            keys: Keys::new(config, domain),
            timeout: config.timeout,
            refusals: RefCell::default(),
            leases: RefCell::new(Leases::new(config.lease)),
            commands: cx.counter("rate_limit_redis_commands"),
        }
    }

    /// What is wanted so that all of these are admitted.
    pub(super) fn wanted(&self, asks: &[Ask<'_>]) -> Vec<Wanted> {
        asks.iter().map(|ask| self.keys.wanted(ask)).collect()
    }

    /// The server that has a part. Parts of a new server are the last ones: those before stay.
    fn server_of(&self, part: u32) -> Option<&One> {
        let place = usize::try_from(part / self.keys.slots()).ok()?;
        self.servers.get(place)
    }

    /// Takes from all if all admit it. Nobody is asked about what is known to be refused; of the other keys
    /// nothing is known then.
    pub(super) async fn take(
        self: &Rc<Self>,
        cx: &Context,
        wanted: &[Wanted],
    ) -> Answered<Vec<Option<Granted>>> {
        let known = self.refusals.borrow().answers(wanted, cx.now().nanos());
        if let Some(known) = known {
            return Ok(known);
        }
        if is_one_part(wanted) {
            let answers = self.take_of_part(cx, wanted).await?;
            return Ok(answers.into_iter().map(Some).collect());
        }
        self.take_of_parts(cx, wanted).await
    }

    async fn take_of_part(&self, cx: &Context, wanted: &[Wanted]) -> Answered<Vec<Granted>> {
        let answers = self.run(cx, Mode::Take, wanted).await?;
        let mut refusals = self.refusals.borrow_mut();
        refusals.note(wanted, &answers, cx.now().nanos());
        Ok(answers)
    }

    /// One part after the other, within the time of one, until one refuses: those before get back what
    /// was taken.
    async fn take_of_parts(
        self: &Rc<Self>,
        cx: &Context,
        wanted: &[Wanted],
    ) -> Answered<Vec<Option<Granted>>> {
        let began = cx.now();
        let mut known: BTreeMap<&[u8], Granted> = BTreeMap::new();
        let mut taken: Vec<Vec<Wanted>> = Vec::new();
        let all = parts(wanted.to_vec());
        for part in &all {
            let left = self.timeout.saturating_sub(began.elapsed());
            let answers = match taken.is_empty() {
                true => self.take_of_part(cx, part).await,
                false => match cx.timeout(left, self.take_of_part(cx, part)).await {
                    Ok(answers) => answers,
                    Err(error) => Err(unavailable(cx, "timeout", error.to_string())),
                },
            };
            let admitted = matches!(&answers, Ok(it) if it.iter().all(|it| it.admitted));
            if !admitted && !taken.is_empty() {
                self.tell(cx, Mode::Refund, std::mem::take(&mut taken));
            }
            let keys = part.iter().map(|it| it.key.as_slice());
            known.extend(keys.zip(answers?));
            if !admitted {
                break;
            }
            taken.push(part.clone());
        }
        let answers = wanted
            .iter()
            .map(|it| known.get(it.key.as_slice()).copied());
        Ok(answers.collect())
    }

    /// Tells servers something that no request waits for.
    pub(super) fn tell(self: &Rc<Self>, cx: &Context, mode: Mode, parts: Vec<Vec<Wanted>>) {
        let (server, own) = (Rc::clone(self), cx.clone());
        cx.spawn(async move {
            for part in parts {
                // What failed is counted. What cannot be given back comes back by itself.
                server.run(&own, mode, &part).await.ok();
            }
        });
    }

    /// Runs the script for keys of one part.
    pub(super) async fn run(
        &self,
        cx: &Context,
        mode: Mode,
        wanted: &[Wanted],
    ) -> Answered<Vec<Granted>> {
        let began = cx.now();
        let part = wanted.first().map_or(0, |it| it.part);
        let Some(server) = self.server_of(part) else {
            return Err(Unavailable("Redis: no server has the key".to_owned()));
        };
        if !server.breaker.may_ask(began.nanos()) {
            return Err(unavailable(
                cx,
                "skipped",
                "it failed a moment ago".to_owned(),
            ));
        }
        self.commands.add(1);
        let mut value = server.send(&script::command(By::Name, mode, wanted)).await;
        if matches!(&value, Ok(it) if is(it, "NOSCRIPT")) {
            // It has forgotten the script: it is new, or was started anew.
            let left = self.timeout.saturating_sub(began.elapsed());
            let command = script::command(By::Text, mode, wanted);
            let again = cx.timeout(left, server.send(&command)).await;
            value = again.unwrap_or_else(Err);
        }
        let value = match value {
            Ok(value) => value,
            Err(error) => {
                server.breaker.on_failure(cx.now().nanos());
                let reason = match error.call_failure() {
                    Some(CallFailure::Unreachable) => "unreachable",
                    Some(CallFailure::Timeout) | None => "timeout",
                    // Too many commands are under way already.
                    Some(CallFailure::Refused(_)) => "refused",
                    Some(_) => "unsupported",
                };
                return Err(unavailable(cx, reason, error.to_string()));
            }
        };
        server.breaker.on_answer();
        script::answer(&value, wanted.len())
            .ok_or_else(|| unavailable(cx, "error", refusal(&value)))
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

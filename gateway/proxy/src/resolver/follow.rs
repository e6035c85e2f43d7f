//! One source, looked up again and again.
//!
//! Owns the questions of a source: for addresses one or two by name, for services one by name and
//! those about the hosts that it leads to.

mod publish;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use tidegate_core::dns::AddressFamily;
use tidegate_core::dns::Answer;
use tidegate_core::dns::DnsRecords;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::Question;
use tidegate_core::dns::Target;
use tidegate_core::dns::share;
use tokio::task::JoinHandle;
use tokio::task::JoinSet;

use crate::random::IdSource;
use crate::resolver::board::Board;
use crate::resolver::board::Lookups;
use crate::resolver::follow::publish::Told;
use crate::resolver::lookup::Found;
use crate::resolver::lookup::Kind;
use crate::resolver::lookup::Lookup;

/// Hosts of one source that are looked up, if services lead to hosts.
const MOST_HOSTS: usize = 64;

/// What all sources have in common.
#[derive(Debug)]
pub(super) struct Followers {
    pub(super) board: Arc<Board>,
    lookup: Rc<Lookup>,
    dice: IdSource,
    /// Decides which of too many addresses are taken.
    seed: u64,
}

/// A source that is followed until this is dropped.
#[derive(Debug)]
pub(super) struct Followed {
    task: JoinHandle<()>,
    first: Rc<RefCell<First>>,
}

/// Who waits for the first answer.
#[derive(Debug)]
enum First {
    Awaited(Vec<Sender<()>>),
    Came,
}

/// A name, and what is asked of it.
type Key = (Arc<str>, Kind);
type Questions = BTreeMap<Key, Question<Found>>;

impl Followers {
    pub(super) fn new(servers: Vec<SocketAddr>, board: Arc<Board>) -> Self {
        let dice = IdSource::seeded();
        Self {
            board,
            lookup: Rc::new(Lookup::new(servers)),
            seed: dice.draw(),
            dice,
        }
    }
}

impl Followed {
    pub(super) fn start(followers: &Rc<Followers>, source: Arc<DnsSource>) -> Self {
        let first = Rc::new(RefCell::new(First::Awaited(Vec::new())));
        let follow = Follow {
            followers: Rc::clone(followers),
            source,
            questions: Questions::new(),
            lookups: Lookups::default(),
            problems: BTreeMap::new(),
            told: Told::default(),
            first: Rc::clone(&first),
        };
        // Ended by `drop`.
        let task = tokio::task::spawn_local(follow.run());
        Self { task, first }
    }

    /// Keeps a sender until there is a first answer.
    pub(super) fn tell_first(&self, sender: &Sender<()>) {
        if let First::Awaited(senders) = &mut *self.first.borrow_mut() {
            senders.push(sender.clone());
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Follow {
    followers: Rc<Followers>,
    source: Arc<DnsSource>,
    questions: Questions,
    lookups: Lookups,
    /// Why questions have no good answer.
    problems: BTreeMap<Key, String>,
    told: Told,
    first: Rc<RefCell<First>>,
}

impl Follow {
    async fn run(mut self) {
        loop {
            let mut again = self.ask(|one| one.due() <= Instant::now()).await;
            while again {
                // Answers may lead to questions; what was asked a moment ago is not asked again.
                again = self.ask(|one| !one.is_answered()).await;
            }
            self.publish();
            let due = self.questions.values().map(Question::due).min();
            let due = due.unwrap_or_else(|| Instant::now() + self.source.max_ttl);
            tokio::time::sleep_until(due.into()).await;
        }
    }

    /// Asks the questions that are due; says whether any was.
    async fn ask(&mut self, is_due: impl Fn(&Question<Found>) -> bool) -> bool {
        let now = Instant::now();
        let wanted = self.wanted();
        self.questions.retain(|key, _| wanted.contains(key));
        self.problems.retain(|key, _| wanted.contains(key));
        let mut asked = JoinSet::new();
        for key in wanted {
            let question = self.questions.entry(key.clone());
            let question = question.or_insert_with(|| Question::new(now));
            if is_due(question) {
                let lookup = Rc::clone(&self.followers.lookup);
                asked.spawn_local(async move {
                    let (answer, problem) = lookup.ask(&key.0, key.1).await;
                    (key, answer, problem)
                });
            }
        }
        let any = !asked.is_empty();
        while let Some(answered) = asked.join_next().await {
            // A task that failed has asked nothing: it is due still, and must not be asked at once.
            let Ok((key, answer, problem)) = answered else {
                tokio::time::sleep(self.source.min_ttl).await;
                continue;
            };
            self.take(key, answer, problem);
            // The other family may take its time, or for ever.
            if self.told.endpoints == 0 && !self.targets(false).is_empty() {
                self.publish();
            }
        }
        any
    }

    fn take(&mut self, key: Key, answer: Answer<Found>, problem: Option<String>) {
        let counter = match &answer {
            Answer::Records(records, _) if !records.is_empty() => &mut self.lookups.found,
            Answer::Records(..) | Answer::Missing(_) => &mut self.lookups.missing,
            Answer::Failed => &mut self.lookups.failed,
        };
        *counter += 1;
        let limits = (self.source.min_ttl, self.source.max_ttl);
        let draw = self.followers.dice.draw();
        if let Some(question) = self.questions.get_mut(&key) {
            question.on(answer, limits, Instant::now(), draw);
        }
        match problem {
            Some(problem) => self.problems.insert(key, problem),
            None => self.problems.remove(&key),
        };
    }

    /// The questions that there are, those that follow from answers included.
    fn wanted(&self) -> BTreeSet<Key> {
        let kinds = match self.source.family {
            AddressFamily::Any => &[Kind::V4, Kind::V6][..],
            AddressFamily::V4 => &[Kind::V4],
            AddressFamily::V6 => &[Kind::V6],
        };
        let addresses = |host: &Arc<str>| {
            let host = Arc::clone(host);
            kinds.iter().map(move |kind| (Arc::clone(&host), *kind))
        };
        match self.source.records {
            DnsRecords::Addresses { .. } => self.source.names.iter().flat_map(addresses).collect(),
            DnsRecords::Services => {
                let services = self.source.names.iter();
                let services = services.map(|name| (Arc::clone(name), Kind::Services));
                let hosts: BTreeSet<Arc<str>> = self
                    .known(Kind::Services)
                    .filter_map(|found| match found {
                        Found::Service { host, .. } => Some(Arc::clone(host)),
                        Found::Address(_) => None,
                    })
                    .collect();
                let hosts = hosts.iter().take(MOST_HOSTS);
                services.chain(hosts.flat_map(addresses)).collect()
            }
        }
    }

    /// The records of a kind that count: what servers say now, or if that is nothing, what they said
    /// last.
    fn known(&self, kind: Kind) -> impl Iterator<Item = &Found> {
        let of_kind = move |key: &Key| key.1 == kind;
        let all = self.questions.iter().filter(move |(key, _)| of_kind(key));
        let any = all.clone().any(|(_, one)| !one.records().is_empty());
        all.flat_map(move |(_, one)| if any { one.records() } else { one.stale() })
    }

    /// The addresses of a host, as `known`.
    fn addresses(&self, host: &Arc<str>, stale: bool) -> Vec<SocketAddr> {
        let kinds = [Kind::V4, Kind::V6];
        let questions = kinds
            .into_iter()
            .filter_map(|kind| self.questions.get(&(Arc::clone(host), kind)));
        let records = questions.flat_map(|one| if stale { one.stale() } else { one.records() });
        records
            .filter_map(|found| match found {
                Found::Address(ip) => Some(SocketAddr::new(*ip, 0)),
                Found::Service { .. } => None,
            })
            .collect()
    }

    fn targets(&self, stale: bool) -> Vec<Target> {
        let at = |address: SocketAddr, port: u16| SocketAddr::new(address.ip(), port);
        match self.source.records {
            DnsRecords::Addresses { port } => {
                let names = self.source.names.iter();
                let all = names.flat_map(|name| self.addresses(name, stale));
                all.map(|address| Target {
                    address: at(address, port),
                    priority: 0,
                    weight: 1,
                })
                .collect()
            }
            DnsRecords::Services => {
                let mut all = Vec::new();
                for service in self.known(Kind::Services) {
                    let Found::Service {
                        priority,
                        weight,
                        port,
                        host,
                    } = service
                    else {
                        continue;
                    };
                    let addresses = self.addresses(host, stale);
                    let weight = share(*weight, addresses.len());
                    all.extend(addresses.into_iter().map(|address| Target {
                        address: at(address, *port),
                        priority: *priority,
                        weight,
                    }));
                }
                all
            }
        }
    }
}

//! What a source's answers come to, for workers and for the log.
//!
//! Owns which targets are endpoints, and that the log says what changes and not how often.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::backend::BackendName;
use tidegate_core::dns::Question;
use tidegate_core::dns::Refused;
use tidegate_core::dns::Resolved;
use tidegate_core::dns::Target;
use tidegate_core::dns::check_address;

use crate::resolver::board::State;
use crate::resolver::follow::First;
use crate::resolver::follow::Follow;
use crate::resolver::follow::Key;

/// How often changes of one source are logged as news; more often they are for debugging.
const NEWS: Duration = Duration::from_secs(10);

/// What the log has.
#[derive(Debug, Default)]
pub(super) struct Told {
    news: Option<Instant>,
    pub(super) endpoints: usize,
    left_out: usize,
    refused: BTreeSet<SocketAddr>,
    is_failing: bool,
}

impl Follow {
    /// Says what the answers come to.
    pub(super) fn publish(&mut self) {
        let mut targets = self.targets(false);
        if targets.is_empty() {
            targets = self.targets(true);
        }
        let allow = self.source.allow_link_local;
        let mut refused = BTreeSet::new();
        skip_unreachable(&mut targets);
        targets.retain(|target| match check_address(target.address.ip(), allow) {
            Ok(()) => true,
            Err(why) => {
                self.refuse(target.address, why);
                refused.insert(target.address);
                false
            }
        });
        self.told.refused = refused;
        let (now, left_out) = Resolved::of(targets, self.followers.seed);
        let used = self.questions.values();
        let used = used.filter(|one| !(one.records().is_empty() && one.stale().is_empty()));
        let state = State {
            oldest: used.filter_map(Question::good_at).min(),
            problem: self.problem(now.count()),
            lookups: self.lookups,
        };
        let problem = state.problem.clone();
        let changed = self.followers.board.note(&self.source, now, state);
        if let Some((backends, now)) = changed {
            self.log_change(&backends, &now);
        }
        if left_out > 0 && self.told.left_out != left_out {
            let names = self.source.names.join(", ");
            tracing::warn!("{names}: {left_out} addresses too many are not used");
        }
        self.told.left_out = left_out;
        self.log_problem(problem);
        self.first.replace(First::Came);
    }

    /// What is wrong: a failure, or that there is nothing.
    fn problem(&self, endpoints: usize) -> Option<String> {
        let failing = |key: &Key| {
            let question = self.questions.get(key);
            question.is_some_and(Question::is_failing)
        };
        let mut all = self.problems.iter();
        // A name without addresses of one family is nothing to speak of.
        let (key, why) = all.find(|(key, _)| endpoints == 0 || failing(key))?;
        Some(format!("{}: {why}", key.0))
    }

    fn refuse(&self, address: SocketAddr, why: Refused) {
        if self.told.refused.contains(&address) {
            return;
        }
        let names = self.source.names.join(", ");
        let why = match why {
            Refused::NoHost => "nothing can be connected to there",
            Refused::Mapped => "it is an IPv4 address written as one of IPv6",
            Refused::LinkLocal => "it is link-local, or of a cloud's metadata service",
        };
        tracing::warn!("{names}: the address {} is not used: {why}", address.ip());
    }

    fn log_change(&mut self, backends: &[BackendName], now: &Resolved) {
        let backends: Vec<&str> = backends.iter().map(BackendName::as_str).collect();
        let backends = backends.join(", ");
        let count = now.count();
        let is_late = self.told.news.is_none_or(|last| last.elapsed() >= NEWS);
        // The first ones, and none, are news at any time.
        let is_news = is_late || count == 0 || self.told.endpoints == 0;
        self.told.endpoints = count;
        if is_news {
            self.told.news = Some(Instant::now());
            tracing::info!("{backends}: endpoints from DNS: {count}");
        } else {
            tracing::debug!("{backends}: endpoints from DNS: {count}");
        }
    }

    fn log_problem(&mut self, problem: Option<String>) {
        let is_failing = problem.is_some();
        match problem {
            Some(problem) if !self.told.is_failing => {
                tracing::warn!("lookup failed; what was known stands: {problem}");
            }
            None if self.told.is_failing => {
                tracing::info!("{}: lookups work again", self.source.names.join(", "));
            }
            _ => {}
        }
        self.told.is_failing = is_failing;
    }
}

/// Leaves out addresses of IPv6 that this machine has no way to, if there are others: many networks
/// have no IPv6, and many names have addresses of it all the same.
fn skip_unreachable(targets: &mut Vec<Target>) {
    if !targets.iter().any(|target| target.address.is_ipv4()) {
        return;
    }
    targets.retain(|target| {
        if target.address.is_ipv4() || target.address.ip().is_loopback() {
            return true;
        }
        // Nothing is sent: the system looks for a way.
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0));
        socket.is_ok_and(|socket| socket.connect(target.address).is_ok())
    });
}

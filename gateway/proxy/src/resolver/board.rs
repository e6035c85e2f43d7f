//! What is known of all names: for workers, scrapes and the admin API.
//!
//! Owns the one list of it. Workers are told of changes in the order in which they are noted here,
//! those of the beginning included.

use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Instant;

use tidegate_core::backend::BackendName;
use tidegate_core::backend::Endpoint;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::Resolved;
use tokio::sync::mpsc::UnboundedSender;

use crate::worker::Message;

/// What is known of the names of one backend.
#[derive(Debug, Clone)]
pub struct LookedUp {
    /// The backend.
    pub backend: BackendName,
    /// The names it has in its resource.
    pub names: Vec<Arc<str>>,
    /// The endpoints that they lead to now, the best first.
    pub endpoints: Vec<Endpoint>,
    /// Whether anything was ever found out, if only that a server does not answer.
    pub answered: bool,
    /// How many seconds the oldest answer in use is old; `None` without any.
    pub age_seconds: Option<f64>,
    /// What went wrong with the last lookups, if anything did.
    pub problem: Option<String>,
    /// Lookups that found records, that were told that there are none, and that failed.
    pub lookups: Lookups,
}

/// Lookups by their result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lookups {
    /// Records were found.
    pub found: u64,
    /// The servers say that there are none.
    pub missing: u64,
    /// The servers failed or did not answer.
    pub failed: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Board(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    sources: HashMap<Arc<DnsSource>, Known>,
    workers: Option<Arc<[UnboundedSender<Message>]>>,
}

#[derive(Debug, Default)]
struct Known {
    backends: Vec<BackendName>,
    now: Option<Arc<Resolved>>,
    state: State,
}

/// What else is to be said of a source.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) oldest: Option<Instant>,
    pub(super) problem: Option<String>,
    pub(super) lookups: Lookups,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells these workers what is known, and everything from now on.
    pub(crate) fn tell(&self, workers: &Arc<[UnboundedSender<Message>]>) {
        let mut inner = self.lock();
        for (source, known) in &inner.sources {
            if let Some(now) = &known.now {
                send(workers, source, now);
            }
        }
        inner.workers = Some(Arc::clone(workers));
    }

    /// These backends have the source.
    pub(super) fn name(&self, source: &Arc<DnsSource>, backends: Vec<BackendName>) {
        let mut inner = self.lock();
        inner
            .sources
            .entry(Arc::clone(source))
            .or_default()
            .backends = backends;
    }

    /// Forgets all other sources.
    pub(super) fn retain(&self, sources: &HashSet<Arc<DnsSource>>) {
        self.lock()
            .sources
            .retain(|source, _| sources.contains(source));
    }

    /// Notes how a source stands; returns the names of its backends if its endpoints have changed.
    pub(super) fn note(
        &self,
        source: &Arc<DnsSource>,
        now: Resolved,
        state: State,
    ) -> Option<(Vec<BackendName>, Arc<Resolved>)> {
        let mut inner = self.lock();
        let Inner { sources, workers } = &mut *inner;
        let known = sources.get_mut(source)?;
        known.state = state;
        if known.now.as_deref() == Some(&now) {
            return None;
        }
        let now = Arc::new(now);
        known.now = Some(Arc::clone(&now));
        if let Some(workers) = workers {
            send(workers, source, &now);
        }
        Some((known.backends.clone(), now))
    }

    /// The names that nothing was found out about yet.
    pub(super) fn unanswered(&self) -> Vec<String> {
        let inner = self.lock();
        let sources = inner.sources.iter();
        let sources = sources.filter(|(_, known)| known.now.is_none());
        let names = sources.flat_map(|(source, _)| source.names.iter());
        let mut names: Vec<String> = names.map(|name| name.to_string()).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What is known of each backend, by name.
    pub(crate) fn backends(&self) -> Vec<LookedUp> {
        let inner = self.lock();
        let mut all = Vec::new();
        for (source, known) in &inner.sources {
            let State {
                oldest,
                problem,
                lookups,
            } = &known.state;
            for backend in &known.backends {
                let endpoints = known.now.as_ref().map(|now| now.endpoints().copied());
                all.push(LookedUp {
                    backend: backend.clone(),
                    names: source.names.clone(),
                    endpoints: endpoints.map_or_else(Vec::new, Iterator::collect),
                    answered: known.now.is_some(),
                    age_seconds: oldest.map(|at| at.elapsed().as_secs_f64()),
                    problem: problem.clone(),
                    lookups: *lookups,
                });
            }
        }
        all.sort_by(|a, b| a.backend.cmp(&b.backend));
        all
    }
}

fn send(workers: &[UnboundedSender<Message>], source: &Arc<DnsSource>, now: &Arc<Resolved>) {
    for worker in workers {
        let (source, now) = (Arc::clone(source), Arc::clone(now));
        worker.send(Message::Resolved { source, now }).ok();
    }
}

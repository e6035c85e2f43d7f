//! Permits that were taken in advance: how many there are, who may spend them, how many to take next.
//!
//! Owns the decisions, in nanoseconds of a clock that never goes back; `leasing` carries them out.
//!
//! Invariant: of a key there are never more permits here than the most that is configured, a quarter of
//! its burst, or what one request wants, whichever of the first two is less and then of the last is more.
//! What is here was taken from the server before: so beyond the limit itself, no more can be admitted
//! than this for each worker of each gateway.

use std::collections::BTreeMap;
use std::rc::Rc;

use tidegate_sdk::limit::Rate;
use tidegate_sdk::prelude::*;

use super::refusals::Refusal;
use super::script::Granted;
use super::script::Wanted;
use crate::config::LeaseConfig;

/// Keys that permits are kept of; of others none are taken in advance.
const MOST_KEYS: usize = 16_384;
/// After so many times its life, a key that nobody asks for is forgotten.
const FORGOTTEN: u64 = 8;

/// The permits of one worker. `F` is what brings more: who needs some waits for it.
#[derive(Debug)]
pub(super) struct Leases<F> {
    pools: BTreeMap<Vec<u8>, Pool<F>>,
    bounds: Bounds,
    /// Somebody looks for what has expired.
    sweeps: bool,
}

/// The permits of one key.
#[derive(Debug)]
struct Pool<F> {
    part: u32,
    rate: Rate,
    permits: u64,
    /// How many to have after the next fetch.
    size: u64,
    /// How many were spent since the last fetch.
    spent: u64,
    /// When the server was heard of last.
    fetched: u64,
    /// What it said then.
    heard: Option<Granted>,
    refused: Option<Refusal>,
    fetch: Option<Rc<F>>,
}

/// What becomes of a request.
#[derive(Debug)]
pub(super) enum Spent<F> {
    /// It is decided: permits were spent of all keys, or one of them is known to refuse and none were.
    Decided(Vec<Option<Granted>>),
    /// These are on their way: after that, the question can be asked again.
    Coming(Rc<F>),
    /// These must be fetched first; they are of one part.
    Lacking(Vec<Wanted>),
    /// There are too many keys.
    TooMany,
}

impl<F> Leases<F> {
    pub(super) fn new(config: Option<LeaseConfig>) -> Self {
        let life = |it: LeaseConfig| u64::try_from(it.ttl.as_nanos()).unwrap_or(u64::MAX);
        Self {
            pools: BTreeMap::new(),
            bounds: Bounds {
                most: config.map_or(0, |it| it.permits),
                life: config.map_or(0, life),
            },
            sweeps: false,
        }
    }

    /// Spends permits of all keys, if there are enough of all.
    pub(super) fn spend(&mut self, wanted: &[Wanted], now: u64) -> Spent<F> {
        let bounds = self.bounds;
        let mut lacking = Vec::new();
        let mut refused = false;
        for wanted in wanted {
            let Some(pool) = self.pool(wanted) else {
                return Spent::TooMany;
            };
            if pool.permits >= needed(wanted) {
                continue;
            }
            if pool.refusal(wanted, now).is_some() {
                refused = true;
            } else if let Some(fetch) = &pool.fetch {
                return Spent::Coming(Rc::clone(fetch));
            } else {
                lacking.push(pool.lack(wanted, bounds, now));
            }
        }
        if !refused && let Some(first) = lacking.first() {
            // One part after the other.
            let part = first.part;
            lacking.retain(|it| it.part == part);
            return Spent::Lacking(lacking);
        }
        let answers = wanted.iter().map(|wanted| {
            let pool = self.pools.get_mut(&wanted.key)?;
            match refused {
                true => pool.refusal(wanted, now),
                false => Some(pool.pay(wanted, now)),
            }
        });
        Spent::Decided(answers.collect())
    }

    /// Takes note of who brings permits.
    pub(super) fn on_fetch(&mut self, wanted: &[Wanted], fetch: &Rc<F>) {
        for wanted in wanted {
            if let Some(pool) = self.pools.get_mut(&wanted.key) {
                pool.fetch = Some(Rc::clone(fetch));
            }
        }
    }

    /// Takes what was brought; nothing if the fetch failed.
    pub(super) fn on_fetched(&mut self, wanted: &[Wanted], answers: Option<&[Granted]>, now: u64) {
        for (index, wanted) in wanted.iter().enumerate() {
            let Some(pool) = self.pools.get_mut(&wanted.key) else {
                continue;
            };
            pool.fetch = None;
            if let Some(answer) = answers.and_then(|it| it.get(index)) {
                pool.fill(wanted, *answer, now);
            }
        }
    }

    /// What was not spent in its time, to be given back, and forgets keys that nobody asks for.
    pub(super) fn expired(&mut self, now: u64) -> Vec<Wanted> {
        let mut unspent = Vec::new();
        let life = self.bounds.life;
        self.pools.retain(|key, pool| {
            let age = now.saturating_sub(pool.fetched);
            if age >= life && pool.permits > 0 && pool.fetch.is_none() {
                unspent.push(Wanted {
                    key: key.clone(),
                    part: pool.part,
                    rate: pool.rate,
                    want: pool.permits,
                    least: 0,
                });
                // That many would have been enough.
                pool.size = pool.spent.max(1);
                pool.permits = 0;
            }
            pool.fetch.is_some() || age < life.saturating_mul(FORGOTTEN)
        });
        unspent
    }

    /// Whether somebody must begin to look for what has expired.
    pub(super) fn begin_sweeps(&mut self) -> bool {
        !std::mem::replace(&mut self.sweeps, true)
    }

    /// When to look for what has expired; `None` if there is nothing any more.
    pub(super) fn next_sweep(&mut self) -> Option<Duration> {
        self.sweeps = !self.pools.is_empty();
        let pause = Duration::from_nanos(self.bounds.life / 2);
        self.sweeps.then_some(pause)
    }

    fn pool(&mut self, wanted: &Wanted) -> Option<&mut Pool<F>> {
        if !self.pools.contains_key(&wanted.key) {
            if self.pools.len() >= MOST_KEYS {
                return None;
            }
            self.pools.insert(wanted.key.clone(), Pool::new(wanted));
        }
        let pool = self.pools.get_mut(&wanted.key)?;
        pool.rate = wanted.rate;
        Some(pool)
    }
}

/// How many permits there must be for a request. One that costs nothing, because its response says what
/// it costs, spends none; but it does not pass if there are none to be had.
fn needed(wanted: &Wanted) -> u64 {
    wanted.least.max(1)
}

/// What leases are bounded by.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// The most permits of a key.
    most: u64,
    /// How long unspent ones are kept.
    life: u64,
}

impl<F> Pool<F> {
    const fn new(wanted: &Wanted) -> Self {
        Self {
            part: wanted.part,
            rate: wanted.rate,
            permits: 0,
            size: 1,
            spent: 0,
            fetched: 0,
            heard: None,
            refused: None,
            fetch: None,
        }
    }

    fn refusal(&self, wanted: &Wanted, now: u64) -> Option<Granted> {
        let least = needed(wanted).saturating_sub(self.permits);
        self.refused?.answer(least, now)
    }

    /// What must be fetched for a request.
    fn lack(&mut self, wanted: &Wanted, bounds: Bounds, now: u64) -> Wanted {
        // Those before lasted for a short while only: more are spent than were taken.
        if self.heard.is_some() && now.saturating_sub(self.fetched) < bounds.life / 2 {
            self.size = self.size.saturating_mul(2);
        }
        let most = bounds.most.min(wanted.rate.burst / 4).max(1);
        self.size = self.size.min(most);
        Wanted {
            key: wanted.key.clone(),
            part: wanted.part,
            rate: wanted.rate,
            want: self.size.max(needed(wanted)).saturating_sub(self.permits),
            least: needed(wanted).saturating_sub(self.permits),
        }
    }

    fn pay(&mut self, wanted: &Wanted, now: u64) -> Granted {
        self.permits = self.permits.saturating_sub(wanted.least);
        self.spent = self.spent.saturating_add(wanted.least);
        let passed = now.saturating_sub(self.fetched) / 1000;
        let (left, full) = self.heard.map_or((0, 0), |it| (it.remaining, it.full));
        Granted {
            admitted: true,
            taken: wanted.least,
            remaining: left.saturating_add(self.permits),
            wait: Some(0),
            full: full.saturating_sub(passed),
        }
    }

    fn fill(&mut self, wanted: &Wanted, answer: Granted, now: u64) {
        self.permits = self.permits.saturating_add(answer.taken);
        self.refused = Refusal::of(wanted, answer, now);
        self.spent = 0;
        self.heard = Some(answer);
        self.fetched = now;
    }
}

#[cfg(test)]
mod tests;

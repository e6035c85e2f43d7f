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
    /// These must be fetched first.
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
            if pool.permits >= wanted.least {
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
        if !refused && !lacking.is_empty() {
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
        let least = wanted.least.saturating_sub(self.permits);
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
            rate: wanted.rate,
            want: self.size.max(wanted.least).saturating_sub(self.permits),
            least: wanted.least.saturating_sub(self.permits),
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
#[path = "../../../tests/rate_limit/model.rs"]
mod model;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::script;
    use super::super::script::By;
    use super::super::script::Mode;
    use super::model::Model;
    use super::*;

    const MILLI: u64 = 1_000_000;

    /// A server, and workers that lease from it.
    struct Fleet {
        model: Model,
        workers: Vec<Leases<()>>,
        rate: Rate,
        now: u64,
    }

    impl Fleet {
        fn new(workers: usize, permits: u64, rate: Rate) -> Self {
            let config = LeaseConfig {
                permits,
                ttl: Duration::from_millis(100),
            };
            Self {
                model: Model::default(),
                workers: (0..workers).map(|_| Leases::new(Some(config))).collect(),
                rate,
                now: 1_000_000 * MILLI,
            }
        }

        fn run(&mut self, mode: Mode, wanted: &[Wanted]) -> Vec<Granted> {
            let words = script::command(By::Name, mode, wanted);
            let answers = self.model.run(&words[2..], self.now / 1000).unwrap();
            let whole = |number: i64| u64::try_from(number).unwrap();
            let granted = answers
                .into_iter()
                .map(|[admitted, taken, left, wait, full]| Granted {
                    admitted: admitted == 1,
                    taken: whole(taken),
                    remaining: whole(left),
                    wait: u64::try_from(wait).ok(),
                    full: whole(full),
                });
            granted.collect()
        }

        /// A request to a worker; whether it is admitted. If `loses`, the reply to a fetch is lost.
        fn request(&mut self, worker: usize, cost: u64, loses: bool) -> bool {
            let wanted = [Wanted {
                key: b"k".to_vec(),
                rate: self.rate,
                want: cost,
                least: cost,
            }];
            loop {
                match self.workers[worker].spend(&wanted, self.now) {
                    Spent::Decided(answers) => return answers[0].unwrap().admitted,
                    Spent::Lacking(lacking) => {
                        self.workers[worker].on_fetch(&lacking, &Rc::new(()));
                        let answers = self.run(Mode::Lease, &lacking);
                        let brought = (!loses).then_some(&answers[..]);
                        self.workers[worker].on_fetched(&lacking, brought, self.now);
                        if loses {
                            return false;
                        }
                    }
                    Spent::Coming(_) | Spent::TooMany => panic!("one key, one at a time"),
                }
            }
        }

        fn sweep(&mut self, worker: usize) {
            let unspent = self.workers[worker].expired(self.now);
            if !unspent.is_empty() {
                self.run(Mode::Refund, &unspent);
            }
        }
    }

    /// What happens: a request of so much, to a worker, after so many milliseconds.
    #[derive(Debug, Clone)]
    struct Step {
        worker: usize,
        cost: u64,
        after: u64,
        loses: bool,
        sweeps: bool,
    }

    fn step() -> impl Strategy<Value = Step> {
        let after = prop_oneof![8 => Just(0_u64), 4 => 0..20_u64, 1 => 0..400_u64];
        (0..4_usize, 1..4_u64, after, 0..20_u8, 0..6_u8).prop_map(
            |(worker, cost, after, loses, sweeps)| Step {
                worker,
                cost,
                after,
                loses: loses == 0,
                sweeps: sweeps == 0,
            },
        )
    }

    proptest! {
        #[test]
        fn in_any_span_no_more_is_admitted_beyond_the_limit_than_the_workers_can_hold(
            steps in prop::collection::vec(step(), 1..400),
            workers in 1..4_usize,
            permits in 1..40_u64,
            requests in 1..200_u64,
            burst in 3..200_u64,
        ) {
            let rate = Rate { requests, window: Duration::from_millis(500), burst };
            let mut fleet = Fleet::new(workers, permits, rate);
            let mut admitted: Vec<(u64, u64)> = Vec::new();
            for step in &steps {
                fleet.now += step.after * MILLI;
                let worker = step.worker % workers;
                if step.sweeps {
                    fleet.sweep(worker);
                }
                if fleet.request(worker, step.cost, step.loses) {
                    admitted.push((fleet.now, step.cost));
                }
            }
            // One request may want more than a worker holds otherwise.
            let held = permits.min(burst / 4).max(3);
            let beyond = workers as u64 * held;
            for (first, (begin, _)) in admitted.iter().enumerate() {
                let mut sum = 0;
                for (end, cost) in &admitted[first..] {
                    sum += cost;
                    let span = (end - begin) as f64 / 500.0 / MILLI as f64;
                    let most = burst as f64 + requests as f64 * span + beyond as f64;
                    prop_assert!(sum as f64 <= most + 1e-6, "{sum} in {span} windows, at most {most}");
                }
            }
        }

        #[test]
        fn nobody_holds_more_than_is_configured(
            costs in prop::collection::vec(1..4_u64, 1..300),
            permits in 1..40_u64,
        ) {
            let rate = Rate { requests: 1, window: Duration::from_secs(3600), burst: 4_000 };
            let mut fleet = Fleet::new(1, permits, rate);
            for cost in costs {
                fleet.request(0, cost, false);
                let held = fleet.workers[0].pools[b"k".as_slice()].permits;
                prop_assert!(held <= permits.max(3), "{held}");
            }
        }
    }

    const PLENTY: Rate = Rate {
        requests: 1_000_000,
        window: Duration::from_secs(1),
        burst: 1_000_000,
    };

    fn fetches(fleet: &mut Fleet, requests: usize) -> Vec<u64> {
        let mut sizes = Vec::new();
        for _ in 0..requests {
            let held = |fleet: &Fleet| {
                fleet.workers[0]
                    .pools
                    .get(b"k".as_slice())
                    .map_or(0, |it| it.permits)
            };
            let before = held(fleet);
            assert!(fleet.request(0, 1, false));
            if before == 0 {
                sizes.push(held(fleet) + 1);
            }
        }
        sizes
    }

    #[test]
    fn who_spends_fast_takes_more_at_once_and_who_spends_slowly_less() {
        let mut fleet = Fleet::new(1, 20, PLENTY);
        assert_eq!(fetches(&mut fleet, 71), [1, 2, 4, 8, 16, 20, 20]);
        // Of the last fetch twenty were spent: one more, and then nobody asks for a while.
        assert_eq!(fetches(&mut fleet, 3), [20]);
        fleet.now += 100 * MILLI;
        let unspent = fleet.workers[0].expired(fleet.now);
        assert_eq!(unspent[0].want, 17);
        assert_eq!(fetches(&mut fleet, 3), [3]);
    }

    #[test]
    fn a_worker_takes_no_more_than_a_quarter_of_a_burst() {
        let small = Rate { burst: 8, ..PLENTY };
        let mut fleet = Fleet::new(1, 20, small);
        assert_eq!(fetches(&mut fleet, 4), [1, 2, 2]);
    }

    #[test]
    fn keys_that_nobody_asks_for_are_forgotten_and_no_flood_fills_the_memory() {
        let mut leases: Leases<()> = Leases::new(Some(LeaseConfig {
            permits: 1,
            ttl: Duration::from_millis(100),
        }));
        let wanted = |key: usize| {
            [Wanted {
                key: key.to_string().into_bytes(),
                rate: PLENTY,
                want: 1,
                least: 1,
            }]
        };
        for key in 0..MOST_KEYS {
            assert!(matches!(leases.spend(&wanted(key), 0), Spent::Lacking(_)));
        }
        assert!(matches!(
            leases.spend(&wanted(MOST_KEYS), 0),
            Spent::TooMany
        ));
        assert!(leases.begin_sweeps() && !leases.begin_sweeps());
        assert!(leases.next_sweep().is_some());
        assert_eq!(leases.expired(1_000 * MILLI), []);
        assert_eq!(leases.next_sweep(), None);
        assert!(leases.begin_sweeps());
    }
}

//! Leases against the script's model: what is promised of them, whatever happens.

#[path = "../../../../tests/rate_limit/model.rs"]
mod model;

use proptest::prelude::*;

use super::super::script;
use super::super::script::By;
use super::super::script::Mode;
use super::*;
use model::Model;

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

    /// A request to a worker; whether it is admitted.
    fn request(&mut self, worker: usize, cost: u64, course: Course) -> bool {
        let wanted = [Wanted {
            key: b"k".to_vec(),
            part: 0,
            rate: self.rate,
            want: cost,
            least: cost,
        }];
        loop {
            match self.workers[worker].spend(&wanted, self.now) {
                Spent::Decided(answers) => return answers[0].unwrap().admitted,
                Spent::Lacking(lacking) => {
                    let leases = &mut self.workers[worker];
                    leases.on_fetch(&lacking, &Rc::new(()));
                    leases.on_wait(&wanted);
                    if course == Course::Leaves {
                        leases.on_wait_end(&wanted);
                    }
                    let answers = self.run(Mode::Lease, &lacking);
                    let brought = (course != Course::Loses).then_some(&answers[..]);
                    let leases = &mut self.workers[worker];
                    let unwanted = leases.on_fetched(&lacking, brought, self.now);
                    if course != Course::Leaves {
                        leases.on_wait_end(&wanted);
                    }
                    if !unwanted.is_empty() {
                        self.run(Mode::Refund, &unwanted);
                    }
                    if course != Course::Ends {
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

/// What becomes of a request that must wait for permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    Ends,
    /// The reply to its fetch is lost.
    Loses,
    /// Its client leaves before the reply comes.
    Leaves,
}

/// What happens: a request of so much, to a worker, after so many milliseconds.
#[derive(Debug, Clone)]
struct Step {
    worker: usize,
    cost: u64,
    after: u64,
    course: Course,
    sweeps: bool,
}

fn course() -> impl Strategy<Value = Course> {
    let ends = Just(Course::Ends);
    prop_oneof![18 => ends, 1 => Just(Course::Loses), 1 => Just(Course::Leaves)]
}

fn step() -> impl Strategy<Value = Step> {
    let after = prop_oneof![8 => Just(0_u64), 4 => 0..20_u64, 1 => 0..400_u64];
    (0..4_usize, 1..4_u64, after, course(), 0..6_u8).prop_map(
        |(worker, cost, after, course, sweeps)| Step {
            worker,
            cost,
            after,
            course,
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
            if fleet.request(worker, step.cost, step.course) {
                admitted.push((fleet.now, step.cost));
            }
        }
        let held = permits.min(burst / 4).max(1);
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
        requests in prop::collection::vec((1..9_u64, course()), 1..300),
        permits in 1..40_u64,
    ) {
        let rate = Rate { requests: 1, window: Duration::from_secs(3600), burst: 4_000 };
        let mut fleet = Fleet::new(1, permits, rate);
        for (cost, course) in requests {
            fleet.request(0, cost, course);
            let held = fleet.workers[0].pools[b"k".as_slice()].permits;
            prop_assert!(held <= permits, "{held}");
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
        assert!(fleet.request(0, 1, Course::Ends));
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
fn what_a_client_wanted_that_has_left_is_given_back_unless_others_wait_for_it() {
    let big = |least| {
        [Wanted {
            key: b"k".to_vec(),
            part: 0,
            rate: PLENTY,
            want: least,
            least,
        }]
    };
    for (others, kept, unwanted) in [
        (None, 5, Some(95)),
        (Some(30), 30, Some(70)),
        (Some(100), 100, None),
    ] {
        let mut fleet = Fleet::new(1, 5, PLENTY);
        let leases = &mut fleet.workers[0];
        let Spent::Lacking(lacking) = leases.spend(&big(100), 0) else {
            panic!("it has permits");
        };
        leases.on_fetch(&lacking, &Rc::new(()));
        if let Some(others) = others {
            leases.on_wait(&big(others));
        }
        let answers = fleet.run(Mode::Lease, &lacking);
        let leases = &mut fleet.workers[0];
        let over = leases.on_fetched(&lacking, Some(&answers), 0);
        assert_eq!(leases.pools[b"k".as_slice()].permits, kept);
        assert_eq!(over.first().map(|it| it.want), unwanted);
    }
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
            part: 0,
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

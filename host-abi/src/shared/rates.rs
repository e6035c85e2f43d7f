//! Rates that the instances of all workers share: how far each key has used up what it may use.
//!
//! Owns the table: it is bounded, and a set of limits is taken from as one or not at all. What a limit
//! admits is decided in `gcra`.
//!
//! Invariant: a key that is forgotten is one whose limit is full again, or else the one of its neighbours that
//! has the least [`dearness`]: either hardly anything was used of its limit, or it would be full again soonest.
//! So who has used an eighth of a limit is not forgotten for a flood of keys that each use less of theirs, nor
//! for one of keys that are full again sooner.

mod gcra;

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

pub(crate) use gcra::{Rate, Take, Taken};

/// Keys of one space. Each takes 24 bytes.
const KEYS: usize = 1 << 18;

/// Neighbours of a key: it is in one of so many places.
const WAYS: usize = 8;

/// Independent parts of a table, each with its own lock.
const SHARDS: usize = 64;

/// Most limits that are taken from as one.
pub(crate) const MOST_ASKS: usize = 16;

/// What one limit is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// Names what is limited, in its space.
    pub(crate) key: &'a [u8],
    /// The limit.
    pub(crate) rate: Rate,
    /// How much is asked for.
    pub(crate) cost: u64,
}

/// How limits are taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// From all, if all admit it; else from none.
    Take,
    /// From none.
    Peek,
    /// From all, also beyond what they admit: for what has been used already.
    Charge,
    /// It is given back to all.
    Refund,
}

/// The rates of one space.
pub(crate) struct RateTable {
    /// Each is without places until a key of it is asked for: to make all of them takes longer than a guest's
    /// callback may.
    shards: Box<[Mutex<Places>]>,
    /// How many places a shard has.
    room: usize,
    seeds: [RandomState; 2],
}

/// What becomes of one key if all limits admit.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// Which of the locks is held for it.
    lock: Option<usize>,
    /// Its place in that shard.
    at: usize,
    /// What was asked.
    take: Take,
    /// When it is full again then.
    after: u64,
}

/// The shards of the keys of one call, locked.
struct Held<'t, const N: usize> {
    /// Their numbers, rising.
    shards: [usize; N],
    places: [Option<MutexGuard<'t, Places>>; N],
}

/// The bits that a place keeps, in the stead of those of the first hash, for what [`log2`] says of a whole
/// burst of the key's limit.
const BURST: u64 = 0xffff;

/// An eighth of a limit, as the difference of what [`log2`] says of it and of the whole.
const EIGHTH: u64 = 3 << 10;

/// Where keys may be: two hashes of a key, and when its limit is full again. A place that was never used is
/// all zeros, as an array, so that memory which nobody has touched costs nothing.
type Places = Box<[[u64; 3]]>;

impl std::fmt::Debug for RateTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateTable").finish_non_exhaustive()
    }
}

impl Default for RateTable {
    fn default() -> Self {
        Self::with_keys(KEYS)
    }
}

impl RateTable {
    /// A table for at least so many keys.
    #[must_use]
    pub(crate) fn with_keys(keys: usize) -> Self {
        let sets = keys.div_ceil(SHARDS * WAYS).max(1).next_power_of_two();
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            room: sets * WAYS,
            seeds: [RandomState::new(), RandomState::new()],
        }
    }

    /// Takes from all limits, or from none, at `now`: nanoseconds of a clock that never goes back. The
    /// answers, which `room` is for, are in the order of the asks; beyond `N` nothing is asked.
    ///
    /// An ask whose key is asked twice is seen as if it were alone: keys of one call must differ.
    pub(crate) fn ask<'r, const N: usize>(
        &self,
        asks: &[Ask<'_>],
        mode: Mode,
        now: u64,
        room: &'r mut [Taken; N],
    ) -> &'r [Taken] {
        let now = gcra::ticks(now);
        let asks = asks.get(..N).unwrap_or(asks);
        let mut keys = [[0_u64; 2]; N];
        for (ask, key) in asks.iter().zip(&mut keys) {
            *key = self.hash(ask.key);
        }
        let keys = keys.get(..asks.len()).unwrap_or_default();
        let mut held = Held::<N>::of(self, keys);
        let mut changes: [Option<Change>; N] = [None; N];
        let answers = room.get_mut(..asks.len()).unwrap_or_default();
        for (asked, ((ask, key), answer)) in asks.iter().zip(keys).zip(&mut *answers).enumerate() {
            let (before, rest) = changes.split_at_mut(asked);
            let (taken, change) = held.look(*ask, *key, mode, now, before);
            *answer = taken;
            if let Some(place) = rest.first_mut() {
                *place = Some(change);
            }
        }
        let all = answers.iter().all(|taken| taken.admitted);
        let changes = changes.iter().flatten();
        if mode == Mode::Peek || (mode == Mode::Take && !all) {
            for (answer, change) in answers.iter_mut().zip(changes) {
                *answer = change.take.untaken(*answer);
            }
        } else {
            for (key, change) in keys.iter().zip(changes) {
                held.write(*key, change);
            }
        }
        answers
    }

    /// How many keys have used something up at `now`, for metrics: it looks at all of them.
    #[must_use]
    pub(crate) fn used(&self, now: u64) -> usize {
        let now = gcra::ticks(now);
        let of = |shard: &Mutex<Places>| {
            let is_used = |place: &&[u64; 3]| place[2] > now;
            hold(shard).iter().filter(is_used).count()
        };
        self.shards.iter().map(of).sum()
    }

    /// Two hashes with secret seeds: nobody can make keys that meet.
    fn hash(&self, key: &[u8]) -> [u64; 2] {
        let [a, b] = &self.seeds;
        // A key of zeros would be a place that was never used.
        [(a.hash_one(key) | 1 << 16) & !BURST, b.hash_one(key)]
    }
}

impl<'t, const N: usize> Held<'t, N> {
    /// Locks are taken in one order by everybody: no two wait for each other.
    fn of(table: &'t RateTable, keys: &[[u64; 2]]) -> Self {
        let mut wanted = 0_u64;
        for key in keys {
            wanted |= 1 << shard_of(*key);
        }
        let mut held = Self {
            shards: [SHARDS; N],
            places: [const { None }; N],
        };
        for (number, places) in held.shards.iter_mut().zip(&mut held.places) {
            let Some(shard) = table.shards.get(wanted.trailing_zeros() as usize) else {
                break;
            };
            *number = wanted.trailing_zeros() as usize;
            let mut lock = hold(shard);
            if lock.is_empty() {
                *lock = vec![[0; 3]; table.room].into_boxed_slice();
            }
            *places = Some(lock);
            wanted &= wanted - 1;
        }
        held
    }

    /// What a limit says, and what becomes of its key. Places of keys of the same call, `before`, stay theirs.
    fn look(
        &mut self,
        ask: Ask<'_>,
        key: [u64; 2],
        mode: Mode,
        now: u64,
        before: &[Option<Change>],
    ) -> (Taken, Change) {
        let lock = self.shards.iter().position(|it| *it == shard_of(key));
        let places = lock.and_then(|at| self.places.get_mut(at)?.as_deref_mut());
        let others = before.iter().flatten().filter(|it| it.lock == lock);
        let others = others.map(|it| it.at);
        let latest = now.saturating_add(ask.rate.most());
        let (at, known) = places.map_or((0, None), |it| find(it, key, [now, latest], others));
        let take = Take {
            rate: ask.rate,
            cost: ask.cost,
            full_at: known.unwrap_or(0),
            now,
        };
        // To a key that has been forgotten nothing can be given back.
        let lock = lock.filter(|_| known.is_some() || mode != Mode::Refund);
        let (taken, after) = match mode {
            Mode::Take | Mode::Peek => take.ask(),
            Mode::Charge => take.charge(),
            Mode::Refund => take.refund(),
        };
        let change = Change {
            lock,
            at,
            take,
            after,
        };
        (taken, change)
    }

    /// Puts a change into effect.
    fn write(&mut self, [a, b]: [u64; 2], change: &Change) {
        let lock = change.lock.and_then(|lock| self.places.get_mut(lock));
        let places = lock.and_then(Option::as_deref_mut);
        if let Some(place) = places.and_then(|places| places.get_mut(change.at)) {
            *place = [a | log2(change.take.rate.all()), b, change.after];
        }
    }
}

fn hold(shard: &Mutex<Places>) -> MutexGuard<'_, Places> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shard_of([_, b]: [u64; 2]) -> usize {
    // The highest bits; the set is chosen by the lowest.
    usize::try_from(b >> 58).unwrap_or(0)
}

/// The logarithm to the base 2, at most a tenth too small, in parts of 1024: 16 bits. That of 0 is 0.
fn log2(number: u64) -> u64 {
    number.checked_ilog2().map_or(0, |whole| {
        let rest = number << (63 - whole) >> 53 & 0x3ff;
        u64::from(whole) << 10 | rest
    })
}

/// Where a key is or is to be, and when it is full again, which is `most` at the latest; `None` if it has
/// no place. Places of `others`, keys of the same call, stay theirs.
fn find(
    places: &mut [[u64; 3]],
    key: [u64; 2],
    [now, most]: [u64; 2],
    others: impl Iterator<Item = usize> + Clone,
) -> (usize, Option<u64>) {
    let sets = places.len() / WAYS;
    let [_, b] = key;
    let set = usize::try_from(b).unwrap_or(0) & sets.saturating_sub(1);
    let first = set * WAYS;
    let ways = places.get_mut(first..first + WAYS).unwrap_or_default();
    let mut least = (first, u64::MAX);
    for (way, [a, b, full_at]) in ways.iter_mut().enumerate() {
        if [*a & !BURST, *b] == key {
            *full_at = (*full_at).min(most);
            return (first + way, Some(*full_at));
        }
        let dear = dearness(full_at.saturating_sub(now), *a & BURST);
        if dear < least.1 && !others.clone().any(|other| other == first + way) {
            least = (first + way, dear);
        }
    }
    (least.0, None)
}

/// What is forgotten first has least: a key whose limit is full again; one that has used less than an eighth
/// of its limit, by that share; then the one of which forgetting gives away the least time. `left` is the time
/// until it is full again, `burst` the logarithm of that after a whole burst.
///
/// By time alone, a flood of a long limit would free who has used up a short one; by share alone, a flood of
/// whole bursts of one request would free who has used half of a day's.
fn dearness(left: u64, burst: u64) -> u64 {
    if left == 0 {
        return 0;
    }
    let share = log2(left) + (BURST + 1) - burst;
    if share < BURST + 1 - EIGHTH {
        return share;
    }
    left.saturating_add(BURST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn per_second(requests: u64, burst: u64) -> Rate {
        Rate::new(requests, SECOND, burst).expect("a rate")
    }

    fn ask(table: &RateTable, asks: &[(&str, Rate, u64)], mode: Mode, now: u64) -> Vec<Taken> {
        let asks: Vec<Ask<'_>> = asks
            .iter()
            .map(|(key, rate, cost)| Ask {
                key: key.as_bytes(),
                rate: *rate,
                cost: *cost,
            })
            .collect();
        let mut room = [Taken::default(); MOST_ASKS];
        table.ask(&asks, mode, now, &mut room).to_vec()
    }

    #[test]
    fn a_refused_request_takes_from_no_limit() {
        let table = RateTable::default();
        let (wide, narrow) = (per_second(100, 100), per_second(1, 1));
        let both = [("wide", wide, 1), ("narrow", narrow, 1)];
        let first = ask(&table, &both, Mode::Take, 5);
        assert!(first.iter().all(|it| it.admitted));
        for _ in 0..10 {
            let again = ask(&table, &both, Mode::Take, 6);
            let admitted: Vec<bool> = again.iter().map(|it| it.admitted).collect();
            assert_eq!(admitted, [true, false]);
        }
        let seen = ask(&table, &[("wide", wide, 0)], Mode::Peek, 6);
        assert_eq!(seen[0].remaining, 99);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_and_what_was_charged_is_owed() {
        let table = RateTable::default();
        let rate = per_second(1, 2);
        for (mode, cost, admitted) in [
            (Mode::Take, 2, true),
            (Mode::Take, 1, false),
            (Mode::Refund, 1, true),
            (Mode::Take, 1, true),
            (Mode::Charge, 3, true),
            (Mode::Take, 1, false),
        ] {
            let answer = ask(&table, &[("k", rate, cost)], mode, 7);
            assert_eq!(answer[0].admitted, admitted, "{mode:?} {cost}");
        }
        // Two were taken and three charged: two may be owed, and four seconds bring one back.
        let later = |seconds: u64| {
            ask(&table, &[("k", rate, 1)], Mode::Peek, 7 + seconds * SECOND)[0].admitted
        };
        assert!(!later(3));
        assert!(later(4));
    }

    #[test]
    fn a_flood_of_keys_does_not_free_the_busiest() {
        let table = RateTable::with_keys(4096);
        let rate = per_second(10, 10);
        let busy = [("busy", rate, 1)];
        let mut admitted = 0;
        for now in 0..200_000_u64 {
            if now % 100 == 0 {
                admitted += u32::from(ask(&table, &busy, Mode::Take, now)[0].admitted);
            }
            ask(&table, &[(&now.to_string(), rate, 1)], Mode::Take, now);
        }
        // 2,000 requests within 0.2 ms: what the burst admits, and not one more.
        assert_eq!(admitted, 10);
    }

    #[test]
    fn a_flood_of_keys_of_a_long_limit_does_not_free_who_has_used_up_a_short_one() {
        let table = RateTable::with_keys(4096);
        let short = Rate::new(10, 60 * SECOND, 10).unwrap();
        let long = Rate::new(1000, 86_400 * SECOND, 1000).unwrap();
        assert!(ask(&table, &[("busy", short, 10)], Mode::Take, 0)[0].admitted);
        // Each is full again after 86 s, and nobody of 10 a minute waits for longer than 60 s.
        for now in 0..50_000_u64 {
            ask(&table, &[(&now.to_string(), long, 1)], Mode::Take, now);
        }
        assert!(!ask(&table, &[("busy", short, 1)], Mode::Take, 50_000)[0].admitted);
    }

    #[test]
    fn a_flood_of_keys_of_a_burst_of_one_does_not_free_who_has_used_half_of_a_long_limit() {
        let table = RateTable::with_keys(4096);
        let long = Rate::new(1000, 86_400 * SECOND, 1000).unwrap();
        let short = Rate::new(1, 60 * SECOND, 1).unwrap();
        let users: Vec<String> = (0..20).map(|user| format!("user {user}")).collect();
        for user in &users {
            assert!(ask(&table, &[(user, long, 500)], Mode::Take, 0)[0].admitted);
        }
        // 200 a second, three times as many as there is room for until the first are full again.
        let step = SECOND / 200;
        for key in 0..20_000 {
            ask(
                &table,
                &[(&key.to_string(), short, 1)],
                Mode::Take,
                key * step,
            );
        }
        let now = 20_000 * step;
        for user in &users {
            // Of 1000 a day one comes back in the 100 s of the flood.
            let left = ask(&table, &[(user, long, 0)], Mode::Peek, now)[0].remaining;
            assert_eq!(left, 501, "{user}");
        }
    }

    #[test]
    fn of_keys_that_have_used_an_eighth_the_one_that_is_full_soonest_is_forgotten_first() {
        let (minute, day) = (60 * SECOND, 86_400 * SECOND);
        // What is left, of how much: what is forgotten first comes first.
        let order = [
            (0, minute),
            (day / 1000, day),
            (minute / 9, minute),
            (minute / 8, minute),
            (minute, minute),
            (day / 8, day),
            (day / 2, day),
            (u64::MAX / 2, u64::MAX / 4),
        ];
        let dear = order.map(|(left, all)| dearness(left, log2(all)));
        assert!(dear.is_sorted_by(|one, next| one < next), "{dear:?}");
    }

    #[test]
    fn what_is_given_back_to_forgotten_keys_frees_nobody_else() {
        let table = RateTable::with_keys(4096);
        let rate = per_second(10, 10);
        let flood = |name: &str, mode| {
            for key in 0..20_000 {
                ask(&table, &[(&format!("{name} {key}"), rate, 1)], mode, 0);
            }
            table.used(0)
        };
        let all = flood("new", Mode::Take);
        assert_eq!(all, 4096);
        assert_eq!(flood("unknown", Mode::Refund), all);
    }

    #[test]
    fn logarithms_are_of_16_bits_and_grow() {
        assert_eq!([0, 1, 2, 3, 1024].map(log2), [0, 0, 1024, 1536, 10_240]);
        assert_eq!(log2(u64::MAX), BURST);
    }

    #[test]
    fn threads_on_one_key_admit_what_one_thread_would() {
        let table = RateTable::default();
        let rate = per_second(1, 1000);
        let admitted: usize = std::thread::scope(|scope| {
            let run = || {
                (0..1000)
                    .filter(|_| {
                        ask(
                            &table,
                            &[("k", rate, 1), ("other", per_second(1, 9999), 1)],
                            Mode::Take,
                            9,
                        )[0]
                        .admitted
                    })
                    .count()
            };
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(run)).collect();
            threads.into_iter().map(|it| it.join().unwrap()).sum()
        });
        assert_eq!(admitted, 1000);
    }

    #[test]
    fn a_limit_that_becomes_shorter_forgets_what_it_could_never_owe() {
        let table = RateTable::default();
        let daily = Rate::new(100, 86_400 * SECOND, 100).unwrap();
        let quick = per_second(100, 100);
        assert!(ask(&table, &[("k", daily, 100)], Mode::Take, 0)[0].admitted);
        let later = |now| ask(&table, &[("k", quick, 1)], Mode::Take, now)[0];
        // As if three bursts had been used: it waits for two of them.
        assert!(!later(SECOND).admitted);
        assert_eq!(later(2 * SECOND).wait, SECOND + SECOND / 100);
        assert!(later(3 * SECOND + SECOND / 100).admitted);
    }

    #[test]
    fn what_is_full_again_is_no_longer_counted() {
        let table = RateTable::default();
        ask(&table, &[("k", per_second(1, 1), 1)], Mode::Take, 0);
        assert_eq!(table.used(SECOND / 2), 1);
        assert_eq!(table.used(SECOND), 0);
    }
}

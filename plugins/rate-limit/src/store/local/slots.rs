//! Limits in the shared data, on hosts that keep none: a table of fixed size for each limit.
//!
//! Hosts do not forget shared data, so there is one entry for each of [`SLOTS`] slots and none for keys. A
//! slot has places for [`WAYS`] keys. A key that finds all of them in use takes over the one that is least
//! used up, with what is used of it: so nobody is ever admitted too much, and who comes late to a crowded
//! slot is admitted less. docs/rate-limits.md says how likely that is.

use std::hash::DefaultHasher;
use std::hash::Hasher as _;

use tidegate_sdk::limit::Mode;
use tidegate_sdk::limit::Taken;
use tidegate_sdk::prelude::*;

use super::gcra::Question;
use super::gcra::ticks;
use crate::state::Context;
use crate::store::Ask;

/// Slots of a limit.
const SLOTS: u64 = 4096;

/// Keys that a slot has places for.
const WAYS: usize = 8;

/// Where the secret is.
const SECRET: &str = "rate-limit/secret";

/// Asks limits. Each slot changes by itself: all are looked at first, and if somebody else was faster
/// meanwhile, what was taken is given back.
pub(super) fn ask(cx: &Context, mode: Mode, asks: &[Ask<'_>]) -> Result<Vec<Taken>> {
    let secret = secret(cx)?;
    let now = ticks(cx.now().nanos());
    let one = |mode, ask: &Ask<'_>| ask_one(cx, mode, ask, &secret, now);
    if mode != Mode::Take || asks.len() == 1 {
        return asks.iter().map(|ask| one(mode, ask)).collect();
    }
    let looked: Vec<Taken> = asks
        .iter()
        .map(|ask| one(Mode::Peek, ask))
        .collect::<Result<_>>()?;
    if looked.iter().any(|it| !it.admitted) {
        return Ok(looked);
    }
    let mut answers = Vec::with_capacity(asks.len());
    for ask in asks {
        let answer = one(Mode::Take, ask);
        if let Ok(taken) = answer
            && taken.admitted
        {
            answers.push(taken);
            continue;
        }
        for ask in asks.iter().take(answers.len()) {
            one(Mode::Refund, ask)?;
        }
        let refused = answer?;
        let mut looked = looked;
        if let Some(place) = looked.get_mut(answers.len()) {
            *place = refused;
        }
        return Ok(looked);
    }
    Ok(answers)
}

fn ask_one(cx: &Context, mode: Mode, ask: &Ask<'_>, secret: &[u8], now: u64) -> Result<Taken> {
    let place = Place::of(ask.key.as_bytes(), secret);
    let slot = ["rate-limit/", &ask.limit.name, "/", &place.slot.to_string()].concat();
    let mut answer = None;
    cx.shared(&slot).update(|old| {
        let mut slot = Slot::read(old);
        let (way, full_at) = slot.find(place.tag, now);
        let mut question = Question {
            rate: ask.limit.rate,
            cost: ask.cost,
            full_at,
            now,
        };
        question.full_at = full_at.min(now.saturating_add(question.most()));
        let (taken, after) = question.ask(mode);
        if mode == Mode::Peek || !taken.admitted {
            answer = Some(question.untaken(taken));
            if question.full_at == full_at {
                return None;
            }
            slot.put(way, place.tag, question.full_at);
            return Some(slot.write());
        }
        answer = Some(taken);
        slot.put(way, place.tag, after);
        Some(slot.write())
    })?;
    answer.ok_or_else(|| Error::new("the shared data was not looked at"))
}

/// What keys are hashed with, so that nobody can make keys that meet. All workers have the same.
fn secret(cx: &Context) -> Result<Vec<u8>> {
    let shared = cx.shared(SECRET);
    if let Some(secret) = shared.get()? {
        return Ok(secret);
    }
    shared.set(&cx.random::<16>()?)?;
    // Another worker may have been faster, or slower.
    Ok(shared.get()?.unwrap_or_default())
}

/// Where a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    slot: u64,
    /// What tells keys of a slot apart; 0 is nobody's.
    tag: u64,
}

impl Place {
    fn of(key: &[u8], secret: &[u8]) -> Self {
        let hash = |number: u8| {
            let mut hasher = DefaultHasher::new();
            hasher.write(secret);
            hasher.write_u8(number);
            hasher.write(key);
            hasher.finish()
        };
        Self {
            slot: hash(0) % SLOTS,
            tag: hash(1) | 1,
        }
    }
}

/// Keys that share a slot: each one's tag, and when it is full again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Slot([(u64, u64); WAYS]);

impl Slot {
    /// What was written; anything else is an empty slot.
    fn read(bytes: Option<&[u8]>) -> Self {
        let mut slot = Self::default();
        let numbers = bytes
            .unwrap_or_default()
            .as_chunks::<8>()
            .0
            .as_chunks::<2>()
            .0;
        for (way, [tag, full_at]) in slot.0.iter_mut().zip(numbers) {
            *way = (u64::from_le_bytes(*tag), u64::from_le_bytes(*full_at));
        }
        slot
    }

    fn write(&self) -> Vec<u8> {
        let numbers = self.0.iter().flat_map(|(tag, full_at)| [tag, full_at]);
        numbers.flat_map(|it| it.to_le_bytes()).collect()
    }

    /// The way of a key, or the one that it takes over, and when that is full again.
    fn find(&self, tag: u64, now: u64) -> (usize, u64) {
        let known = self.0.iter().position(|(it, _)| *it == tag);
        let least = self.0.iter().enumerate().min_by_key(|(_, way)| way.1);
        let way = known.or(least.map(|(way, _)| way)).unwrap_or(0);
        let full_at = self.0.get(way).map_or(0, |(_, full_at)| *full_at);
        // What was full before is full now.
        (way, full_at.max(now))
    }

    fn put(&mut self, way: usize, tag: u64, full_at: u64) {
        if let Some(way) = self.0.get_mut(way) {
            *way = (tag, full_at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_read_as_it_was_written_and_nonsense_is_an_empty_one() {
        let mut slot = Slot::default();
        slot.put(3, 7, 9);
        slot.put(7, 1, u64::MAX);
        assert_eq!(Slot::read(Some(&slot.write())), slot);
        assert_eq!(Slot::read(Some(b"nonsense")), Slot::default());
        assert_eq!(Slot::read(None), Slot::default());
    }

    #[test]
    fn who_comes_late_to_a_crowded_slot_takes_over_the_least_used_with_what_is_used() {
        let mut slot = Slot::default();
        for tag in 1..=8_u64 {
            let (way, full_at) = slot.find(tag, 5);
            assert_eq!(full_at, 5);
            slot.put(way, tag, 100 + tag);
        }
        assert_eq!(slot.find(4, 5).1, 104);
        assert_eq!(slot.find(9, 5), (slot.find(1, 5).0, 101));
        // Those that are full again have nothing to take over.
        assert_eq!(slot.find(9, 101).1, 101);
    }

    #[test]
    fn the_share_of_late_comers_is_what_the_page_says() {
        // docs/rate-limits.md: keys in use at once, and how many of a million find their slot crowded.
        for (keys, at_most) in [(4_096_u64, 30), (8_192, 1_500), (16_384, 55_000)] {
            let mut load = vec![0_usize; 4096];
            let mut late = 0_u64;
            let rounds = 40;
            for round in 0..rounds {
                load.fill(0);
                for key in 0..keys {
                    let place = Place::of(&(round * keys + key).to_le_bytes(), b"secret");
                    load[usize::try_from(place.slot).unwrap()] += 1;
                }
                late += load
                    .iter()
                    .map(|it| it.saturating_sub(WAYS) as u64)
                    .sum::<u64>();
            }
            let share = late * 1_000_000 / (rounds * keys);
            assert!(share <= at_most, "{keys}: {share}");
        }
    }
}

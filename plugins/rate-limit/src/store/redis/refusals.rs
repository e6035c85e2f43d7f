//! What the server has refused and will go on refusing: it need not be asked about that.
//!
//! Owns what is remembered, in nanoseconds of a clock that never goes back: who floods a limit costs the
//! server one command each [`LONGEST`].

use std::collections::BTreeMap;

use super::script::Granted;
use super::script::Wanted;

/// Keys that are remembered.
const MOST: usize = 4096;
/// The longest that a refusal is believed, because others may give back what they took: 1 s.
pub(super) const LONGEST: u64 = 1_000_000_000;
/// How often all that is remembered is looked at, to forget what has passed: 16 times a second at most.
const LOOK_EVERY: u64 = LONGEST / 16;

/// What was refused.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    known: BTreeMap<Vec<u8>, Refusal>,
    /// Before this time nobody looks at all of them.
    next_look: u64,
}

/// The refusal of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refusal {
    /// How much was asked for; less than that may be admitted.
    least: u64,
    answer: Granted,
    since: u64,
    until: u64,
}

impl Refusal {
    /// What the server said at `since`, if it refused.
    pub(super) fn of(wanted: &Wanted, answer: Granted, since: u64) -> Option<Self> {
        let wait = answer
            .wait
            .map_or(LONGEST, |micros| micros.saturating_mul(1000));
        (!answer.admitted).then_some(Self {
            least: wanted.least,
            answer,
            since,
            until: since.saturating_add(wait.min(LONGEST)),
        })
    }

    /// What the server would say now, if it is known.
    pub(super) fn answer(&self, least: u64, now: u64) -> Option<Granted> {
        let passed = now.saturating_sub(self.since) / 1000;
        let mut answer = self.answer;
        answer.wait = answer.wait.map(|wait| wait.saturating_sub(passed));
        answer.full = answer.full.saturating_sub(passed);
        (now < self.until && least >= self.least).then_some(answer)
    }
}

impl Refusals {
    /// The answers about all keys, if one of them is known to refuse. Of the others nothing is known.
    pub(super) fn answers(&self, wanted: &[Wanted], now: u64) -> Option<Vec<Option<Granted>>> {
        if self.known.is_empty() {
            return None;
        }
        let known = |it: &Wanted| self.known.get(&it.key)?.answer(it.least, now);
        let answers: Vec<Option<Granted>> = wanted.iter().map(known).collect();
        answers.iter().any(Option::is_some).then_some(answers)
    }

    /// Remembers what was refused.
    pub(super) fn note(&mut self, wanted: &[Wanted], answers: &[Granted], now: u64) {
        for (wanted, answer) in wanted.iter().zip(answers) {
            let Some(refusal) = Refusal::of(wanted, *answer, now) else {
                self.known.remove(&wanted.key);
                continue;
            };
            if self.known.len() >= MOST && now >= self.next_look {
                self.next_look = now.saturating_add(LOOK_EVERY);
                self.known.retain(|_, refusal| refusal.until > now);
            }
            if self.known.len() < MOST || self.known.contains_key(&wanted.key) {
                self.known.insert(wanted.key.clone(), refusal);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tidegate_sdk::limit::Rate;

    use super::*;

    fn wanted(key: usize, least: u64) -> Wanted {
        Wanted {
            key: key.to_string().into_bytes(),
            part: 0,
            rate: Rate {
                requests: 1,
                window: Duration::from_secs(1),
                burst: 1,
            },
            want: least,
            least,
        }
    }

    fn answer(admitted: bool, wait: Option<u64>) -> Granted {
        Granted {
            admitted,
            taken: u64::from(admitted),
            remaining: 0,
            wait,
            full: 1_000,
        }
    }

    #[test]
    fn a_refusal_holds_for_as_long_as_the_server_said_and_for_no_less_than_was_asked() {
        let mut refusals = Refusals::default();
        refusals.note(&[wanted(1, 5)], &[answer(false, Some(400))], 1_000);
        let known = refusals
            .answers(&[wanted(0, 1), wanted(1, 5)], 201_000)
            .unwrap();
        assert_eq!(known[0], None);
        let known = known[1].unwrap();
        assert_eq!((known.wait, known.full), (Some(200), 800));
        assert_eq!(refusals.answers(&[wanted(1, 4)], 201_000), None);
        assert_eq!(refusals.answers(&[wanted(1, 5)], 401_000), None);
        refusals.note(&[wanted(1, 5)], &[answer(true, Some(0))], 2_000);
        assert_eq!(refusals.answers(&[wanted(1, 5)], 2_000), None);
    }

    #[test]
    fn long_refusals_are_asked_about_again_and_no_flood_fills_the_memory() {
        let mut refusals = Refusals::default();
        for key in 0..2 * MOST {
            refusals.note(&[wanted(key, 1)], &[answer(false, None)], 0);
        }
        assert_eq!(refusals.known.len(), MOST);
        assert!(refusals.answers(&[wanted(0, 1)], LONGEST - 1).is_some());
        assert_eq!(refusals.answers(&[wanted(0, 1)], LONGEST), None);
        refusals.note(&[wanted(MOST, 1)], &[answer(false, None)], LONGEST);
        assert_eq!(refusals.known.len(), 1);
    }

    #[test]
    fn a_flood_of_refusals_does_not_look_at_all_of_them_each_time() {
        let mut refusals = Refusals::default();
        for key in 0..MOST {
            // Each passes a microsecond after the one before.
            let wait = u64::try_from(key + 1).unwrap();
            refusals.note(&[wanted(key, 1)], &[answer(false, Some(wait))], 0);
        }
        // At 10 us it looks, and forgets the first ten.
        for key in 0..10 {
            refusals.note(&[wanted(MOST + key, 1)], &[answer(false, None)], 10_000);
        }
        assert_eq!(refusals.known.len(), MOST);
        let mut note = |now| {
            refusals.note(&[wanted(2 * MOST, 1)], &[answer(false, None)], now);
            refusals.known.len()
        };
        assert_eq!(note(10_000 + LOOK_EVERY - 1), MOST);
        assert_eq!(note(10_000 + LOOK_EVERY), 11);
    }
}

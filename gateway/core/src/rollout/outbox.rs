//! Notices on their way to receivers: in which order, how often each is tried, and when it is given up.
//!
//! Owns the queues. Each receiver gets its notices one after the other, in the order in which things
//! happened; one that is down holds up no other. A notice is delivered at least once, unless its
//! receiver fails [`ATTEMPTS`] times in a row or too many wait. Who sends is the caller's, and time is
//! an argument.

use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::time::Duration;
use std::time::Instant;

/// How often a notice is tried before it is given up: with the pauses between, for some four minutes.
pub const ATTEMPTS: u32 = 10;
/// The pause after the first failure; each further one is twice as long.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Notices that may wait for one receiver; of more, the oldest are given up.
pub const MOST_WAITING: usize = 64;
/// Notices that may wait altogether; of more, the newest are given up.
pub const MOST_ALTOGETHER: usize = 1024;

/// Names one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId(pub u64);

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has taken it.
    Delivered,
    /// It is tried again after this pause.
    Again(Duration),
    /// It failed too often.
    GivenUp,
}

/// Notices `N` for receivers `R`.
#[derive(Debug)]
pub struct Outbox<R, N> {
    queues: BTreeMap<R, Queue<N>>,
    attempts: u64,
}

#[derive(Debug)]
struct Queue<N> {
    /// The oldest first; never empty.
    waiting: VecDeque<N>,
    /// How often the first of them has failed.
    failures: u32,
    /// When it may be tried again.
    due: Option<Instant>,
    /// The attempt that is on its way.
    sending: Option<AttemptId>,
}

impl<R, N> Default for Outbox<R, N> {
    fn default() -> Self {
        Self {
            queues: BTreeMap::new(),
            attempts: 0,
        }
    }
}

impl<R: Ord + Clone, N: Clone> Outbox<R, N> {
    /// Takes a notice; returns the one that is given up for it, if too many wait.
    pub fn push(&mut self, receiver: R, notice: N) -> Option<N> {
        let all: usize = self.queues.values().map(|queue| queue.waiting.len()).sum();
        let is_full = |queue: &Queue<N>| queue.waiting.len() >= MOST_WAITING;
        if all >= MOST_ALTOGETHER && !self.queues.get(&receiver).is_some_and(is_full) {
            return Some(notice);
        }
        let queue = self.queues.entry(receiver).or_insert_with(|| Queue {
            waiting: VecDeque::new(),
            failures: 0,
            due: None,
            sending: None,
        });
        let lost = is_full(queue).then(|| queue.give_up_oldest()).flatten();
        queue.waiting.push_back(notice);
        lost
    }

    /// What is to be sent now. Each of them is on its way then, until [`Outbox::answered`].
    pub fn take_due(&mut self, now: Instant) -> Vec<(AttemptId, R, N)> {
        let mut due = Vec::new();
        for (receiver, queue) in &mut self.queues {
            if queue.sending.is_some() || queue.due.is_some_and(|due| due > now) {
                continue;
            }
            if let Some(notice) = queue.waiting.front() {
                self.attempts += 1;
                let attempt = AttemptId(self.attempts);
                queue.sending = Some(attempt);
                due.push((attempt, receiver.clone(), notice.clone()));
            }
        }
        due
    }

    /// An attempt ended; `None` if nobody waits for it any more.
    pub fn answered(
        &mut self,
        attempt: AttemptId,
        is_taken: bool,
        now: Instant,
    ) -> Option<(R, N, Outcome)> {
        let mut queues = self.queues.iter_mut();
        let (receiver, queue) = queues.find(|(_, queue)| queue.sending == Some(attempt))?;
        let receiver = receiver.clone();
        queue.sending = None;
        queue.failures += u32::from(!is_taken);
        let outcome = match (is_taken, queue.failures) {
            (true, _) => Outcome::Delivered,
            (false, ATTEMPTS..) => Outcome::GivenUp,
            (false, failures) => Outcome::Again(pause(failures)),
        };
        if let Outcome::Again(pause) = outcome {
            queue.due = Some(now + pause);
            let notice = queue.waiting.front()?.clone();
            return Some((receiver, notice, outcome));
        }
        let notice = queue.waiting.pop_front()?;
        queue.failures = 0;
        queue.due = None;
        if queue.waiting.is_empty() {
            self.queues.remove(&receiver);
        }
        Some((receiver, notice, outcome))
    }

    /// When something is to be sent next, if nothing else happens until then; `None` if there is
    /// nothing but what is on its way.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        let idle = self.queues.values().filter(|queue| queue.sending.is_none());
        idle.map(|queue| queue.due.unwrap_or(now)).min()
    }

    /// All that is not delivered, by receiver, the oldest first.
    pub fn waiting(&self) -> impl Iterator<Item = (&R, &N)> {
        let queues = self.queues.iter();
        queues.flat_map(|(receiver, queue)| queue.waiting.iter().map(move |it| (receiver, it)))
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }
}

impl<N> Queue<N> {
    /// Gives up the oldest that is not on its way.
    fn give_up_oldest(&mut self) -> Option<N> {
        if self.sending.is_some() {
            return self.waiting.remove(1);
        }
        self.failures = 0;
        self.waiting.pop_front()
    }
}

fn pause(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::ATTEMPTS;
    use super::AttemptId;
    use super::LONGEST_PAUSE;
    use super::MOST_ALTOGETHER;
    use super::MOST_WAITING;
    use super::Outbox;
    use super::Outcome;

    type Sample = Outbox<&'static str, u32>;

    /// What is due, without the names of attempts.
    fn due(outbox: &mut Sample, now: Instant) -> Vec<(&'static str, u32)> {
        let due = outbox.take_due(now).into_iter();
        due.map(|(_, receiver, notice)| (receiver, notice))
            .collect()
    }

    #[track_caller]
    fn only(outbox: &mut Sample, now: Instant) -> (AttemptId, u32) {
        match outbox.take_due(now).as_slice() {
            [(attempt, _, notice)] => (*attempt, *notice),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_receiver_gets_one_after_the_other_and_holds_up_nobody() {
        let now = Instant::now();
        let mut outbox = Sample::default();
        for notice in [1, 2] {
            outbox.push("a", notice);
        }
        outbox.push("b", 3);
        assert_eq!(due(&mut outbox, now), [("a", 1), ("b", 3)]);
        assert_eq!(due(&mut outbox, now), [], "they are on their way");
        assert_eq!(outbox.next_due(now), None);
        let answered = outbox.answered(AttemptId(1), true, now);
        assert_eq!(answered, Some(("a", 1, Outcome::Delivered)));
        assert_eq!(due(&mut outbox, now), [("a", 2)], "b has not answered");
        assert_eq!(outbox.waiting().count(), 2);
    }

    #[test]
    fn pauses_grow_and_what_fails_too_often_is_given_up() {
        let mut now = Instant::now();
        let mut outbox = Sample::default();
        outbox.push("a", 1);
        outbox.push("a", 2);
        let mut pauses = Vec::new();
        for _ in 1..ATTEMPTS {
            let (attempt, notice) = only(&mut outbox, now);
            assert_eq!(notice, 1);
            let outcome = outbox.answered(attempt, false, now);
            let Some(("a", 1, Outcome::Again(pause))) = outcome else {
                panic!("{outcome:?}");
            };
            assert_eq!(outbox.next_due(now), Some(now + pause));
            assert_eq!(due(&mut outbox, now), [], "not before the pause is over");
            pauses.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert!(pauses.iter().sum::<u64>() < 300);
        let (attempt, _) = only(&mut outbox, now);
        let outcome = outbox.answered(attempt, false, now);
        assert_eq!(outcome, Some(("a", 1, Outcome::GivenUp)));
        let (attempt, notice) = only(&mut outbox, now);
        assert_eq!(notice, 2, "at once, and counted from the beginning");
        let outcome = outbox.answered(attempt, false, now);
        assert_eq!(
            outcome,
            Some(("a", 2, Outcome::Again(Duration::from_secs(1))))
        );
    }

    #[test]
    fn an_answer_that_nobody_waits_for_changes_nothing() {
        let now = Instant::now();
        let mut outbox = Sample::default();
        outbox.push("a", 1);
        let (first, _) = only(&mut outbox, now);
        outbox.answered(first, false, now);
        assert_eq!(outbox.answered(first, true, now), None);
        let (second, notice) = only(&mut outbox, now + LONGEST_PAUSE);
        assert_eq!(notice, 1);
        assert_eq!(outbox.answered(first, true, now), None);
        assert!(outbox.answered(second, true, now).is_some());
        assert!(outbox.is_empty());
    }

    #[test]
    fn of_too_many_for_one_receiver_the_oldest_that_is_not_on_its_way_is_given_up() {
        let now = Instant::now();
        let mut outbox = Sample::default();
        let most = u32::try_from(MOST_WAITING).expect("small");
        for notice in 0..most {
            assert_eq!(outbox.push("a", notice), None);
        }
        assert_eq!(outbox.push("a", 1_000), Some(0));
        let (attempt, first) = only(&mut outbox, now);
        assert_eq!(first, 1);
        assert_eq!(outbox.push("a", 1_001), Some(2), "1 is on its way");
        assert_eq!(outbox.waiting().count(), MOST_WAITING);
        let answered = outbox.answered(attempt, true, now);
        assert_eq!(answered, Some(("a", 1, Outcome::Delivered)));
        assert_eq!(due(&mut outbox, now), [("a", 3)]);
    }

    #[test]
    fn of_too_many_altogether_the_newest_is_given_up() {
        let mut outbox: Outbox<usize, usize> = Outbox::default();
        for notice in 0..MOST_ALTOGETHER {
            assert_eq!(outbox.push(notice / 2, notice), None);
        }
        assert_eq!(outbox.push(9_999, 7), Some(7));
        assert_eq!(outbox.waiting().count(), MOST_ALTOGETHER);
    }
}

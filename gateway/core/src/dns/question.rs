//! One question to the name servers, through all its answers.
//!
//! Owns when it is asked again and what stands meanwhile. A server that fails changes nothing: the
//! last good answer stands until there is another. A server that says that there is nothing is
//! believed after [`GRACE`], because a zone that is empty by mistake is empty for minutes.

use std::time::Duration;
use std::time::Instant;

/// How long the last good records may still be used after a server said that there are none, if
/// nothing else is known.
pub const GRACE: Duration = Duration::from_secs(300);
/// Until a server is asked again that said that there is nothing, but not for how long.
const NO_NEGATIVE_TTL: Duration = Duration::from_secs(30);
/// Until a server that has failed is asked again; doubled with each failure.
const FIRST_RETRY: Duration = Duration::from_secs(1);
/// The longest of these pauses.
const LAST_RETRY: Duration = Duration::from_secs(30);

/// What a lookup came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer<R> {
    /// Records, good for so long.
    Records(Vec<R>, Duration),
    /// There are none: the name does not exist, or has nothing of that kind. How long that is true,
    /// if the answer says so (the zone's SOA minimum, RFC 2308 §5).
    Missing(Option<Duration>),
    /// The servers failed or did not answer.
    Failed,
}

/// What is known of one question.
#[derive(Debug, Clone)]
pub struct Question<R> {
    records: Vec<R>,
    good_at: Option<Instant>,
    missing_since: Option<Instant>,
    failures: u32,
    is_answered: bool,
    due: Instant,
}

impl<R> Question<R> {
    /// One that was not asked yet and is to be asked now.
    pub fn new(now: Instant) -> Self {
        Self {
            records: Vec::new(),
            good_at: None,
            missing_since: None,
            failures: 0,
            is_answered: false,
            due: now,
        }
    }

    /// When it is to be asked again.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether it was ever answered, if only by a failure.
    pub fn is_answered(&self) -> bool {
        self.is_answered
    }

    /// Whether the last lookup failed.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// When the records were last got.
    pub fn good_at(&self) -> Option<Instant> {
        self.good_at
    }

    /// The last good records, unless a server has said since that there are none.
    pub fn records(&self) -> &[R] {
        match self.missing_since {
            None => &self.records,
            Some(_) => &[],
        }
    }

    /// The last good records although a server has said since that there are none; for [`GRACE`].
    pub fn stale(&self) -> &[R] {
        match self.missing_since {
            None => &[],
            Some(_) => &self.records,
        }
    }

    /// Takes an answer. It is asked for again after its time to live, which is brought between
    /// `shortest` and `longest` and shortened by up to a tenth by `draw`, so that many gateways do
    /// not ask at the same moment.
    pub fn on(
        &mut self,
        answer: Answer<R>,
        (shortest, longest): (Duration, Duration),
        now: Instant,
        draw: u64,
    ) {
        self.is_answered = true;
        let wait = match answer {
            Answer::Records(records, ttl) if !records.is_empty() => {
                self.records = records;
                self.good_at = Some(now);
                self.missing_since = None;
                self.failures = 0;
                ttl
            }
            Answer::Records(_, ttl) => self.missing(Some(ttl), now),
            Answer::Missing(ttl) => self.missing(ttl, now),
            Answer::Failed => {
                let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(8));
                self.failures = self.failures.saturating_add(1);
                wait.min(LAST_RETRY)
            }
        };
        let wait = wait.min(longest);
        let tenth = u32::try_from(draw >> 32).unwrap_or(u32::MAX);
        let early = (wait / 10).mul_f64(f64::from(tenth) / f64::from(u32::MAX));
        self.due = now + wait.saturating_sub(early).max(shortest);
        self.expire(now);
    }

    fn missing(&mut self, ttl: Option<Duration>, now: Instant) -> Duration {
        self.failures = 0;
        self.missing_since.get_or_insert(now);
        ttl.unwrap_or(NO_NEGATIVE_TTL)
    }

    /// Forgets records that were missing for too long, or sees to it that they are when it is time.
    fn expire(&mut self, now: Instant) {
        let Some(since) = self.missing_since else {
            return;
        };
        let end = since + GRACE;
        if now >= end {
            self.records.clear();
        } else if !self.records.is_empty() {
            self.due = self.due.min(end);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::Answer;
    use super::GRACE;
    use super::Question;

    const LIMITS: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

    const fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn wait(answer: Answer<u8>, draw: u64) -> Duration {
        let now = Instant::now();
        let mut question = Question::new(now);
        question.on(answer, LIMITS, now, draw);
        question.due() - now
    }

    #[test]
    fn an_answer_is_used_for_its_time_to_live_within_limits_and_up_to_a_tenth_less() {
        let records = |ttl| Answer::Records(vec![1], seconds(ttl));
        assert_eq!(wait(records(60), 0), seconds(60));
        assert_eq!(wait(records(60), u64::MAX), seconds(54));
        assert_eq!(wait(records(0), u64::MAX), seconds(1));
        assert_eq!(wait(records(86_400), 0), seconds(300));
        assert_eq!(wait(Answer::Missing(Some(seconds(20))), 0), seconds(20));
        assert_eq!(wait(Answer::Missing(Some(seconds(0))), 0), seconds(1));
        assert_eq!(wait(Answer::Missing(None), 0), seconds(30));
    }

    #[test]
    fn failures_change_nothing_and_are_tried_again_with_growing_pauses() {
        let start = Instant::now();
        let mut question = Question::new(start);
        question.on(Answer::Records(vec![1, 2], seconds(5)), LIMITS, start, 0);
        let mut now = start;
        let pauses: Vec<u64> = std::iter::repeat_with(|| {
            now = question.due();
            question.on(Answer::Failed, LIMITS, now, 0);
            (question.due() - now).as_secs()
        })
        .take(8)
        .collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(question.records(), [1, 2]);
        assert_eq!(question.good_at(), Some(start));
        assert!(question.is_failing());
        question.on(Answer::Records(vec![3], seconds(5)), LIMITS, now, 0);
        assert!(!question.is_failing());
        assert_eq!(question.records(), [3]);
    }

    #[test]
    fn a_name_that_is_gone_is_used_as_a_last_resort_for_a_while() {
        let start = Instant::now();
        let mut question = Question::new(start);
        question.on(Answer::Records(vec![1], seconds(5)), LIMITS, start, 0);
        let gone = start + seconds(5);
        question.on(Answer::Missing(Some(seconds(200))), LIMITS, gone, 0);
        assert_eq!((question.records(), question.stale()), (&[][..], &[1][..]));
        assert_eq!(question.due(), gone + seconds(200));
        question.on(Answer::Failed, LIMITS, question.due(), 0);
        assert_eq!(question.stale(), [1], "a failure does not bring it back");
        question.on(Answer::Missing(None), LIMITS, gone + seconds(290), 0);
        assert_eq!(question.due(), gone + GRACE, "no longer than it may");
        question.on(Answer::Missing(None), LIMITS, gone + GRACE, 0);
        assert_eq!((question.records(), question.stale()), (&[][..], &[][..]));
        let back = gone + seconds(600);
        question.on(Answer::Records(vec![2], seconds(5)), LIMITS, back, 0);
        assert_eq!(question.records(), [2]);
    }
}

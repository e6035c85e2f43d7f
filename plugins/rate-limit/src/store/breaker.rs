//! When a server that fails is asked again: not for each request.
//!
//! Owns the decision, in nanoseconds of a clock that never goes back. After [`TRIPS`] failures in a row
//! nobody asks for a while, which doubles with each failure; then one asks, and the others go on without
//! until it has an answer.

use std::cell::Cell;

/// Failures in a row after which nobody asks.
const TRIPS: u32 = 5;
/// The first while: 100 ms.
const FIRST: u64 = 100_000_000;
/// The longest: 1 s, which is how late it is noticed that a server is back.
const LONGEST: u64 = 1_000_000_000;

/// What is known of a server.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: Cell<u32>,
    closed_until: Cell<u64>,
}

impl Breaker {
    /// Whether to ask now. Whoever hears yes asks, and says what came of it.
    pub(super) fn may_ask(&self, now: u64) -> bool {
        if self.failures.get() < TRIPS {
            return true;
        }
        if now < self.closed_until.get() {
            return false;
        }
        // The others wait for what comes of this one.
        self.closed_until.set(now.saturating_add(self.pause()));
        true
    }

    /// It answered.
    pub(super) fn on_answer(&self) {
        self.failures.set(0);
    }

    /// It did not.
    pub(super) fn on_failure(&self, now: u64) {
        self.failures.set(self.failures.get().saturating_add(1));
        if self.failures.get() >= TRIPS {
            self.closed_until.set(now.saturating_add(self.pause()));
        }
    }

    fn pause(&self) -> u64 {
        let more = self.failures.get().saturating_sub(TRIPS).min(10);
        (FIRST << more).min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_again_and_again_is_asked_by_one_after_longer_and_longer_whiles() {
        let breaker = Breaker::default();
        for _ in 0..TRIPS {
            assert!(breaker.may_ask(0));
            breaker.on_failure(0);
        }
        let mut now = 0;
        for pause in [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, LONGEST, LONGEST] {
            assert!(!breaker.may_ask(now + pause - 1), "{pause}");
            now += pause;
            assert!(breaker.may_ask(now));
            assert!(!breaker.may_ask(now), "one is enough");
            breaker.on_failure(now);
        }
        assert!(breaker.may_ask(now + LONGEST));
        breaker.on_answer();
        assert!(breaker.may_ask(now + LONGEST));
    }

    #[test]
    fn failures_between_answers_do_not_count_together() {
        let breaker = Breaker::default();
        for _ in 0..100 {
            breaker.on_failure(0);
            breaker.on_answer();
        }
        assert!(breaker.may_ask(0));
    }

    #[test]
    fn one_that_asked_and_left_does_not_keep_the_others_out() {
        let breaker = Breaker::default();
        for _ in 0..TRIPS {
            breaker.on_failure(0);
        }
        assert!(breaker.may_ask(FIRST));
        assert!(breaker.may_ask(2 * FIRST));
    }
}

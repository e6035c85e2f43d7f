//! When a filter that keeps running out of time is no longer entered.
//!
//! A looping filter costs its worker one call time-out per request. When nothing but such faults
//! comes of it, the failure policy answers without entering the guest, with a probe now and then.
//! As long as other streams end well between the faults, it is those streams that are to blame and
//! not the filter: they fail one by one, and nobody else pays; unless they use up the worker's time.
//! Traps are cheap and do not count.

use std::time::Duration;
use std::time::Instant;

/// Deadline faults within [`WINDOW`], with no good stream between them, that open the breaker.
const FAULTS: usize = 3;
/// How far back faults count.
const WINDOW: Duration = Duration::from_secs(10);
/// Time that faults may use of a [`WINDOW`], whatever else goes well: half of it.
const MOST_SPENT: Duration = Duration::from_secs(5);
/// How long the guest rests before one request may probe it.
const REST: Duration = Duration::from_secs(1);

/// Counts deadline faults of one plugin on one worker.
#[derive(Debug, Default)]
pub struct FaultBreaker {
    /// Faults since a stream last ended well.
    recent: [Option<Instant>; FAULTS],
    next: usize,
    /// Time that faults have used; it is forgiven at the rate that may be used.
    spent: Duration,
    spent_at: Option<Instant>,
    open_until: Option<Instant>,
}

impl FaultBreaker {
    /// Whether the guest may be entered for a new stream. While open, one caller per rest is let
    /// through as a probe.
    pub fn may_enter(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now >= until => {
                self.open_until = Some(now + REST);
                true
            }
            Some(_) => false,
        }
    }

    /// A callback ran out of time, which has cost so much of the worker's.
    pub fn on_deadline_fault(&mut self, now: Instant, cost: Duration) {
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = Some(now);
        }
        self.next = (self.next + 1) % FAULTS;
        let counted = self
            .recent
            .iter()
            .flatten()
            .filter(|at| now.saturating_duration_since(**at) < WINDOW);
        let in_a_row = counted.count() == FAULTS;
        let since = self.spent_at.replace(now).unwrap_or(now);
        let forgiven = now.saturating_duration_since(since) / 2;
        self.spent = self.spent.saturating_sub(forgiven).saturating_add(cost);
        if self.open_until.is_some() || in_a_row || self.spent > MOST_SPENT {
            self.open_until = Some(now + REST);
        }
    }

    /// A stream ran to its end: the guest is well.
    pub fn on_success(&mut self) {
        if self.spent_at.is_none() {
            return; // The usual case: there never was a fault.
        }
        self.recent = [None; FAULTS];
        if self.open_until.take().is_some() {
            *self = Self::default();
        }
    }

    /// Whether the failure policy answers without entering the guest.
    pub fn is_open(&self) -> bool {
        self.open_until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;
    use std::time::Instant;

    use super::FaultBreaker;

    const COST: Duration = Duration::from_millis(10);

    #[test]
    fn three_deadline_faults_in_ten_seconds_open_it_and_a_good_probe_closes_it() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut breaker = FaultBreaker::default();
        breaker.on_deadline_fault(second(0), COST);
        breaker.on_deadline_fault(second(1), COST);
        assert!(breaker.may_enter(second(1)));
        breaker.on_deadline_fault(second(2), COST);
        assert!(!breaker.may_enter(second(2)));
        assert!(breaker.may_enter(second(4)), "one probe after a rest");
        assert!(!breaker.may_enter(second(4)), "and only one");
        breaker.on_success();
        assert!(breaker.may_enter(second(4)));
    }

    #[test]
    fn old_faults_do_not_count() {
        let start = Instant::now();
        let mut breaker = FaultBreaker::default();
        for n in [0, 6, 12, 18] {
            breaker.on_deadline_fault(start + Duration::from_secs(n), COST);
        }
        assert!(!breaker.is_open());
    }

    #[test]
    fn faults_of_some_streams_are_not_blamed_on_others_that_end_well() {
        let start = Instant::now();
        let mut breaker = FaultBreaker::default();
        for n in 0..100 {
            breaker.on_deadline_fault(start + Duration::from_millis(50 * n), COST);
            breaker.on_success();
        }
        assert!(!breaker.is_open(), "a fifth of the time");
    }

    #[test]
    fn faults_that_use_up_the_worker_open_it_whatever_else_goes_well() {
        let start = Instant::now();
        let mut breaker = FaultBreaker::default();
        let opened = (0..20).position(|n| {
            breaker.on_deadline_fault(start + Duration::from_secs(n), Duration::from_secs(1));
            let is_open = breaker.is_open();
            breaker.on_success();
            is_open
        });
        assert_eq!(opened, Some(9), "half of each second is forgiven");
    }
}

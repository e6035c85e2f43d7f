//! When a filter that keeps running out of time is no longer entered.
//!
//! A looping filter costs its worker one call time-out per request. After a few such faults the
//! failure policy answers without entering the guest, with a probe now and then. Traps are cheap
//! and do not count.

use std::time::Duration;
use std::time::Instant;

/// Deadline faults within [`WINDOW`] that open the breaker.
const FAULTS: usize = 3;
/// How far back faults count.
const WINDOW: Duration = Duration::from_secs(10);
/// How long the guest rests before one request may probe it.
const REST: Duration = Duration::from_secs(1);

/// Counts deadline faults of one plugin on one worker.
#[derive(Debug, Default)]
pub struct FaultBreaker {
    recent: [Option<Instant>; FAULTS],
    next: usize,
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

    /// A callback ran out of time.
    pub fn on_deadline_fault(&mut self, now: Instant) {
        if let Some(place) = self.recent.get_mut(self.next) {
            *place = Some(now);
        }
        self.next = (self.next + 1) % FAULTS;
        let counted = self
            .recent
            .iter()
            .flatten()
            .filter(|at| now.duration_since(**at) < WINDOW);
        if self.open_until.is_some() || counted.count() == FAULTS {
            self.open_until = Some(now + REST);
        }
    }

    /// A stream ran to its end: the guest is well.
    pub fn on_success(&mut self) {
        if self.open_until.is_some() {
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

    #[test]
    fn three_deadline_faults_in_ten_seconds_open_it_and_a_good_probe_closes_it() {
        let start = Instant::now();
        let second = |n| start + Duration::from_secs(n);
        let mut breaker = FaultBreaker::default();
        breaker.on_deadline_fault(second(0));
        breaker.on_deadline_fault(second(1));
        assert!(breaker.may_enter(second(1)));
        breaker.on_deadline_fault(second(2));
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
            breaker.on_deadline_fault(start + Duration::from_secs(n));
        }
        assert!(!breaker.is_open());
    }
}

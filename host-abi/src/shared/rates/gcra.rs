//! The generic cell rate algorithm (ITU-T I.371, Annex A): one number for each key.
//!
//! Owns the decision. The number is the time at which the key would be full again if nothing more were
//! asked; what is asked for moves it into the future by its cost, and may not move it further than the
//! burst. So in any span of time T at most burst + rate × T is admitted.

/// Ticks of a nanosecond: intervals of high rates are rounded up to whole ticks.
const TICKS: u64 = 16;

/// The time of a clock in nanoseconds, in ticks; they last for 36 years.
pub(super) const fn ticks(nanos: u64) -> u64 {
    nanos.saturating_mul(TICKS)
}

/// A limit: so many in a window, and a burst at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    /// Ticks until one more is admitted.
    interval: u64,
    /// How many may be admitted at once.
    burst: u64,
}

impl Rate {
    /// So many requests in a window of `window` nanoseconds, `burst` at once. `None` if one of them is
    /// 0, or the burst lasts for more than about 9 years.
    #[must_use]
    pub(crate) fn new(requests: u64, window: u64, burst: u64) -> Option<Self> {
        let interval = u128::from(window) * u128::from(TICKS);
        let interval = interval.div_ceil(u128::from(requests.max(1)));
        let interval = u64::try_from(interval).ok()?;
        let fits = interval
            .checked_mul(burst)
            .is_some_and(|span| span < u64::MAX / 4);
        (requests > 0 && window > 0 && burst > 0 && fits).then_some(Self { interval, burst })
    }

    /// The most ticks until it is full again: a burst that was used, and two that are owed. More is left over
    /// from another rate that the key had.
    pub(super) const fn most(self) -> u64 {
        self.interval.saturating_mul(self.burst).saturating_mul(3)
    }
}

/// One question to one limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Take {
    /// The limit.
    pub(crate) rate: Rate,
    /// How much is asked for.
    pub(crate) cost: u64,
    /// When it is full again; any time before `now` if it is.
    pub(crate) full_at: u64,
    /// The time, in ticks.
    pub(crate) now: u64,
}

/// The answer of a limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Whether it admits what was asked for.
    pub(crate) admitted: bool,
    /// How many more it would admit at once: after this was taken, or now if it is not.
    pub(crate) remaining: u64,
    /// Nanoseconds until it would admit what was asked for: 0 if it does, `u64::MAX` if it never will.
    pub(crate) wait: u64,
    /// Nanoseconds until it is full again, if nothing more is asked.
    pub(crate) full: u64,
}

impl Take {
    /// Asks; the answer, and when it is full again after that.
    pub(super) fn ask(self) -> (Taken, u64) {
        let Self {
            rate: Rate { interval, burst },
            cost,
            now,
            ..
        } = self;
        let used = self.full_at.saturating_sub(now);
        let all = interval.saturating_mul(burst);
        let wanted = interval.saturating_mul(cost);
        let after = used.saturating_add(wanted);
        if after <= all {
            return (self.taken(true, after, 0), now.saturating_add(after));
        }
        let wait = if wanted > all {
            u64::MAX
        } else {
            (after - all).div_ceil(TICKS)
        };
        (self.taken(false, used, wait), self.full_at)
    }

    /// The answer where nothing is taken after all.
    pub(crate) fn untaken(self, answer: Taken) -> Taken {
        let used = self.full_at.saturating_sub(self.now);
        self.taken(answer.admitted, used, answer.wait)
    }

    /// Takes what has been used already; at most two bursts are owed.
    pub(super) fn charge(self) -> (Taken, u64) {
        let Self {
            rate: Rate { interval, .. },
            cost,
            now,
            ..
        } = self;
        let used = self.full_at.saturating_sub(now);
        let after = used
            .saturating_add(interval.saturating_mul(cost))
            .min(self.rate.most().max(used));
        (self.taken(true, after, 0), now.saturating_add(after))
    }

    /// Gives back.
    pub(super) fn refund(self) -> (Taken, u64) {
        let used = self.full_at.saturating_sub(self.now);
        let after = used.saturating_sub(self.rate.interval.saturating_mul(self.cost));
        (self.taken(true, after, 0), self.now.saturating_add(after))
    }

    fn taken(self, admitted: bool, used: u64, wait: u64) -> Taken {
        let Rate { interval, burst } = self.rate;
        let left = interval.saturating_mul(burst).saturating_sub(used);
        Taken {
            admitted,
            remaining: left / interval,
            wait,
            full: used.div_ceil(TICKS),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Asks at each of these times; how many were admitted, and the key's state.
    fn admitted(rate: Rate, times: impl IntoIterator<Item = u64>) -> u64 {
        let mut full_at = 0;
        let mut count = 0;
        for now in times {
            let take = Take {
                rate,
                cost: 1,
                full_at,
                now: ticks(now),
            };
            let (taken, after) = take.ask();
            full_at = after;
            count += u64::from(taken.admitted);
        }
        count
    }

    #[test]
    fn a_rate_of_nothing_is_none() {
        for (requests, window, burst) in [(0, 1, 1), (1, 0, 1), (1, 1, 0), (1, u64::MAX, 9)] {
            assert_eq!(Rate::new(requests, window, burst), None);
        }
    }

    #[test]
    fn what_can_never_be_admitted_is_said_to_wait_for_ever() {
        let rate = Rate::new(1, SECOND, 2).unwrap();
        let (taken, _) = Take {
            rate,
            cost: 3,
            full_at: 0,
            now: 0,
        }
        .ask();
        assert_eq!(
            (taken.admitted, taken.wait, taken.remaining),
            (false, u64::MAX, 2)
        );
    }

    #[test]
    fn saturation_gets_all_of_the_rate() {
        for requests in [1, 7, 100, 12_345, 1_000_000, 100_000_000] {
            let rate = Rate::new(requests, SECOND, requests).unwrap();
            // After the burst, as fast as can be for 100 windows, or 100,000 requests.
            let span = (100 * SECOND).min(100_000 * SECOND / requests);
            let step = (SECOND / requests / 4).max(1);
            let first: u64 = admitted(rate, (0..requests.min(1)).map(|_| 0));
            assert_eq!(first, 1);
            let mut full_at = ticks(SECOND);
            let mut count = 0_u64;
            let mut now = 0;
            while now < span {
                let (taken, after) = Take {
                    rate,
                    cost: 1,
                    full_at,
                    now: ticks(now),
                }
                .ask();
                full_at = after;
                count += u64::from(taken.admitted);
                now += step;
            }
            let due = u128::from(requests) * u128::from(span) / u128::from(SECOND);
            assert!(
                u128::from(count) * 100 >= due * 99,
                "{requests}: {count} of {due}"
            );
            assert!(u128::from(count) <= due + 1, "{requests}: {count} of {due}");
        }
    }

    proptest! {
        #[test]
        fn no_schedule_gets_more_than_burst_and_rate(
            requests in 1_u64..1_000_000,
            window in 1_u64..100 * SECOND,
            burst in 1_u64..1_000,
            gaps in prop::collection::vec(0_u64..SECOND, 1..300),
        ) {
            let rate = Rate::new(requests, window, burst).unwrap();
            let mut now = 0;
            let times: Vec<u64> = gaps.iter().map(|gap| { now += gap; now }).collect();
            let span = now - times[0];
            let most = u128::from(burst) + u128::from(requests) * u128::from(span) / u128::from(window);
            prop_assert!(u128::from(admitted(rate, times)) <= most + 1);
        }

        #[test]
        fn whoever_waits_as_long_as_told_is_admitted_and_not_a_tick_before(
            requests in 1_u64..1_000_000,
            burst in 1_u64..100,
            cost in 1_u64..100,
            used in 0_u64..200,
            now in 0_u64..SECOND,
        ) {
            let rate = Rate::new(requests, SECOND, burst).unwrap();
            let full_at = ticks(now) + rate.interval * used.min(burst);
            let (taken, _) = Take { rate, cost, full_at, now: ticks(now) }.ask();
            if taken.wait == u64::MAX {
                prop_assert!(cost > burst);
            } else if !taken.admitted {
                let at = |now| Take { rate, cost, full_at, now }.ask().0.admitted;
                prop_assert!(at(ticks(now + taken.wait)));
                prop_assert!(!at(ticks(now + taken.wait - 1)));
            }
        }
    }
}

//! What the setup makes: the generator, and what is counted.

use tidegate_sdk::metrics::{Counter, Gauge};
use tidegate_sdk::prelude::*;

use crate::chance::Random;
use crate::config::Config;
use crate::plan::Plan;

/// What the setup makes.
#[derive(Debug)]
pub struct State {
    pub(crate) random: Random,
    active: Gauge,
    overflow: Counter,
    done: Counters,
    dry_run: Counters,
}

/// How often what was done, or would have been.
#[derive(Debug)]
struct Counters {
    aborts: Counter,
    delays: Counter,
    limits: Counter,
}

/// A request that suffers, as long as it does.
#[derive(Debug)]
#[must_use = "it counts while it is there"]
pub(crate) struct Active(Gauge);

impl State {
    pub(crate) fn new(cx: &Cx<Config>) -> Result<Self> {
        let counters = |[aborts, delays, limits]: [&str; 3]| Counters {
            aborts: cx.counter(aborts),
            delays: cx.counter(delays),
            limits: cx.counter(limits),
        };
        Ok(Self {
            random: Random::seeded(cx.random()?),
            active: cx.gauge("fault_active"),
            overflow: cx.counter("fault_overflow"),
            done: counters(["fault_aborts", "fault_delays", "fault_response_limited"]),
            dry_run: counters([
                "fault_dry_run_aborts",
                "fault_dry_run_delays",
                "fault_dry_run_response_limited",
            ]),
        })
    }

    /// Counts what a request suffers, or would.
    pub(crate) fn count(&self, plan: &Plan, dry_run: bool) {
        let counters = if dry_run { &self.dry_run } else { &self.done };
        counters.aborts.add(u32::from(plan.outage.is_some()));
        counters.delays.add(u32::from(!plan.delay.is_zero()));
        counters.limits.add(u32::from(plan.rate.is_some()));
    }

    /// A place among those that suffer, unless there are too many.
    pub(crate) fn begin(&self, most: u32) -> Option<Active> {
        self.active.add(1);
        let active = Active(self.active);
        if self.active.value() > u64::from(most) {
            self.overflow.add(1);
            return None;
        }
        Some(active)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

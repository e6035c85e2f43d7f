//! The time a guest may use before it is ended.
//!
//! Owns the accounting. A budget counts CPU time of the thread: on a busy machine a filter that was
//! merely not scheduled is innocent. It costs two field writes an entry, because clocks are read
//! only when a tick of the engine's epoch finds the guest still running.
//!
//! Invariant: 20 times the limit in wall time ends a guest even if the CPU clock stands still.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::fault::DeadlinePassed;

/// How much longer than its CPU limit a guest may run in wall time.
const WALL_FACTOR: u64 = 20;

/// The budget of the running outermost entry.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    started: Option<Clocks>,
}

/// Both clocks in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    cpu: u64,
    wall: u64,
}

impl Clocks {
    fn now() -> Self {
        Self {
            cpu: cpu_nanos(),
            wall: nanos(ClockId::Monotonic),
        }
    }
}

impl Budget {
    pub(crate) const fn new() -> Self {
        Self {
            limit: 0,
            started: None,
        }
    }

    /// Begins a budget that is measured from the first tick on.
    pub(crate) const fn begin(&mut self, limit: u64) {
        self.limit = limit;
        self.started = None;
    }

    /// Begins a budget for several entries, measured from now on.
    pub(crate) fn begin_now(&mut self, limit: u64) {
        self.limit = limit;
        self.started = Some(Clocks::now());
    }

    /// Whether a tick found the guest running since the budget began.
    pub(crate) const fn was_long(&self) -> bool {
        self.started.is_some()
    }

    /// CPU time since the first tick that found the guest running; 0 if none did.
    pub(crate) fn long_nanos(&self) -> u64 {
        self.started
            .map_or(0, |started| cpu_nanos().saturating_sub(started.cpu))
    }

    /// Decides at a tick whether the guest may go on.
    pub(crate) fn tick(&mut self) -> Result<(), DeadlinePassed> {
        let now = Clocks::now();
        let Some(started) = self.started else {
            self.started = Some(now);
            return Ok(());
        };
        let cpu = now.cpu.saturating_sub(started.cpu);
        if cpu >= self.limit {
            return Err(passed(cpu, self.limit, "CPU time"));
        }
        let wall = now.wall.saturating_sub(started.wall);
        let wall_limit = self.limit.saturating_mul(WALL_FACTOR);
        if wall >= wall_limit {
            return Err(passed(wall, wall_limit, "wall time"));
        }
        Ok(())
    }
}

/// A duration in the unit of budgets.
pub(crate) fn budget_nanos(limit: Duration) -> u64 {
    u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX)
}

fn passed(used: u64, limit: u64, clock: &'static str) -> DeadlinePassed {
    const MILLI: u64 = 1_000_000;
    DeadlinePassed {
        used_ms: used / MILLI,
        limit_ms: limit / MILLI,
        clock,
    }
}

/// CPU time of this thread.
pub(crate) fn cpu_nanos() -> u64 {
    nanos(ClockId::ThreadCPUTime)
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_tick_only_starts_the_clock() {
        let mut budget = Budget::new();
        budget.begin(0);
        assert!(budget.tick().is_ok());
        assert!(budget.tick().is_err());
    }

    #[test]
    fn a_budget_for_several_entries_counts_at_once() {
        let mut budget = Budget::new();
        budget.begin_now(0);
        assert!(budget.tick().is_err());
    }
}

//! What a criterion says, in words with its numbers.

use crate::rollout::counts::Counts;
use crate::rollout::counts::Tally;
use crate::rollout::evidence::Of;
use crate::rollout::judge::Criterion;
use crate::rollout::judge::FALSE_ABORTS;
use crate::rollout::judge::Judge;
use crate::rollout::judge::denials;
use crate::rollout::judge::errors;
use crate::rollout::judge::faults;
use crate::rollout::judge::real;
use crate::rollout::split::Share;

impl Judge {
    /// The numbers behind what a criterion says.
    pub(super) fn words(&self, criterion: Criterion) -> String {
        let limits = &self.limits;
        let (what, logarithm) = match criterion {
            Criterion::TrapRate => {
                let limit = percent(limits.trap_rate.unwrap_or(1.0));
                let faults = share(faults(&self.canary));
                (
                    format!("faults in {faults}, at most {limit} allowed"),
                    self.traps.logarithm(),
                )
            }
            Criterion::DenyRate => {
                let margin = limits.deny_rate_delta.unwrap_or(1.0);
                (
                    self.compared("denied", denials, margin),
                    self.denials.logarithm(),
                )
            }
            Criterion::ErrorRate => {
                let margin = limits.error_rate_delta.unwrap_or(1.0);
                (
                    self.compared("errors in", errors, margin),
                    self.errors.logarithm(),
                )
            }
            Criterion::P99 => (self.slowness(), self.slow.logarithm()),
        };
        format!("{what}; {}{}", evidence(logarithm), self.missing())
    }

    fn compared(&self, what: &str, of: fn(&Tally) -> Of, margin: f64) -> String {
        let total = |counts: &Counts| share(of(&counts.total()));
        let (canary, stable) = (total(&self.canary), total(&self.stable));
        let points = points(margin);
        format!("{what} {canary}, stable {stable}, at most {points} more allowed")
    }

    fn slowness(&self) -> String {
        let Some((limit, allowed)) = self.slow_limits() else {
            let known = self.times.count();
            return format!("the stable version's p99 is not known yet, after {known} streams");
        };
        let (canary, stable) = (share(self.slower.canary), share(self.slower.stable));
        format!("slower than {allowed:?} {canary}, stable slower than {limit:?} {stable}")
    }

    /// What a step still waits for.
    fn missing(&self) -> String {
        let needed = self.limits.min_streams;
        let (canary, stable) = (self.step.canary, self.step.stable);
        if canary < needed {
            return format!("; {canary} of {needed} streams of the canary in this step");
        }
        if stable < needed && self.share < Share::ALL {
            return format!("; {stable} of {needed} streams of the stable version in this step");
        }
        if !self.step.compared && self.share < Share::ALL {
            return "; not compared yet in this step".to_owned();
        }
        String::new()
    }
}

/// How likely it is that such numbers are chance.
fn evidence(logarithm: f64) -> String {
    let needed = FALSE_ABORTS.recip();
    match logarithm.exp() {
        much if much >= 1e6 => format!("evidence above a million, {needed:.0} aborts"),
        some => format!("evidence {some:.1}, {needed:.0} aborts"),
    }
}

fn share(of: Of) -> String {
    let Of { hits, streams } = of;
    let rate = match streams {
        0 => 0.0,
        streams => real(hits) / real(streams),
    };
    format!("{hits} of {streams} ({})", percent(rate))
}

fn percent(rate: f64) -> String {
    format!("{} %", rounded(rate))
}

fn points(rate: f64) -> String {
    format!("{} points", rounded(rate))
}

/// As a percentage, to a hundredth, without zeros at its end.
fn rounded(rate: f64) -> String {
    let text = format!("{:.2}", rate * 100.0);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

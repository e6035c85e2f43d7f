//! Whether a version of a filter is worse than the one that is there.
//!
//! Four criteria, each with a limit: faults, denials, errors, and the time that 99 of 100 streams
//! do not exceed. Each is tested on blocks of five seconds or less (faults as often as looked at)
//! so that looking again and again costs nothing: a version that keeps its limits is aborted by a
//! criterion with a probability of [`FALSE_ABORTS`] at most, over the whole rollout. That is
//! exact if streams of different groups of clients are independent.

use std::time::Duration;

use crate::rollout::counts::Counts;
use crate::rollout::counts::GROUPS;
use crate::rollout::counts::Histogram;
use crate::rollout::counts::Tally;
use crate::rollout::evidence::Block;
use crate::rollout::evidence::Excess;
use crate::rollout::evidence::Of;
use crate::rollout::evidence::Rate;
use crate::rollout::evidence::real;
use crate::rollout::split::Share;

mod words;

/// How likely each criterion aborts a version that keeps to its limit: a quarter of a percent.
pub const FALSE_ABORTS: f64 = 0.0025;
/// How many streams of a version a step needs by default before it can pass.
pub const MIN_STREAMS: u64 = 200;
/// Streams of the canary below which rates and times abort nothing.
const FEWEST: u64 = 50;
/// Faults below which they abort nothing, unless none are allowed.
const FEWEST_FAULTS: u64 = 3;
/// How long a block is at most.
const BLOCK: Duration = Duration::from_secs(5);
/// Streams of each version that are a block, however soon they come.
const BLOCK_STREAMS: u64 = 200;
/// Streams of the stable version from which its 99th percentile is known.
const KNOWN: u64 = 1_000;
/// Streams of which times are remembered, before older ones count less.
const MEMORY: u64 = 100_000;

/// What a version may do; `None` is not looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The share of streams that may end by a trap or a time-out of the filter, 0 to 1.
    pub trap_rate: Option<f64>,
    /// How much larger the share of denied streams may be, 0 to 1: 0.005 are half a point.
    pub deny_rate_delta: Option<f64>,
    /// The same of streams that pass and end with a 5xx, of those that pass.
    pub error_rate_delta: Option<f64>,
    /// How much longer the 99th percentile may be, as a share of the stable version's: 0.2 is a
    /// fifth.
    pub p99_delta: Option<f64>,
    /// Streams of each version without which a step does not pass.
    pub min_streams: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            trap_rate: Some(0.001),
            deny_rate_delta: Some(0.005),
            error_rate_delta: Some(0.0025),
            p99_delta: Some(0.2),
            min_streams: MIN_STREAMS,
        }
    }
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Criterion {
    /// Traps and time-outs.
    TrapRate,
    /// Answers of the filter.
    DenyRate,
    /// Answers 5xx to what it let pass.
    ErrorRate,
    /// The 99th percentile of the time until an answer begins.
    P99,
}

/// What a criterion says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Nothing speaks against the version.
    Pass,
    /// Too little was seen to say so.
    NotEnough,
    /// It is worse than it may be.
    Abort,
}

/// What a criterion says, with the numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What was looked at.
    pub criterion: Criterion,
    /// What it says.
    pub verdict: Verdict,
    /// Why, in words.
    pub words: String,
}

/// Compares the two versions of a plugin while they serve.
#[derive(Debug, Clone)]
pub struct Judge {
    limits: Limits,
    traps: Rate,
    denials: Excess,
    errors: Excess,
    slow: Excess,
    /// How many streams were slower than the stable version's 99th percentile, and than what is
    /// allowed of it.
    slower: Block,
    /// What the stable version's times are, for the limit of the next block.
    times: Histogram,
    stable: Counts,
    canary: Counts,
    /// Since the step began.
    step: StepCounts,
    /// Not yet a block.
    pending: [Counts; 2],
    pending_for: Duration,
    share: Share,
}

#[derive(Debug, Clone, Copy, Default)]
struct StepCounts {
    stable: u64,
    canary: u64,
    /// Whether a block of it was compared.
    compared: bool,
}

impl Judge {
    /// A judge who knows nothing yet, of a canary with that share.
    pub fn new(limits: Limits, share: Share) -> Self {
        Self {
            limits,
            traps: Rate::new(limits.trap_rate.unwrap_or(1.0)),
            denials: Excess::new(limits.deny_rate_delta.unwrap_or(1.0)),
            errors: Excess::new(limits.error_rate_delta.unwrap_or(1.0)),
            slow: Excess::new(0.0),
            slower: Block::default(),
            times: Histogram::default(),
            stable: Counts::default(),
            canary: Counts::default(),
            step: StepCounts::default(),
            pending: Default::default(),
            pending_for: Duration::ZERO,
            share,
        }
    }

    /// The limits that it judges by.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The canary has another share: streams are counted anew, evidence is kept.
    pub fn on_step(&mut self, share: Share) {
        self.step = StepCounts::default();
        self.share = share;
    }

    /// Takes in what was counted of both versions in the last `elapsed`.
    pub fn add(&mut self, stable: &Counts, canary: &Counts, elapsed: Duration) {
        let [pending_stable, pending_canary] = &mut self.pending;
        pending_stable.merge(stable);
        pending_canary.merge(canary);
        self.stable.merge(stable);
        self.canary.merge(canary);
        self.step.stable += stable.streams();
        self.step.canary += canary.streams();
        self.traps.add(faults(canary));
        self.pending_for += elapsed;
        let [stable, canary] = &self.pending;
        let is_full = stable.streams().min(canary.streams()) >= BLOCK_STREAMS;
        if is_full || self.pending_for >= BLOCK {
            self.pending_for = Duration::ZERO;
            let [stable, canary] = std::mem::take(&mut self.pending);
            self.add_block(&stable, &canary);
        }
    }

    fn add_block(&mut self, stable: &Counts, canary: &Counts) {
        self.step.compared |= self.denials.add(&blocks(stable, canary, denials));
        self.errors.add(&blocks(stable, canary, errors));
        if let Some((limit, allowed)) = self.slow_limits() {
            let over = |tally: &Tally, limit| Of {
                hits: tally.latency.over(limit),
                streams: tally.latency.count(),
            };
            let mut blocks = [Block::default(); GROUPS];
            let groups = stable.groups().iter().zip(canary.groups());
            for (block, (stable, canary)) in blocks.iter_mut().zip(groups) {
                block.stable = over(stable, limit);
                block.canary = over(canary, allowed);
                add(&mut self.slower.stable, block.stable);
                add(&mut self.slower.canary, block.canary);
            }
            self.slow.add(&blocks);
        }
        for tally in stable.groups() {
            self.times.merge(&tally.latency);
        }
        if self.times.count() > MEMORY {
            self.times.halve();
        }
    }

    /// The stable version's 99th percentile as it is known, and what the canary's may be, both
    /// where times can be told apart.
    fn slow_limits(&self) -> Option<(Duration, Duration)> {
        if self.times.count() < KNOWN {
            return None;
        }
        let limit = self.times.quantile(990)?;
        let allowed = limit.mul_f64(1.0 + self.limits.p99_delta?.clamp(0.0, 1_000.0));
        Some((limit, Histogram::rounded_up(allowed)?))
    }

    /// What each criterion that has a limit says.
    pub fn findings(&self) -> Vec<Finding> {
        let finding = |criterion: Criterion| {
            let verdict = self.verdict(criterion)?;
            let words = self.words(criterion);
            Some(Finding {
                criterion,
                verdict,
                words,
            })
        };
        Criterion::ALL.into_iter().filter_map(finding).collect()
    }

    /// The criterion that says that the version is worse than it may be.
    pub fn abort(&self) -> Option<Finding> {
        let mut findings = self.findings().into_iter();
        findings.find(|finding| finding.verdict == Verdict::Abort)
    }

    /// Whether a step may be the last that was waited for: every criterion has seen enough, and
    /// none says abort.
    pub fn passes(&self) -> bool {
        let mut criteria = Criterion::ALL.into_iter();
        self.has_seen_enough()
            && criteria.all(|it| !matches!(self.verdict(it), Some(Verdict::Abort)))
    }

    fn verdict(&self, criterion: Criterion) -> Option<Verdict> {
        let needed = FALSE_ABORTS.recip().ln();
        let speaks_against = match criterion {
            Criterion::TrapRate => {
                let fewest = match self.limits.trap_rate? {
                    0.0 => 1,
                    _ => FEWEST_FAULTS,
                };
                faults(&self.canary).hits >= fewest && self.traps.logarithm() >= needed
            }
            Criterion::DenyRate => {
                let _limit = self.limits.deny_rate_delta?;
                self.is_comparable() && self.denials.logarithm() >= needed
            }
            Criterion::ErrorRate => {
                let _limit = self.limits.error_rate_delta?;
                self.is_comparable() && self.errors.logarithm() >= needed
            }
            Criterion::P99 => {
                let _limit = self.limits.p99_delta?;
                self.is_comparable() && self.slow.logarithm() >= needed
            }
        };
        Some(match (speaks_against, self.has_seen_enough()) {
            (true, _) => Verdict::Abort,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::NotEnough,
        })
    }

    fn is_comparable(&self) -> bool {
        self.canary.streams() >= FEWEST
    }

    fn has_seen_enough(&self) -> bool {
        let fewest = self.limits.min_streams;
        // Where the canary has everything there is nothing left to compare it with.
        let is_compared = self.step.compared && self.step.stable >= fewest;
        self.step.canary >= fewest && (is_compared || self.share == Share::ALL)
    }
}

impl Criterion {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::TrapRate, Self::DenyRate, Self::ErrorRate, Self::P99];

    /// What it is called in configuration and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TrapRate => "trapRate",
            Self::DenyRate => "denyRateDelta",
            Self::ErrorRate => "errorRateDelta",
            Self::P99 => "p99Delta",
        }
    }
}

impl Verdict {
    /// What it is called in answers and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NotEnough => "not enough",
            Self::Abort => "abort",
        }
    }
}

fn blocks(stable: &Counts, canary: &Counts, of: fn(&Tally) -> Of) -> [Block; GROUPS] {
    let mut blocks = [Block::default(); GROUPS];
    let groups = stable.groups().iter().zip(canary.groups());
    for (block, (stable, canary)) in blocks.iter_mut().zip(groups) {
        *block = Block {
            stable: of(stable),
            canary: of(canary),
        };
    }
    blocks
}

fn faults(counts: &Counts) -> Of {
    let groups = counts.groups().iter();
    Of {
        hits: groups.map(|tally| tally.faults).sum(),
        streams: counts.streams(),
    }
}

fn denials(tally: &Tally) -> Of {
    Of {
        hits: tally.denied,
        streams: tally.streams(),
    }
}

fn errors(tally: &Tally) -> Of {
    Of {
        hits: tally.errors,
        streams: tally.passed(),
    }
}

fn add(to: &mut Of, what: Of) {
    to.hits += what.hits;
    to.streams += what.streams;
}

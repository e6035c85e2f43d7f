//! How strongly counts speak against a version: tests that may be looked at as often as one likes.
//!
//! Evidence is what a gambler would own who began with 1 and bet, before each block of counts, that
//! the version is worse. If it is not, evidence above 1/p is ever seen with a probability of p at
//! most, however long one looks (Ville's inequality); nothing is assumed about how rates change
//! with time, because each block compares streams of the same seconds. The bets on two rates are
//! those of Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that
//! allow for optional stopping" (2024).

use crate::rollout::counts::GROUPS;

/// By how much more than what is allowed a version is bet to be worse, as shares of streams.
const WORSE_BY: [f64; 5] = [0.004, 0.012, 0.04, 0.12, 0.4];
/// How many times as often as allowed a version is bet to fail.
const WORSE_TIMES: [f64; 5] = [2.0, 5.0, 20.0, 100.0, 400.0];
/// How long, in blocks, until half of what is held back is bet: a version may turn bad late.
const PATIENCE: f64 = 60.0;
/// Of how many streams a share is remembered, before older ones count less.
const MEMORY: f64 = 200_000.0;
/// Of how many streams a share has to be known before it is bet on.
const KNOWN: f64 = 100.0;

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Of {
    pub(super) hits: u64,
    pub(super) streams: u64,
}

/// One block of streams of both versions, of one group of clients.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Block {
    pub(super) stable: Of,
    pub(super) canary: Of,
}

/// That something happens more often in the canary than in the stable version, by more than a
/// margin.
#[derive(Debug, Clone)]
pub(super) struct Excess {
    margin: f64,
    /// For each group, what all the others say.
    without: [Bets; GROUPS],
    known: Known,
}

/// That something happens more often than at a rate.
#[derive(Debug, Clone)]
pub(super) struct Rate {
    rate: f64,
    bets: Bets,
}

/// What is bet, by how bad the version is thought to be; logarithms, because they grow far.
#[derive(Debug, Clone)]
struct Bets {
    blocks: f64,
    bets: [f64; 5],
}

/// How often something happens in the stable version.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    hits: f64,
    streams: f64,
}

impl Excess {
    pub(super) fn new(margin: f64) -> Self {
        Self {
            margin: margin.clamp(0.0, 1.0),
            without: std::array::from_fn(|_| Bets::default()),
            known: Known::default(),
        }
    }

    /// Takes in one block of each group. Says whether it was bet on: what is usual has to be known
    /// before.
    pub(super) fn add(&mut self, blocks: &[Block; GROUPS]) -> bool {
        let known = self.known.rate();
        if let Some(stable) = known {
            let gains = blocks.map(|block| self.gains(&block, stable));
            let mut all = [0.0; WORSE_BY.len()];
            for gains in &gains {
                add(&mut all, gains);
            }
            for (bets, own) in self.without.iter_mut().zip(&gains) {
                let mut others = all;
                add(&mut others, &own.map(|gain| -gain));
                bets.add(&others);
            }
        }
        for block in blocks {
            self.known.add(block.stable);
        }
        known.is_some()
    }

    /// The logarithm of the evidence that is left whichever group of clients is left out: one
    /// client that asks a lot is no reason to blame a version.
    pub(super) fn logarithm(&self) -> f64 {
        let left = self.without.iter().map(Bets::logarithm);
        left.fold(f64::INFINITY, f64::min)
    }

    /// The same with the first group left out.
    #[cfg(test)]
    pub(super) fn all_but_the_first(&self) -> f64 {
        self.without.first().map_or(0.0, Bets::logarithm)
    }

    /// What each bet gains in a block (logarithms).
    fn gains(&self, block: &Block, stable: f64) -> [f64; WORSE_BY.len()] {
        WORSE_BY.map(|worse| {
            let allowed = stable + self.margin;
            if allowed >= 1.0 || block.stable.streams == 0 || block.canary.streams == 0 {
                return 0.0; // Nothing could be too much, or there is nothing to compare.
            }
            let canary = (allowed + worse).min(f64::midpoint(1.0, allowed));
            let innocent = self.nearest(block, stable, canary);
            gain(block.stable, stable, innocent)
                + gain(block.canary, canary, innocent + self.margin)
        })
    }

    /// The rate of the stable version in the innocent explanation that is nearest to the suspicion:
    /// the one that, with the margin on top for the canary, has the smallest divergence
    /// (Kullback-Leibler) from it, weighed by streams. It is what makes the bet a fair one.
    fn nearest(&self, block: &Block, stable: f64, canary: f64) -> f64 {
        let (of_stable, of_canary) = (real(block.stable.streams), real(block.canary.streams));
        let (mut low, mut high) = (stable, canary - self.margin);
        if self.margin <= 0.0 {
            return (of_stable * stable + of_canary * canary) / (of_stable + of_canary);
        }
        let mut at = (of_stable * low + of_canary * high) / (of_stable + of_canary);
        for _ in 0..24 {
            let shifted = at + self.margin;
            let (room, shifted_room) = (at * (1.0 - at), shifted * (1.0 - shifted));
            let slope =
                of_stable * (at - stable) / room + of_canary * (shifted - canary) / shifted_room;
            match slope > 0.0 {
                true => high = at,
                false => low = at,
            }
            // Newton's step, on the curvature as it is near the solution; halving if it leaves.
            let next = at - slope / (of_stable / room + of_canary / shifted_room);
            let next = if next > low && next < high {
                next
            } else {
                f64::midpoint(low, high)
            };
            if (next - at).abs() < 1e-12 {
                break;
            }
            at = next;
        }
        at
    }
}

impl Rate {
    pub(super) fn new(rate: f64) -> Self {
        Self {
            rate: rate.clamp(0.0, 1.0),
            bets: Bets::default(),
        }
    }

    /// Takes in one block.
    pub(super) fn add(&mut self, seen: Of) {
        let gains = WORSE_TIMES.map(|times| match self.rate {
            0.0 if seen.hits > 0 => f64::INFINITY,
            rate if rate <= 0.0 || rate >= 1.0 => 0.0,
            rate => gain(seen, (rate * times).min(f64::midpoint(1.0, rate)), rate),
        });
        self.bets.add(&gains);
    }

    /// The logarithm of the evidence.
    pub(super) fn logarithm(&self) -> f64 {
        self.bets.logarithm()
    }
}

impl Default for Bets {
    fn default() -> Self {
        Self {
            blocks: 0.0,
            bets: [0.5_f64.ln(); 5],
        }
    }
}

impl Bets {
    /// What is held back, of 1.
    fn held_back(&self) -> f64 {
        0.5 * PATIENCE / (PATIENCE + self.blocks)
    }

    /// A block has come: something of what was held back is bet before it, then everything gains.
    fn add(&mut self, gains: &[f64; 5]) {
        let before = self.held_back();
        self.blocks += 1.0;
        let more = (before - self.held_back()).ln();
        for (bet, gain) in self.bets.iter_mut().zip(gains) {
            *bet = sum(*bet, more) + gain;
        }
    }

    fn logarithm(&self) -> f64 {
        let share = real(self.bets.len() as u64).ln();
        let bets = self.bets.iter();
        let all = bets.fold(f64::NEG_INFINITY, |all, bet| sum(all, bet - share));
        sum(all, self.held_back().ln())
    }
}

impl Known {
    /// The rate, once it is known.
    fn rate(&self) -> Option<f64> {
        (self.streams >= KNOWN).then(|| (self.hits + 0.5) / (self.streams + 1.0))
    }

    fn add(&mut self, of: Of) {
        self.hits += real(of.hits);
        self.streams += real(of.streams);
        if self.streams > MEMORY {
            self.hits /= 2.0;
            self.streams /= 2.0;
        }
    }
}

/// How much more likely counts are at one rate than at another (the logarithm).
fn gain(of: Of, rate: f64, than: f64) -> f64 {
    let misses = of.streams.saturating_sub(of.hits);
    let mut gain = real(misses) * ((1.0 - rate) / (1.0 - than)).ln();
    if of.hits > 0 {
        gain += real(of.hits) * (rate / than).ln();
    }
    gain
}

/// The logarithm of the sum of two numbers whose logarithms these are.
fn sum(one: f64, other: f64) -> f64 {
    let (larger, smaller) = (one.max(other), one.min(other));
    if smaller == f64::NEG_INFINITY || larger == f64::INFINITY {
        return larger;
    }
    larger + (smaller - larger).exp().ln_1p()
}

fn add(to: &mut [f64; 5], what: &[f64; 5]) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += what;
    }
}

/// Counts are exact to 2^53, which no gateway reaches.
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

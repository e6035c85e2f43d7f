//! Each endpoint in turn, as often as its weight says.
//!
//! Owns whose turn it is. With unequal weights every endpoint has moments at which it is due, as
//! far apart as its weight is small, the first ones scattered: turns of one endpoint lie evenly
//! among those of the others, never in a burst.

use std::cmp::Ordering;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::shares::Shares;
use crate::backend::Endpoint;

/// The fraction of the golden ratio in 32 bits: its multiples scatter evenly, however many.
const GOLDEN: u32 = 0x9e37_79b9;

/// Whose turn it is.
#[derive(Debug)]
pub(super) enum RoundRobin {
    /// Weights are equal: the next place, of so many.
    Equal { next: usize, of: usize },
    /// The one that is due first is on top.
    ByWeight(BinaryHeap<Reverse<Due>>),
}

/// The next moment of one endpoint: `ticks` divided by `weight`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    ticks: u128,
    weight: u32,
    place: usize,
}

/// Ticks from one moment to the next, for weight 1.
const ONE_TURN: u128 = 1 << 32;

impl RoundRobin {
    /// Turns that begin at a place decided by `seed`.
    pub(super) fn new(endpoints: &[Endpoint], shares: &Shares, seed: u64) -> Self {
        let of = endpoints.len();
        if matches!(shares, Shares::Equal(_)) {
            let start = u128::from(seed) * u128::try_from(of).unwrap_or(0);
            let next = usize::try_from(start >> 64).unwrap_or(0);
            return Self::Equal { next, of };
        }
        let mut phase = u32::try_from(seed >> 32).unwrap_or(0);
        let weighted = endpoints.iter().enumerate();
        let weighted = weighted.filter(|(_, endpoint)| endpoint.weight > 0);
        let due = weighted.map(|(place, endpoint)| {
            phase = phase.wrapping_add(GOLDEN);
            Reverse(Due {
                ticks: u128::from(phase),
                weight: endpoint.weight,
                place,
            })
        });
        Self::ByWeight(due.collect())
    }

    /// The endpoint whose turn it is, those tried aside: they stay first in line.
    pub(super) fn pick(&mut self, tried: &[usize]) -> Option<usize> {
        match self {
            Self::Equal { next, of } => {
                let place = (0..*of)
                    .map(|step| (*next + step) % *of)
                    .find(|place| !tried.contains(place))?;
                *next = (place + 1) % *of;
                Some(place)
            }
            Self::ByWeight(line) if tried.is_empty() => {
                let mut first = line.peek_mut()?;
                first.0.ticks += ONE_TURN;
                Some(first.0.place)
            }
            Self::ByWeight(line) => after(line, tried),
        }
    }
}

/// The first in line that was not tried.
fn after(line: &mut BinaryHeap<Reverse<Due>>, tried: &[usize]) -> Option<usize> {
    let mut passed = Vec::new();
    let mut picked = None;
    while let Some(Reverse(mut due)) = line.pop() {
        let was_tried = tried.contains(&due.place);
        if !was_tried {
            due.ticks += ONE_TURN;
            picked = Some(due.place);
        }
        passed.push(Reverse(due));
        if !was_tried {
            break;
        }
    }
    line.extend(passed);
    picked
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        // No overflow: that would take 2^64 turns of one endpoint.
        let moment = self.ticks.saturating_mul(u128::from(other.weight));
        let others = other.ticks.saturating_mul(u128::from(self.weight));
        moment.cmp(&others).then(self.place.cmp(&other.place))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Due {}

//! A draw by weight, among endpoints that are not excluded.
//!
//! Owns the line on which each endpoint has a stretch as long as its weight. A draw is a point on
//! it: found at once if all weights are equal, by halving if not.

use std::ops::Range;

use crate::backend::Endpoint;

/// The stretches of a backend's endpoints, side by side.
#[derive(Debug)]
pub(super) enum Shares {
    /// So many endpoints, each with a stretch of one.
    Equal(usize),
    /// Where each one's stretch ends.
    ByWeight(Vec<u64>),
}

impl Shares {
    /// The stretches of these endpoints.
    pub(super) fn new(endpoints: &[Endpoint]) -> Self {
        let mut weights = endpoints.iter().map(|endpoint| endpoint.weight);
        let first = weights.next().unwrap_or(1);
        if first > 0 && weights.all(|weight| weight == first) {
            return Self::Equal(endpoints.len());
        }
        let mut end = 0;
        let ends = endpoints.iter().map(|endpoint| {
            end += u64::from(endpoint.weight);
            end
        });
        Self::ByWeight(ends.collect())
    }

    /// An endpoint by weight, none of the excluded ones: their places in ascending order, each
    /// once. `None` if nothing is left.
    pub(super) fn pick(&self, draw: u64, excluded: &[usize]) -> Option<usize> {
        let left = excluded.iter().fold(self.length(), |left, place| {
            let stretch = self.stretch(*place);
            left - (stretch.end - stretch.start)
        });
        let share = u128::from(draw) * u128::from(left);
        let mut point = u64::try_from(share >> 64).ok()?;
        if left == 0 {
            return None;
        }
        for place in excluded {
            let stretch = self.stretch(*place);
            if point >= stretch.start {
                point += stretch.end - stretch.start;
            }
        }
        self.at(point)
    }

    fn length(&self) -> u64 {
        match self {
            Self::Equal(endpoints) => wide(*endpoints),
            Self::ByWeight(ends) => ends.last().copied().unwrap_or(0),
        }
    }

    /// Where an endpoint's stretch is; empty for one that does not exist.
    fn stretch(&self, place: usize) -> Range<u64> {
        match self {
            Self::Equal(endpoints) if place < *endpoints => wide(place)..wide(place) + 1,
            Self::Equal(_) => 0..0,
            Self::ByWeight(ends) => {
                let end = ends.get(place).copied().unwrap_or(0);
                let before = place.checked_sub(1).and_then(|before| ends.get(before));
                before.copied().unwrap_or(0).min(end)..end
            }
        }
    }

    fn at(&self, point: u64) -> Option<usize> {
        match self {
            Self::Equal(_) => usize::try_from(point).ok(),
            Self::ByWeight(ends) => Some(ends.partition_point(|end| *end <= point)),
        }
    }
}

/// Every count of things in memory fits.
fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

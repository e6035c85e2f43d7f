//! How the share of a canary grows: not at all, or by steps that rise.
//!
//! Owns what a course says about the next share, and about the share of a canary that had another
//! course before. When a step is taken is [`crate::rollout::machine`]'s.

use std::time::Duration;

use crate::rollout::split::Share;

/// The shares of a canary if nothing else is said, in percent.
pub const STEPS: [u8; 4] = [5, 25, 50, 100];
/// How long each of them is kept at least.
pub const INTERVAL: Duration = Duration::from_secs(300);

/// How the share grows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Course {
    /// It stays as it is, until somebody promotes or aborts.
    Fixed(Share),
    /// By steps.
    Steps(Steps),
}

/// Shares that rise, each kept for an interval at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steps {
    shares: Box<[Share]>,
    /// Where it begins.
    first: usize,
    /// How long each is kept at least.
    pub(crate) interval: Duration,
}

impl Steps {
    /// Steps that begin with the one at `first`; `None` unless they rise and there is such a one.
    pub fn new(shares: Vec<Share>, first: usize, interval: Duration) -> Option<Self> {
        let rise = shares
            .iter()
            .zip(shares.iter().skip(1))
            .all(|(one, next)| one < next);
        let begins = shares.get(first).is_some_and(|share| *share > Share::NONE);
        (rise && begins).then(|| Self {
            shares: shares.into(),
            first,
            interval,
        })
    }

    pub(crate) fn after(&self, share: Share) -> Option<Share> {
        self.shares.iter().copied().find(|step| *step > share)
    }

    /// The highest step that is not above a share; the first one if all are.
    fn at_or_below(&self, share: Share) -> Option<Share> {
        let mut steps = self.shares.iter().rev().copied();
        steps
            .find(|step| *step <= share)
            .or(self.shares.first().copied())
    }
}

impl Default for Steps {
    fn default() -> Self {
        let shares = STEPS.map(Share::percent).into();
        Self {
            shares,
            first: 0,
            interval: INTERVAL,
        }
    }
}

impl Course {
    /// The share of a canary that nothing is known of.
    pub(crate) fn begin(&self) -> Share {
        match self {
            Self::Fixed(share) => *share,
            Self::Steps(steps) => steps.shares.get(steps.first).copied().unwrap_or_default(),
        }
    }

    /// The share of a canary that had another one under another course.
    pub(crate) fn keep(&self, share: Share) -> Share {
        match self {
            Self::Fixed(share) => *share,
            Self::Steps(steps) => steps.at_or_below(share).unwrap_or_default(),
        }
    }
}

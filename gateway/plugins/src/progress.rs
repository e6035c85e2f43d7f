//! What a pull or a push is doing, for who waits for it.

use crate::digest::Digest;

/// A step of a pull or a push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// A registry is asked what a reference means.
    Asking {
        /// The reference, at the place that is asked.
        place: String,
    },
    /// Memory is waited for: others have it.
    Waiting {
        /// How much is wanted.
        bytes: u64,
        /// How much all pulls have together.
        of: u64,
    },
    /// A layer comes.
    Receiving {
        /// Its digest.
        digest: Digest,
        /// What has come.
        bytes: u64,
        /// What will have come.
        of: u64,
    },
    /// The module is taken out of a layer.
    Unpacking {
        /// The layer.
        digest: Digest,
    },
    /// A blob goes out.
    Sending {
        /// Its digest.
        digest: Digest,
        /// What has gone.
        bytes: u64,
        /// What will have gone.
        of: u64,
    },
    /// A blob is there already.
    Present {
        /// Its digest.
        digest: Digest,
    },
}

/// Is told of every step; must not block.
pub trait Progress: Send + Sync {
    /// A step was made.
    fn on(&self, step: Step);
}

/// Nobody waits.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn on(&self, _: Step) {}
}

//! What one version of a plugin meets, for who decides whether it may stay.
//!
//! Owns one count per worker, which no other worker writes: on the path of a request it costs a load
//! and a store. Whoever reads adds them up.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use tidegate_core::rollout::probation::Counts;

use crate::metrics::add_one;

/// What a version meets on all workers.
#[derive(Debug)]
pub(crate) struct Tally(Box<[Shard]>);

/// What it meets on one of them: on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Shard {
    streams: AtomicU64,
    traps: AtomicU64,
    deadlines: AtomicU64,
}

impl Tally {
    /// For so many workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self((0..workers.max(1)).map(|_| Shard::default()).collect())
    }

    /// The counts of one worker.
    pub(crate) fn shard(&self, worker: usize) -> Option<&Shard> {
        self.0.get(worker)
    }

    /// What all workers have counted by now.
    pub(crate) fn sum(&self) -> Counts {
        let shards = self.0.iter().map(|shard| Counts {
            streams: shard.streams.load(Ordering::Relaxed),
            traps: shard.traps.load(Ordering::Relaxed),
            deadlines: shard.deadlines.load(Ordering::Relaxed),
        });
        shards.fold(Counts::default(), |sum, one| sum.and(&one))
    }
}

impl Shard {
    /// A stream comes to the filter.
    pub(crate) fn stream(&self) {
        add_one(&self.streams);
    }

    /// An instance ended in a trap, or a stream found none because of one.
    pub(crate) fn trap(&self) {
        add_one(&self.traps);
    }

    /// A callback ran out of time, or a stream was turned away because others did.
    pub(crate) fn deadline(&self) {
        add_one(&self.deadlines);
    }
}

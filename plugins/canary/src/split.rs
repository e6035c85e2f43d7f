//! Buckets: which client is in which, and which version has it.
//!
//! A bucket is one of 10,000. Everything here is fixed: it must give the same on every replica, on every
//! host, after every restart and in later releases, or clients change versions.

use xxhash_rust::xxh64::xxh64;

/// How many buckets there are: a hundredth of a percent each.
pub(crate) const BUCKETS: u16 = 10_000;

/// Which version has each bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Split(Box<[u8]>);

impl Split {
    /// The split of versions with these shares, in buckets; the first version has what the others leave,
    /// whatever its own share is. At most 256 versions, whose shares come to 10,000 at most.
    ///
    /// Every version but the first has a part of its own, as long as the others', and fills it from its
    /// beginning. So its share can grow and shrink, and only it and the first version notice. Beyond its
    /// part it fills those of others from their ends.
    pub(crate) fn new(shares: &[u16]) -> Self {
        let later = shares.get(1..).unwrap_or_default();
        let mut versions = vec![0; usize::from(BUCKETS)];
        let count = later.len().max(1);
        let part = |at: usize| {
            let edge = |at: usize| at * usize::from(BUCKETS) / count;
            edge(at)..edge(at + 1)
        };
        let mut beyond = Vec::with_capacity(later.len());
        for (at, (share, version)) in later.iter().zip(1..=u8::MAX).enumerate() {
            let own = versions.get_mut(part(at)).unwrap_or_default();
            beyond.push(take(own.iter_mut(), *share, version));
        }
        for (at, (mut left, version)) in beyond.into_iter().zip(1..=u8::MAX).enumerate() {
            for other in (0..count).rev().filter(|it| *it != at) {
                let others = versions.get_mut(part(other)).unwrap_or_default();
                left = take(others.iter_mut().rev(), left, version);
            }
        }
        Self(versions.into())
    }

    /// The place of the version that has a bucket.
    pub(crate) fn version(&self, bucket: u16) -> usize {
        let version = self.0.get(usize::from(bucket % BUCKETS));
        version.copied().map_or(0, usize::from)
    }
}

/// Gives so many of the buckets that nobody has to a version; returns how many are still wanted.
fn take<'b>(buckets: impl Iterator<Item = &'b mut u8>, mut wanted: u16, version: u8) -> u16 {
    for bucket in buckets.filter(|it| **it == 0) {
        if wanted == 0 {
            break;
        }
        *bucket = version;
        wanted -= 1;
    }
    wanted
}

/// What makes one split's buckets others than another's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Salt(u64);

impl Salt {
    /// The salt of a text.
    pub(crate) fn new(text: &str) -> Self {
        Self(xxh64(text.as_bytes(), 0))
    }

    /// The bucket of a key: XXH64 of it, with XXH64 of the salt as its seed, modulo 10,000.
    pub(crate) fn bucket(self, key: &[u8]) -> u16 {
        below(xxh64(key, self.0))
    }

    /// The bucket of a number that a client was given: moved on by as many as the salt says, so that
    /// each number is one bucket, and another one under another salt.
    pub(crate) fn moved(self, number: u16) -> u16 {
        below(u64::from(number) + self.0 % u64::from(BUCKETS))
    }
}

/// A number below the number of buckets, of one that is spread over all there are.
pub(crate) fn below(number: u64) -> u16 {
    u16::try_from(number % u64::from(BUCKETS)).unwrap_or(0)
}

#[cfg(test)]
mod tests;

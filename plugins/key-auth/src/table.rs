//! Whom a key belongs to, found in a time that tells nothing about the keys there are.
//!
//! What a client sends is hashed first, so that it cannot choose what is compared: near misses of a
//! key have hashes that have nothing in common with it. Which bucket is looked into depends on a
//! number that the host drew at the start, so that not even the hashes of a client's own guesses can
//! be lined up with times. All of a bucket is compared, every hash to its end.

use std::fmt;

use subtle::ConditionallySelectable;

use crate::digest::Digest;

/// The hashes of keys.
pub(crate) struct Table {
    /// What a hash is multiplied with: odd.
    factor: u64,
    /// How many bits of a product are not the number of a bucket.
    shift: u32,
    buckets: Vec<Vec<(Digest, u32)>>,
}

/// Nothing of it is shown: the factor is a secret.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table(..)")
    }
}

/// No key has this index.
const NOBODY: u32 = u32::MAX;

impl Table {
    /// A table of hashes; `random` is nobody else's.
    pub(crate) fn new(random: [u8; 8], digests: impl ExactSizeIterator<Item = Digest>) -> Self {
        // Two to 65,536 buckets: about one hash in each.
        let bits = usize::BITS - digests.len().leading_zeros();
        let bits = bits.clamp(1, 16);
        let mut table = Self {
            factor: u64::from_le_bytes(random) | 1,
            shift: u64::BITS - bits,
            buckets: vec![Vec::new(); 1 << bits],
        };
        for (index, digest) in (0..NOBODY).zip(digests) {
            let bucket = table.bucket(&digest);
            if let Some(bucket) = table.buckets.get_mut(bucket) {
                bucket.push((digest, index));
            }
        }
        table
    }

    /// The index of the hash of a key, in the order that the table was made with.
    pub(crate) fn find(&self, key: &[u8]) -> Option<usize> {
        let digest = Digest::of(key);
        let mut found = NOBODY;
        for (known, index) in self.buckets.get(self.bucket(&digest))? {
            found.conditional_assign(index, known.same(&digest));
        }
        (found != NOBODY).then(|| usize::try_from(found).ok())?
    }

    fn bucket(&self, digest: &Digest) -> usize {
        let product = digest.number().wrapping_mul(self.factor);
        usize::try_from(product >> self.shift).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::Digest;
    use super::Table;

    #[test]
    fn every_key_is_found_where_it_was_and_no_other_is() {
        for count in [1_u32, 2, 3, 1000] {
            for random in [[0; 8], [255; 8], *b"tidegate"] {
                let keys: Vec<String> = (0..count).map(|it| format!("key {it}")).collect();
                let table = Table::new(random, keys.iter().map(|it| Digest::of(it.as_bytes())));
                for (index, key) in keys.iter().enumerate() {
                    assert_eq!(table.find(key.as_bytes()), Some(index));
                }
                assert_eq!(table.find(b"key"), None);
                assert_eq!(table.find(b""), None);
            }
        }
    }
}

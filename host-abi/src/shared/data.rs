//! The data of one space: a bounded map with versions.
//!
//! Owns eviction. Reading counts as use.
//!
//! Invariant: `by_use` has one entry for each of `entries`, under its last use.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::ENTRY_COST;

/// Somebody else changed the value first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value was changed meanwhile")]
pub struct CasMismatch;

#[derive(Debug)]
pub(super) struct Data {
    entries: HashMap<Bytes, Entry>,
    by_use: BTreeMap<u64, Bytes>,
    clock: u64,
    bytes: usize,
    limit: usize,
}

#[derive(Debug)]
struct Entry {
    value: Bytes,
    version: u32,
    used: u64,
}

impl Data {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            by_use: BTreeMap::new(),
            clock: 0,
            bytes: 0,
            limit,
        }
    }

    pub(super) fn get(&mut self, key: &[u8]) -> Option<(Bytes, u32)> {
        let entry = self.entries.get_mut(key)?;
        self.clock += 1;
        if let Some(key) = self.by_use.remove(&entry.used) {
            self.by_use.insert(self.clock, key);
        }
        entry.used = self.clock;
        Some((entry.value.clone(), entry.version))
    }

    pub(super) fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        expected: u32,
        new_version: impl FnOnce() -> u32,
    ) -> Result<(), CasMismatch> {
        if let Some(entry) = self.entries.get(key)
            && expected != 0
            && expected != entry.version
        {
            return Err(CasMismatch);
        }
        let key = self
            .remove(key)
            .unwrap_or_else(|| Bytes::copy_from_slice(key));
        let cost = cost(&key, value);
        if cost > self.limit {
            return Ok(());
        }
        while self.bytes > self.limit - cost {
            let Some((_, oldest)) = self.by_use.first_key_value() else {
                break;
            };
            let oldest = oldest.clone();
            self.remove(&oldest);
        }
        self.clock += 1;
        self.bytes += cost;
        self.by_use.insert(self.clock, key.clone());
        let value = Bytes::copy_from_slice(value);
        self.entries.insert(
            key,
            Entry {
                value,
                version: new_version(),
                used: self.clock,
            },
        );
        Ok(())
    }

    /// Takes an entry out and returns its key for reuse.
    fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.by_use.remove(&entry.used);
        self.bytes -= cost(&key, &entry.value);
        Some(key)
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    key.len() + value.len() + ENTRY_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_compared_only_with_one_that_is_there() {
        let mut data = Data::new(1000);
        assert_eq!(
            data.set(b"k", b"1", u32::MAX, || 7),
            Ok(()),
            "nothing to compare with"
        );
        assert_eq!(data.set(b"k", b"2", u32::MAX, || 8), Err(CasMismatch));
        assert_eq!(data.get(b"k"), Some((Bytes::from("1"), 7)));
        assert_eq!(data.set(b"k", b"2", 7, || 8), Ok(()));
        assert_eq!(data.set(b"k", b"3", 0, || 9), Ok(()));
        assert_eq!(data.get(b"k"), Some((Bytes::from("3"), 9)));
    }

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut data = Data::new(2 * (ENTRY_COST + 2));
        for key in [b"a", b"b"] {
            data.set(key, b"1", 0, || 1).unwrap();
        }
        assert!(data.get(b"a").is_some(), "used after b");
        data.set(b"c", b"1", 0, || 1).unwrap();
        assert_eq!(data.get(b"b"), None);
        assert!(data.get(b"a").is_some());
        assert_eq!((data.entries.len(), data.by_use.len()), (2, 2));
    }

    #[test]
    fn a_value_larger_than_the_space_replaces_the_old_one_by_nothing() {
        let mut data = Data::new(100);
        data.set(b"a", b"1", 0, || 1).unwrap();
        data.set(b"a", &[0; 200], 0, || 1).unwrap();
        assert_eq!(data.get(b"a"), None);
        assert_eq!(data.bytes, 0);
    }
}

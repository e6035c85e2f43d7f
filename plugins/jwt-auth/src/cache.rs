//! Tokens that were found good.
//!
//! Bounded by memory. A token is found by the end of its signature, which nobody chooses, and compared in
//! full: there is no hash whose collisions would matter. Whether an entry is still good, the caller asks.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::collections::VecDeque;
use std::rc::Rc;

use crate::identity::Identity;

/// What an entry takes beside its parts.
const OVERHEAD: usize = 160;
/// No entry may take more than this share of the memory.
const LARGEST_SHARE: usize = 8;

/// The cache.
#[derive(Debug)]
pub struct Cache {
    budget: usize,
    used: usize,
    entries: BTreeMap<u64, Entry>,
    /// The keys of all entries; who is at the front goes next.
    queue: VecDeque<u64>,
}

#[derive(Debug)]
struct Entry {
    token: Box<[u8]>,
    identity: Rc<Identity>,
    size: usize,
    /// It was asked for since it was last at the front of the queue.
    is_wanted: Cell<bool>,
}

impl Cache {
    /// A cache that takes so many bytes.
    #[must_use]
    pub fn new(budget: usize) -> Self {
        Self {
            budget,
            used: 0,
            entries: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// What is known of a token.
    #[must_use]
    pub fn get(&self, token: &[u8]) -> Option<Rc<Identity>> {
        let entry = self.entries.get(&key(token))?;
        if !is_same(&entry.token, token) {
            return None;
        }
        entry.is_wanted.set(true);
        Some(Rc::clone(&entry.identity))
    }

    /// Remembers a token, in the place of what was known of it. Where there is no room, the oldest ones go
    /// that nobody has asked for since their last turn.
    pub fn put(&mut self, token: &[u8], identity: Rc<Identity>) {
        let size = OVERHEAD + token.len() + identity.size();
        if size > self.budget / LARGEST_SHARE {
            return;
        }
        let key = key(token);
        if let Some(old) = self.entries.remove(&key) {
            self.used = self.used.saturating_sub(old.size);
            self.queue.retain(|it| *it != key);
        }
        while self.used + size > self.budget {
            let Some(first) = self.queue.pop_front() else {
                return;
            };
            match self.entries.get(&first) {
                Some(entry) if entry.is_wanted.replace(false) => self.queue.push_back(first),
                _ => self.forget(first),
            }
        }
        self.used += size;
        self.queue.push_back(key);
        let entry = Entry {
            token: token.into(),
            identity,
            size,
            is_wanted: Cell::new(false),
        };
        self.entries.insert(key, entry);
    }

    fn forget(&mut self, key: u64) {
        if let Some(entry) = self.entries.remove(&key) {
            self.used = self.used.saturating_sub(entry.size);
        }
    }
}

/// Compares eight letters at once, which modules do not do of themselves.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (words, rest) = one.as_chunks::<8>();
    let (other_words, other_rest) = other.as_chunks::<8>();
    let same =
        |(one, other): (&[u8; 8], &[u8; 8])| u64::from_le_bytes(*one) == u64::from_le_bytes(*other);
    one.len() == other.len() && words.iter().zip(other_words).all(same) && rest == other_rest
}

/// The end of a token, which is its signature.
fn key(token: &[u8]) -> u64 {
    let Some(end) = token.last_chunk::<16>() else {
        return 0;
    };
    // The last letter has fewer bits than the others: all sixteen count.
    end.chunks(8).fold(0, |sum: u64, part| {
        let part = part.try_into().map_or(0, u64::from_le_bytes);
        sum.rotate_left(29) ^ part
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claims::Validity;

    fn identity(provider: usize) -> Rc<Identity> {
        Rc::new(Identity {
            provider,
            validity: Validity {
                from: 0.0,
                until: 1.0,
            },
            generation: 0,
            property: vec![0; 100],
            headers: Vec::new(),
        })
    }

    fn token(number: usize) -> Vec<u8> {
        format!("header.payload.{number:0>64}").into_bytes()
    }

    #[test]
    fn a_token_is_found_by_all_of_its_letters() {
        let mut cache = Cache::new(1 << 20);
        cache.put(&token(1), identity(7));
        assert_eq!(cache.get(&token(1)).unwrap().provider, 7);
        assert!(cache.get(&token(2)).is_none());
        let mut other = token(1);
        other[0] = b'x';
        assert!(cache.get(&other).is_none(), "it has the same end");
        cache.put(&other, identity(8));
        assert!(cache.get(&token(1)).is_none());
        assert_eq!(cache.get(&other).unwrap().provider, 8);
    }

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let mut cache = Cache::new(10_000);
        for number in 0..1_000 {
            cache.put(&token(number), identity(number));
            assert!(cache.get(&token(0)).is_some(), "after {number}");
            assert!(cache.used <= 10_000);
        }
        assert_eq!(cache.entries.len(), cache.queue.len());
        assert!(cache.get(&token(998)).is_some());
        assert!(cache.get(&token(1)).is_none());
        let sizes: usize = cache.entries.values().map(|it| it.size).sum();
        assert_eq!(sizes, cache.used);
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_no_memory_keeps_nothing() {
        let mut cache = Cache::new(1_000);
        cache.put(&[b'x'; 900], identity(0));
        assert!(cache.entries.is_empty());
        let mut none = Cache::new(0);
        none.put(&token(1), identity(1));
        assert!(none.get(&token(1)).is_none());
    }
}

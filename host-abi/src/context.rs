//! Contexts: the numbers under which a guest knows its plugins and streams.
//!
//! Owns the table of live contexts of one instance and the effective one. It calls nobody; creation
//! and deletion are announced to the guest by `instance`.
//!
//! Invariant: an id starts at 1 and is given again only after all other numbers: a late answer to
//! an HTTP call must not reach the stream of somebody else under the old number.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

/// The number of a context; 0 is the VM and never handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContextId(u32);

impl ContextId {
    /// The VM itself: what runs before there is a root context.
    pub(crate) const VM: Self = Self(0);

    pub(crate) const fn from_guest(number: u32) -> Self {
        Self(number)
    }

    /// The number as the guest sees it.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for ContextId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A plugin, at this place in the list of plugins.
    Root,
    /// A stream of the plugin at this place.
    Stream,
}

/// A live context as host calls see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) id: ContextId,
    pub(crate) kind: Kind,
    /// The plugin's place in the list of plugins.
    pub(crate) plugin: usize,
}

impl Context {
    /// What is effective while there is no other; it speaks for the first plugin.
    const VM: Self = Self {
        id: ContextId::VM,
        kind: Kind::Root,
        plugin: 0,
    };
}

/// The live contexts of one instance.
///
/// The effective context is one of them, or the VM.
#[derive(Debug)]
pub(crate) struct Contexts {
    live: HashMap<u32, (Kind, usize), BuildHasherDefault<IdHasher>>,
    last: u32,
    effective: Context,
}

impl Contexts {
    pub(crate) fn new() -> Self {
        Self {
            live: HashMap::default(),
            last: 0,
            effective: Context::VM,
        }
    }

    /// Adds a context under a new number.
    pub(crate) fn add(&mut self, kind: Kind, plugin: usize) -> ContextId {
        loop {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if let std::collections::hash_map::Entry::Vacant(slot) = self.live.entry(self.last) {
                slot.insert((kind, plugin));
                return ContextId(self.last);
            }
        }
    }

    pub(crate) fn get(&self, id: ContextId) -> Option<Context> {
        // Mostly the next callback is for the same stream.
        if id == self.effective.id && id != ContextId::VM {
            return Some(self.effective);
        }
        let &(kind, plugin) = self.live.get(&id.0)?;
        Some(Context { id, kind, plugin })
    }

    pub(crate) fn remove(&mut self, id: ContextId) {
        self.live.remove(&id.0);
        if self.effective.id == id {
            self.effective = Context::VM;
        }
    }

    pub(crate) fn count(&self, kind: Kind) -> usize {
        self.live
            .values()
            .filter(|(other, _)| *other == kind)
            .count()
    }

    /// All live contexts of a kind, the oldest first unless numbers wrapped.
    pub(crate) fn ids(&self, kind: Kind) -> Vec<ContextId> {
        let of_kind = self.live.iter().filter(|(_, (other, _))| *other == kind);
        let mut ids: Vec<ContextId> = of_kind.map(|(id, _)| ContextId(*id)).collect();
        ids.sort_unstable();
        ids
    }

    /// The context that host calls act on now.
    pub(crate) const fn effective(&self) -> Context {
        self.effective
    }

    pub(crate) const fn set_effective(&mut self, context: Context) {
        self.effective = context;
    }

    /// The same for the context of a callback, which mostly is the effective one already. A copy that
    /// was just written field by field takes longer to read as a whole than all else of an entry.
    pub(crate) fn keep_effective(&mut self, context: &Context) {
        if self.effective.id != context.id || self.effective.plugin != context.plugin {
            self.effective = *context;
        }
    }
}

/// Spreads consecutive numbers; the ids are ours, so nobody can choose colliding ones.
#[derive(Debug, Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u32(u32::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        /// 2^64 divided by the golden ratio.
        const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(SPREAD);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_count_from_one_and_are_not_given_again_soon() {
        let mut contexts = Contexts::new();
        let first = contexts.add(Kind::Root, 0);
        let second = contexts.add(Kind::Stream, 0);
        contexts.remove(second);
        assert_eq!(first.get(), 1);
        assert_eq!(contexts.add(Kind::Stream, 0).get(), 3);
        assert_eq!(contexts.get(second), None);
    }

    #[test]
    fn after_the_last_number_the_free_ones_come_again() {
        let mut contexts = Contexts::new();
        contexts.add(Kind::Root, 0);
        contexts.last = u32::MAX - 1;
        assert_eq!(contexts.add(Kind::Stream, 0).get(), u32::MAX);
        assert_eq!(
            contexts.add(Kind::Stream, 0).get(),
            2,
            "1 is alive, 0 is the VM"
        );
    }
}

//! Which rules a value leaves: those that are bound to it, and those that are not bound.

/// What a rule is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
}

/// Rules by the values of one attribute.
#[derive(Debug)]
pub(crate) struct Index {
    /// Rules that any value leaves.
    free: Bits,
    /// Rules by a value, sorted.
    exact: Vec<(Box<[u8]>, Vec<u32>)>,
    /// Rules by a beginning, sorted.
    prefixes: Vec<Prefix>,
}

#[derive(Debug)]
struct Prefix {
    text: Box<[u8]>,
    /// The longest other one that it begins with: it is before this one.
    parent: Option<usize>,
    rules: Vec<u32>,
}

impl Index {
    /// An index of rules by the keys of each, in their order; `None` among them is a rule that is not
    /// bound. `None` if no rule is: there is nothing to look up.
    pub(crate) fn new(keys: impl ExactSizeIterator<Item = Option<Vec<Key>>>) -> Option<Self> {
        let mut free = Bits::none(keys.len());
        let mut pairs: Vec<(Key, u32)> = Vec::new();
        for (at, keys) in keys.enumerate() {
            let Some(keys) = keys else {
                free.set(at);
                continue;
            };
            let rule = u32::try_from(at).ok()?;
            pairs.extend(keys.into_iter().map(|key| (key, rule)));
        }
        if pairs.is_empty() {
            return None;
        }
        pairs.sort();
        pairs.dedup();
        let mut this = Self {
            free,
            exact: Vec::new(),
            prefixes: Vec::new(),
        };
        for (key, rule) in pairs {
            match key {
                Key::Exact(text) => this.add_exact(text, rule),
                Key::Prefix(text) => this.add_prefix(text, rule),
            }
        }
        Some(this)
    }

    fn add_exact(&mut self, text: Box<[u8]>, rule: u32) {
        match self.exact.last_mut() {
            Some((last, rules)) if *last == text => rules.push(rule),
            Some(_) | None => self.exact.push((text, vec![rule])),
        }
    }

    fn add_prefix(&mut self, text: Box<[u8]>, rule: u32) {
        if let Some(last) = self.prefixes.last_mut().filter(|it| it.text == text) {
            last.rules.push(rule);
            return;
        }
        let last = self.prefixes.len().checked_sub(1);
        let parent = self.longest(last, &text);
        self.prefixes.push(Prefix {
            text,
            parent,
            rules: vec![rule],
        });
    }

    /// Whether some of these rules are bound.
    pub(crate) fn binds_any(&self, rules: &Bits) -> bool {
        let mut pairs = rules.words.iter().zip(&self.free.words);
        pairs.any(|(rules, free)| rules & !free != 0)
    }

    /// Writes down the rules that a value leaves; nothing leaves those that are not bound.
    pub(crate) fn look_up(&self, value: Option<&[u8]>, found: &mut Bits) {
        found.words.copy_from_slice(&self.free.words);
        let Some(value) = value else {
            return;
        };
        let exact = self.exact.binary_search_by(|(text, _)| (**text).cmp(value));
        if let Ok(at) = exact
            && let Some((_, rules)) = self.exact.get(at)
        {
            found.set_all(rules);
        }
        let behind = self.prefixes.partition_point(|it| *it.text <= *value);
        let mut at = self.longest(behind.checked_sub(1), value);
        while let Some(prefix) = at.and_then(|at| self.prefixes.get(at)) {
            found.set_all(&prefix.rules);
            at = prefix.parent;
        }
    }

    /// The longest prefix of a value. All of them are `last`, the greatest that is not above it, or among
    /// its parents: between a prefix and the value, in order, is nothing that does not begin with it.
    fn longest(&self, last: Option<usize>, value: &[u8]) -> Option<usize> {
        let mut at = last;
        while let Some(prefix) = at.and_then(|at| self.prefixes.get(at)) {
            if value.starts_with(&prefix.text) {
                return at;
            }
            at = prefix.parent;
        }
        None
    }
}

/// A set of rules, by their numbers.
#[derive(Debug)]
pub(crate) struct Bits {
    words: Box<[u64]>,
}

impl Bits {
    pub(crate) fn none(count: usize) -> Self {
        Self {
            words: vec![0; count.div_ceil(64)].into(),
        }
    }

    pub(crate) fn all(count: usize) -> Self {
        Self {
            words: vec![u64::MAX; count.div_ceil(64)].into(),
        }
    }

    fn set(&mut self, at: usize) {
        if let Some(word) = self.words.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn set_all(&mut self, rules: &[u32]) {
        for rule in rules {
            self.set(usize::try_from(*rule).unwrap_or(usize::MAX));
        }
    }

    /// Keeps those that others have too.
    pub(crate) fn keep(&mut self, others: &Self) {
        for (word, other) in self.words.iter_mut().zip(&others.words) {
            *word &= other;
        }
    }

    /// The numbers, in order. There may be some above the last rule's.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> {
        let words = self.words.iter().enumerate();
        words.flat_map(|(index, word)| {
            let mut word = *word;
            std::iter::from_fn(move || {
                if word == 0 {
                    return None;
                }
                let bit = word.trailing_zeros();
                word &= word - 1;
                Some(index * 64 + usize::try_from(bit).unwrap_or(usize::MAX))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key() -> impl Strategy<Value = Key> {
        let text = proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..5);
        (text, any::<bool>()).prop_map(|(text, is_exact)| match is_exact {
            true => Key::Exact(text.into()),
            false => Key::Prefix(text.into()),
        })
    }

    fn leaves(keys: Option<&Vec<Key>>, value: Option<&[u8]>) -> bool {
        let Some(keys) = keys else {
            return true;
        };
        value.is_some_and(|value| {
            keys.iter().any(|key| match key {
                Key::Exact(text) => **text == *value,
                Key::Prefix(text) => value.starts_with(text),
            })
        })
    }

    proptest! {
        #[test]
        fn a_value_leaves_what_is_bound_to_it_and_what_is_not_bound(
            rules in proptest::collection::vec(
                proptest::option::of(proptest::collection::vec(key(), 0..4)), 0..150),
            value in proptest::option::of(
                proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..6)),
        ) {
            let value = value.as_deref();
            if let Some(index) = Index::new(rules.clone().into_iter()) {
                let mut found = Bits::none(rules.len());
                index.look_up(value, &mut found);
                let found: Vec<usize> = found.ones().collect();
                let expected: Vec<usize> = (0..rules.len())
                    .filter(|at| leaves(rules[*at].as_ref(), value))
                    .collect();
                prop_assert_eq!(found, expected);
            } else {
                prop_assert!(rules.iter().flatten().all(Vec::is_empty));
            }
        }
    }
}

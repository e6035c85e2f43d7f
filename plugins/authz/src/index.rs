//! Which rules a value leaves: those that are bound to it, and those that are not bound.

/// What a rule is bound to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Exact(Box<[u8]>),
    Prefix(Box<[u8]>),
    Suffix(Box<[u8]>),
}

/// Fewer rules than these are asked one by one.
const FEW: usize = 4;

/// Rules by the values of one attribute.
#[derive(Debug)]
pub(crate) struct Index {
    /// Rules that any value leaves.
    free: Bits,
    /// Rules by a value, sorted.
    exact: Vec<(Box<[u8]>, Vec<u32>)>,
    /// Rules by a beginning.
    prefixes: Prefixes,
    /// Rules by an end: values and keys are read backwards.
    suffixes: Prefixes,
}

/// Beginnings of values, sorted.
#[derive(Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Debug)]
struct Prefix {
    text: Box<[u8]>,
    /// The longest other one that it begins with: it is before this one.
    parent: Option<usize>,
    rules: Vec<u32>,
}

impl Index {
    /// An index of rules by the keys of each, in their order; `None` among them is a rule that is not
    /// bound. `None` if so few rules are that asking them costs less.
    pub(crate) fn new(keys: impl ExactSizeIterator<Item = Option<Vec<Key>>>) -> Option<Self> {
        let mut bound = 0;
        let mut free = Bits::none(keys.len());
        let mut pairs: Vec<(Key, u32)> = Vec::new();
        for (at, keys) in keys.enumerate() {
            let Some(keys) = keys else {
                free.set(at);
                continue;
            };
            bound += 1;
            let rule = u32::try_from(at).ok()?;
            pairs.extend(keys.into_iter().map(|key| (key, rule)));
        }
        if bound < FEW {
            return None;
        }
        for (key, _) in &mut pairs {
            if let Key::Suffix(text) = key {
                text.reverse();
            }
        }
        pairs.sort();
        pairs.dedup();
        let mut this = Self {
            free,
            exact: Vec::new(),
            prefixes: Prefixes::default(),
            suffixes: Prefixes::default(),
        };
        for (key, rule) in pairs {
            match key {
                Key::Exact(text) => this.add_exact(text, rule),
                Key::Prefix(text) => this.prefixes.add(text, rule),
                Key::Suffix(text) => this.suffixes.add(text, rule),
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

    /// Whether some of these rules are bound.
    pub(crate) fn binds_any(&self, rules: &Bits) -> bool {
        let mut pairs = rules.words().zip(self.free.words());
        pairs.any(|(rules, free)| rules & !free != 0)
    }

    /// The rules that any value leaves, and none.
    pub(crate) const fn free(&self) -> &Bits {
        &self.free
    }

    /// Adds the rules that are bound to a value.
    pub(crate) fn look_up(&self, value: &[u8], found: &mut Bits) {
        let exact = self.exact.binary_search_by(|(text, _)| (**text).cmp(value));
        if let Ok(at) = exact
            && let Some((_, rules)) = self.exact.get(at)
        {
            found.set_all(rules);
        }
        self.prefixes.look_up(value, found);
        if !self.suffixes.0.is_empty() {
            let backwards: Vec<u8> = value.iter().rev().copied().collect();
            self.suffixes.look_up(&backwards, found);
        }
    }
}

impl Prefixes {
    /// Adds a rule; those come in order.
    fn add(&mut self, text: Box<[u8]>, rule: u32) {
        if let Some(last) = self.0.last_mut().filter(|it| it.text == text) {
            last.rules.push(rule);
            return;
        }
        let last = self.0.len().checked_sub(1);
        let parent = self.longest(last, &text);
        self.0.push(Prefix {
            text,
            parent,
            rules: vec![rule],
        });
    }

    /// Adds the rules that are bound to beginnings of a value.
    fn look_up(&self, value: &[u8], found: &mut Bits) {
        let behind = self.0.partition_point(|it| *it.text <= *value);
        let mut at = self.longest(behind.checked_sub(1), value);
        while let Some(prefix) = at.and_then(|at| self.0.get(at)) {
            found.set_all(&prefix.rules);
            at = prefix.parent;
        }
    }

    /// The longest prefix of a value. All of them are `last`, the greatest that is not above it, or among
    /// its parents: between a prefix and the value, in order, is nothing that does not begin with it.
    fn longest(&self, last: Option<usize>, value: &[u8]) -> Option<usize> {
        let mut at = last;
        while let Some(prefix) = at.and_then(|at| self.0.get(at)) {
            if value.starts_with(&prefix.text) {
                return at;
            }
            at = prefix.parent;
        }
        None
    }
}

/// A set of rules, by their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Bits {
    /// The first of them, which are all of most plugins.
    first: [u64; FIRST],
    others: Vec<u64>,
}

const FIRST: usize = 4;

impl Bits {
    fn none(count: usize) -> Self {
        let others = count.div_ceil(64).saturating_sub(FIRST);
        Self {
            first: [0; FIRST],
            others: vec![0; others],
        }
    }

    pub(crate) fn all(count: usize) -> Self {
        let mut this = Self::none(count);
        let mut left = count;
        for word in this.first.iter_mut().chain(&mut this.others) {
            *word = match left {
                64.. => u64::MAX,
                _ => (1 << left) - 1,
            };
            left = left.saturating_sub(64);
        }
        this
    }

    fn words(&self) -> impl Iterator<Item = &u64> {
        self.first.iter().chain(&self.others)
    }

    fn set(&mut self, at: usize) {
        let word = match self.first.get_mut(at / 64) {
            Some(word) => Some(word),
            None => self.others.get_mut(at / 64 - FIRST),
        };
        if let Some(word) = word {
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
        let words = self.first.iter_mut().chain(&mut self.others);
        for (word, other) in words.zip(others.words()) {
            *word &= other;
        }
    }

    /// The numbers, in order.
    pub(crate) fn ones(&self) -> impl Iterator<Item = usize> {
        self.words().enumerate().flat_map(|(index, word)| {
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
        (text, 0..3).prop_map(|(text, kind)| match kind {
            0 => Key::Exact(text.into()),
            1 => Key::Prefix(text.into()),
            _ => Key::Suffix(text.into()),
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
                Key::Suffix(text) => value.ends_with(text),
            })
        })
    }

    #[test]
    fn all_rules_are_as_many_as_there_are() {
        for count in [0, 1, 63, 64, 65, 255, 256, 257, 320, 1000] {
            assert!(Bits::all(count).ones().eq(0..count), "{count}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_value_leaves_what_is_bound_to_it_and_what_is_not_bound(
            rules in proptest::collection::vec(
                proptest::option::of(proptest::collection::vec(key(), 0..4)), 0..400),
            value in proptest::option::of(
                proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b')], 0..6)),
        ) {
            let value = value.as_deref();
            if let Some(index) = Index::new(rules.clone().into_iter()) {
                let mut found = index.free().clone();
                if let Some(value) = value {
                    index.look_up(value, &mut found);
                }
                let found: Vec<usize> = found.ones().collect();
                let expected: Vec<usize> = (0..rules.len())
                    .filter(|at| leaves(rules[*at].as_ref(), value))
                    .collect();
                prop_assert_eq!(found, expected);
            } else {
                prop_assert!(rules.iter().flatten().count() < FEW);
            }
        }
    }
}

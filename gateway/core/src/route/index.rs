//! From a path to the first rule of one host that has it.
//!
//! Owns the order exact, regular expression, prefix, and the look-ups. A prefix is found by asking
//! for each beginning of the path that ends at a slash, the longest first: the number of questions
//! depends on the path alone, never on how many prefixes there are.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Found;
use super::Rule;
use super::conditions::Conditions;
use super::conditions::View;
use crate::pattern::Pattern;

/// Rules by path. Keys are the operator's and never a peer's, so that a fixed hash is safe.
pub(super) type ByPath = HashMap<Arc<[u8]>, Box<[Candidate]>, FixedState>;

/// The rules of one host pattern.
#[derive(Debug, Default)]
pub(super) struct HostRoutes {
    /// By the whole path.
    pub(super) exact: ByPath,
    /// In order of precedence.
    pub(super) regexes: Box<[(Pattern, Candidate)]>,
    /// By prefix, without slash at its end.
    pub(super) prefixes: Prefixes,
}

/// A rule that has a request if its conditions hold, those on host and path aside.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) rule: Arc<Rule>,
    pub(super) conditions: Option<Arc<Conditions>>,
}

/// Rules by prefix.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    by_path: ByPath,
    /// Those of `/`, which has every path.
    root: Box<[Candidate]>,
    /// How long the longest is.
    longest: usize,
    /// Bit `n` says that there may be a prefix whose length is `n` modulo 64.
    lengths: u64,
}

impl HostRoutes {
    /// The first rule that has a request.
    pub(super) fn find(&self, view: &View<'_>) -> Option<Found<'_>> {
        let otherwise = |rule| Found { rule, prefix: None };
        self.find_exact(view)
            .map(otherwise)
            .or_else(|| self.find_regex(view).map(otherwise))
            .or_else(|| self.prefixes.find(view))
    }

    fn find_exact(&self, view: &View<'_>) -> Option<&Arc<Rule>> {
        if self.exact.is_empty() {
            return None;
        }
        first(self.exact.get(view.path)?, view)
    }

    fn find_regex(&self, view: &View<'_>) -> Option<&Arc<Rule>> {
        let mut last: Option<(&Pattern, bool)> = None;
        self.regexes.iter().find_map(|(pattern, candidate)| {
            if !candidate.holds(view) {
                return None;
            }
            let matches = match last {
                Some((previous, matched)) if previous == pattern => matched,
                _ => pattern.matches(view.path),
            };
            last = Some((pattern, matches));
            matches.then_some(&candidate.rule)
        })
    }
}

impl Candidate {
    fn holds(&self, view: &View<'_>) -> bool {
        self.conditions
            .as_ref()
            .is_none_or(|conditions| conditions.hold(view))
    }
}

impl Prefixes {
    /// Rules by prefix; the empty one is `/`.
    pub(super) fn new(mut by_path: ByPath) -> Self {
        let root = by_path.remove(&b""[..]).unwrap_or_default();
        let longest = by_path.keys().map(|prefix| prefix.len()).max().unwrap_or(0);
        let lengths = by_path
            .keys()
            .fold(0, |bits, prefix| bits | length_bit(prefix.len()));
        Self {
            by_path,
            root,
            longest,
            lengths,
        }
    }

    fn find(&self, view: &View<'_>) -> Option<Found<'_>> {
        let mut rest = self.longest_beginning(view.path);
        while !rest.is_empty() {
            if self.lengths & length_bit(rest.len()) != 0
                && let Some(candidates) = self.by_path.get(rest)
                && let Some(rule) = first(candidates, view)
            {
                let prefix = Some(rest.len());
                return Some(Found { rule, prefix });
            }
            rest = before_last_slash(rest);
        }
        let rule = first(&self.root, view)?;
        let prefix = Some(0);
        Some(Found { rule, prefix })
    }

    /// The longest beginning of a path that could be a prefix: it ends before a slash, or where the
    /// path ends, and no prefix is longer.
    fn longest_beginning<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        match path.get(..=self.longest) {
            Some(longer) => before_last_slash(longer),
            None => path,
        }
    }
}

fn first<'a>(candidates: &'a [Candidate], view: &View<'_>) -> Option<&'a Arc<Rule>> {
    candidates
        .iter()
        .find(|candidate| candidate.holds(view))
        .map(|candidate| &candidate.rule)
}

fn before_last_slash(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..slash).unwrap_or_default()
}

const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

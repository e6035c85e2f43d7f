//! From a path to the first rule of one host that has it.
//!
//! Owns the order exact, regular expression, prefix, and the look-ups but for `regexes`. A prefix is found by asking
//! for each beginning of the path that ends at a slash, the longest first: the number of questions
//! depends on the path alone, never on how many prefixes there are.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Found;
use super::Rule;
use super::candidates::Candidates;
use super::conditions::View;
use super::regexes::Regexes;

/// Rules by path. Keys are the operator's and never a peer's, so that a fixed hash is safe.
pub(super) type ByPath = HashMap<Arc<[u8]>, Candidates, FixedState>;

/// The rules of one host pattern.
#[derive(Debug, Default)]
pub(super) struct HostRoutes {
    /// By the whole path.
    pub(super) exact: ByPath,
    /// By regular expression.
    pub(super) regexes: Regexes,
    /// By prefix, without slash at its end.
    pub(super) prefixes: Prefixes,
}

/// Rules by prefix.
#[derive(Debug, Default)]
pub(super) struct Prefixes {
    by_path: ByPath,
    /// Those of `/`, which has every path.
    root: Candidates,
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
            .or_else(|| self.regexes.find(view).map(otherwise))
            .or_else(|| self.prefixes.find(view))
    }

    fn find_exact(&self, view: &View<'_>) -> Option<&Arc<Rule>> {
        if self.exact.is_empty() {
            return None;
        }
        self.exact.get(view.path)?.find(view)
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
                && let Some(rule) = candidates.find(view)
            {
                let prefix = Some(rest.len());
                return Some(Found { rule, prefix });
            }
            rest = before_last_slash(rest);
        }
        let rule = self.root.find(view)?;
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

fn before_last_slash(path: &[u8]) -> &[u8] {
    let slash = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    path.get(..slash).unwrap_or_default()
}

const fn length_bit(length: usize) -> u64 {
    1 << (length % 64)
}

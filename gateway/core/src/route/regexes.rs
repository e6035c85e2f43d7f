//! From a path to the first rule of one host whose regular expression it matches.
//!
//! Owns which patterns are run at all: those whose literal beginning the path has. Patterns that
//! begin alike are run one by one, in order of precedence, each a walk over the path.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;

use super::Rule;
use super::candidates::Candidate;
use super::conditions::View;
use crate::pattern::MAX_BEGINNING_BYTES;
use crate::pattern::Pattern;

/// Rules by regular expression.
#[derive(Debug, Default)]
pub(super) struct Regexes {
    /// In order of precedence.
    list: Box<[(Pattern, Candidate)]>,
    /// Places in the list, ascending, by what the patterns begin with.
    by_beginning: HashMap<Box<[u8]>, Vec<usize>, FixedState>,
    /// Bit `n` says that there is a beginning of `n` bytes.
    lengths: u64,
}

// Each length has its bit.
const _: () = assert!(MAX_BEGINNING_BYTES < 64);

impl Regexes {
    /// Rules by regular expression, given in order of precedence.
    pub(super) fn new(list: Box<[(Pattern, Candidate)]>) -> Self {
        let mut by_beginning: HashMap<Box<[u8]>, Vec<usize>, FixedState> = HashMap::default();
        let mut lengths = 0;
        for (place, (pattern, _)) in list.iter().enumerate() {
            let beginning = pattern.beginning();
            lengths |= 1 << beginning.len();
            by_beginning
                .entry(beginning.into())
                .or_default()
                .push(place);
        }
        for places in by_beginning.values_mut() {
            places.shrink_to_fit();
        }
        Self {
            list,
            by_beginning,
            lengths,
        }
    }

    /// The first rule that has a request.
    pub(super) fn find(&self, view: &View<'_>) -> Option<&Arc<Rule>> {
        let mut best: Option<(usize, &Arc<Rule>)> = None;
        let mut lengths = self.lengths;
        // From the longest beginning to the shortest, as long patterns are likely to have one.
        while let Some(length) = lengths.checked_ilog2() {
            lengths &= !(1 << length);
            let beginning = usize::try_from(length)
                .ok()
                .and_then(|it| view.path.get(..it));
            if let Some(places) = beginning.and_then(|bytes| self.by_beginning.get(bytes)) {
                let limit = best.map_or(self.list.len(), |(place, _)| place);
                best = self.first_of(places, limit, view).or(best);
            }
        }
        best.map(|(_, rule)| rule)
    }

    /// The first of these that has a request, if it comes before `limit`.
    fn first_of(
        &self,
        places: &[usize],
        limit: usize,
        view: &View<'_>,
    ) -> Option<(usize, &Arc<Rule>)> {
        // Rules with the same pattern often follow each other.
        let mut last: Option<(&Pattern, bool)> = None;
        let earlier = places.iter().take_while(|place| **place < limit);
        for place in earlier {
            let (pattern, candidate) = self.list.get(*place)?;
            if !candidate.holds(view) {
                continue;
            }
            let matches = match last {
                Some((previous, matched)) if previous == pattern => matched,
                _ => pattern.matches(view.path),
            };
            if matches {
                return Some((*place, &candidate.rule));
            }
            last = Some((pattern, matches));
        }
        None
    }
}

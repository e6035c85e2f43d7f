//! The rules of one path, of which the first whose conditions hold has the request.
//!
//! Owns the shortcut for paths with many rules, such as one a tenant: rules that ask for an exact
//! value of a field are found by that value, and only the others are looked at one by one.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use http::HeaderName;

use super::Rule;
use super::conditions::Conditions;
use super::conditions::View;

/// So few rules are looked at faster than they are looked up.
const FEW: usize = 8;

/// A rule that has a request if its conditions hold, those on host and path aside.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) rule: Arc<Rule>,
    pub(super) conditions: Option<Arc<Conditions>>,
}

/// Rules of one path.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    /// In order of precedence.
    list: Box<[Candidate]>,
    by_field: Option<Box<ByField>>,
}

/// Places in the list, ascending, by what the rules there ask for.
#[derive(Debug)]
struct ByField {
    fields: Vec<(HeaderName, Values)>,
    others: Vec<usize>,
}

/// Keys are the operator's and never a peer's, so that a fixed hash is safe.
type Values = HashMap<Box<[u8]>, Vec<usize>, FixedState>;

impl Candidate {
    /// Whether its conditions hold.
    pub(super) fn holds(&self, view: &View<'_>) -> bool {
        self.conditions
            .as_ref()
            .is_none_or(|conditions| conditions.hold(view))
    }
}

impl Candidates {
    /// Rules of one path, given in order of precedence.
    pub(super) fn new(list: Box<[Candidate]>) -> Self {
        let by_field = (list.len() > FEW).then(|| Box::new(ByField::new(&list)));
        Self { list, by_field }
    }

    /// The first rule that has a request.
    pub(super) fn find(&self, view: &View<'_>) -> Option<&Arc<Rule>> {
        let Some(index) = &self.by_field else {
            let first = self.list.iter().find(|candidate| candidate.holds(view));
            return first.map(|candidate| &candidate.rule);
        };
        let mut best = None;
        for (name, values) in &index.fields {
            if let Some(value) = view.field(name)
                && let Some(places) = values.get(&*value)
            {
                best = self.first_of(places, best, view);
            }
        }
        best = self.first_of(&index.others, best, view);
        best.and_then(|place| self.list.get(place))
            .map(|candidate| &candidate.rule)
    }

    /// The first of these places that has a request, or the best so far if that comes before.
    fn first_of(&self, places: &[usize], best: Option<usize>, view: &View<'_>) -> Option<usize> {
        let better = places
            .iter()
            .take_while(|place| best.is_none_or(|best| **place < best))
            .find(|place| self.list.get(**place).is_some_and(|it| it.holds(view)));
        better.copied().or(best)
    }
}

impl ByField {
    fn new(list: &[Candidate]) -> Self {
        let mut asked: HashMap<(&HeaderName, &str), usize> = HashMap::new();
        for field in list.iter().flat_map(exact_fields) {
            *asked.entry(field).or_default() += 1;
        }
        let mut fields: HashMap<HeaderName, Values> = HashMap::new();
        let mut others = Vec::new();
        for (place, candidate) in list.iter().enumerate() {
            // By what tells it best from the others.
            let rarest = exact_fields(candidate).min_by_key(|field| asked.get(field));
            match rarest {
                Some((name, value)) => fields
                    .entry(name.clone())
                    .or_default()
                    .entry(value.as_bytes().into())
                    .or_default()
                    .push(place),
                None => others.push(place),
            }
        }
        Self {
            fields: fields.into_iter().collect(),
            others,
        }
    }
}

fn exact_fields(candidate: &Candidate) -> impl Iterator<Item = (&HeaderName, &str)> {
    let conditions = candidate.conditions.iter();
    conditions.flat_map(|conditions| conditions.exact_fields())
}

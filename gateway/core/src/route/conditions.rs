//! What a request must be beside its host and path.
//!
//! Owns method, header and query matches, and the view of a request that they look at: its query
//! is taken apart once, and only if some match asks for it.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Reverse;

use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::header::HOST;

use super::ValueMatch;
use crate::message::RequestHead;

/// Method, header and query matches of one [`super::RequestMatch`]; all of them must hold.
#[derive(Debug)]
pub(super) struct Conditions {
    method: Option<Method>,
    headers: Box<[(HeaderName, ValueMatch)]>,
    query: Box<[(Box<str>, ValueMatch)]>,
}

/// What decides between conditions that both hold; the smallest one wins.
pub(super) type Rank = (Reverse<bool>, Reverse<usize>, Reverse<usize>);

/// A request as matches see it.
#[derive(Debug)]
pub(super) struct View<'r> {
    request: &'r RequestHead,
    /// The path without query.
    pub(super) path: &'r [u8],
    query: OnceCell<Vec<Parameter<'r>>>,
}

type Parameter<'r> = (Cow<'r, str>, Cow<'r, str>);

impl Conditions {
    /// The conditions, or `None` if every request fulfils them.
    pub(super) fn new(
        method: Option<Method>,
        headers: Vec<(HeaderName, ValueMatch)>,
        query: Vec<(Box<str>, ValueMatch)>,
    ) -> Option<Self> {
        let conditions = Self {
            method,
            headers: first_of_each(headers),
            query: first_of_each(query),
        };
        (conditions.rank() != Self::rank_of(None)).then_some(conditions)
    }

    /// The rank of conditions that may be none.
    pub(super) fn rank_of(conditions: Option<&Self>) -> Rank {
        conditions.map_or((Reverse(false), Reverse(0), Reverse(0)), Self::rank)
    }

    /// Whether a request fulfils all of them.
    pub(super) fn hold(&self, view: &View<'_>) -> bool {
        self.method
            .as_ref()
            .is_none_or(|method| *method == view.request.method)
            && self
                .headers
                .iter()
                .all(|(name, value)| view.has_field(name, value))
            && self
                .query
                .iter()
                .all(|(name, value)| view.has_parameter(name, value))
    }

    /// The fields that must have exactly these values.
    pub(super) fn exact_fields(&self) -> impl Iterator<Item = (&HeaderName, &str)> {
        self.headers.iter().filter_map(|(name, value)| match value {
            ValueMatch::Exact(text) => Some((name, &**text)),
            ValueMatch::Regex(_) => None,
        })
    }

    fn rank(&self) -> Rank {
        (
            Reverse(self.method.is_some()),
            Reverse(self.headers.len()),
            Reverse(self.query.len()),
        )
    }
}

fn first_of_each<N: PartialEq>(matches: Vec<(N, ValueMatch)>) -> Box<[(N, ValueMatch)]> {
    let mut kept: Vec<(N, ValueMatch)> = Vec::with_capacity(matches.len());
    for one in matches {
        if kept.iter().all(|(name, _)| *name != one.0) {
            kept.push(one);
        }
    }
    kept.into_boxed_slice()
}

impl<'r> View<'r> {
    /// A view of this request.
    pub(super) fn new(request: &'r RequestHead) -> Self {
        let target = request.path.as_bytes();
        let query_at = target.iter().position(|byte| *byte == b'?');
        Self {
            request,
            path: query_at.and_then(|at| target.get(..at)).unwrap_or(target),
            query: OnceCell::new(),
        }
    }

    /// The value of a field, several lines joined with commas (RFC 9110 §5.2). The host is the
    /// authority.
    pub(super) fn field(&self, name: &HeaderName) -> Option<Cow<'r, [u8]>> {
        if *name == HOST {
            return Some(Cow::Borrowed(self.request.authority.as_bytes()));
        }
        let mut lines = self.request.headers.get_all(name).iter();
        let first = lines.next()?;
        let Some(second) = lines.next() else {
            return Some(Cow::Borrowed(first.as_bytes()));
        };
        let lines = [first, second].into_iter().chain(lines);
        let lines: Vec<&[u8]> = lines.map(HeaderValue::as_bytes).collect();
        Some(Cow::Owned(lines.join(&b',')))
    }

    fn has_field(&self, name: &HeaderName, expected: &ValueMatch) -> bool {
        self.field(name)
            .is_some_and(|value| expected.matches(&value))
    }

    fn has_parameter(&self, name: &str, expected: &ValueMatch) -> bool {
        let parameters = self.query.get_or_init(|| self.parse_query());
        parameters
            .binary_search_by(|(one, _)| (**one).cmp(name))
            .ok()
            .and_then(|place| parameters.get(place))
            .is_some_and(|(_, value)| expected.matches(value.as_bytes()))
    }

    /// The parameters by name, the first of each.
    fn parse_query(&self) -> Vec<Parameter<'r>> {
        let target = self.request.path.as_bytes();
        let query = target.get(self.path.len() + 1..).unwrap_or_default();
        let mut parameters: Vec<_> = form_urlencoded::parse(query).collect();
        // Sorted and not hashed: names are the client's, and could be chosen to collide.
        parameters.sort_by(|(one, _), (other, _)| one.cmp(other));
        parameters.dedup_by(|later, first| later.0 == first.0);
        parameters
    }
}

impl ValueMatch {
    /// Whether a value is what it must be.
    pub fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => text.as_bytes() == value,
            Self::Regex(pattern) => pattern.matches(value),
        }
    }
}

//! The rules of all policies of one kind, and which of them can match a request at all.
//!
//! Every rule that is bound to certain paths, methods, hosts or principals is found by these; what is
//! left is asked one by one, in the order of names, as Envoy does. So a hundred rules cost little more
//! than the few that are about the request's path.

use crate::attributes::Attributes;
use crate::index::Bits;
use crate::index::Index;
use crate::index::Key;
use crate::path::Common;
use crate::path::PathPattern;
use crate::rule::Check;
use crate::rule::Host;
use crate::rule::Rule;
use crate::rule::Test;
use crate::text::Text;

/// Rules, one of which is enough.
#[derive(Debug)]
pub(crate) struct Set {
    /// By their ids.
    rules: Vec<Rule>,
    /// For each dimension: which rules its values leave.
    dimensions: Vec<(Dimension, Index)>,
}

/// An attribute that rules are found by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dimension {
    Path,
    Method,
    Host,
    Principal,
}

const DIMENSIONS: [Dimension; 4] = [
    Dimension::Path,
    Dimension::Method,
    Dimension::Host,
    Dimension::Principal,
];

impl Set {
    pub(crate) fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let dimensions = DIMENSIONS.iter().filter_map(|dimension| {
            let keys = rules.iter().map(|rule| dimension.keys(rule));
            Some((*dimension, Index::new(keys)?))
        });
        Self {
            dimensions: dimensions.collect(),
            rules,
        }
    }

    /// The first rule, by name, that describes a request.
    pub(crate) fn first_match(&self, of: &Attributes<'_>) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let mut left = Bits::all(self.rules.len());
        let mut found = Bits::none(self.rules.len());
        for (dimension, index) in &self.dimensions {
            if !index.binds_any(&left) {
                continue;
            }
            index.look_up(dimension.value(of), &mut found);
            left.keep(&found);
        }
        left.ones()
            .filter_map(|at| self.rules.get(at))
            .find(|rule| rule.matches(of))
    }
}

impl Dimension {
    /// What a request has.
    fn value<'a>(self, of: &'a Attributes<'_>) -> Option<&'a [u8]> {
        match self {
            Self::Path => Some(of.path()),
            Self::Method => Some(of.method()),
            Self::Host => Some(of.authority().host()),
            Self::Principal => of.principal().map(|it| it.as_bytes()),
        }
    }

    /// The values that a rule is bound to: it matches no request with another. `None` if it is not
    /// bound, or to what cannot be looked up.
    fn keys(self, rule: &Rule) -> Option<Vec<Key>> {
        if let Some(keys) = rule.when.iter().find_map(|check| self.keys_of(check)) {
            return Some(keys);
        }
        let alternatives = match self {
            Self::Path | Self::Method | Self::Host => &rule.to,
            Self::Principal => &rule.from,
        };
        if alternatives.is_empty() {
            return None;
        }
        let mut all = Vec::new();
        for checks in alternatives {
            all.extend(checks.iter().find_map(|check| self.keys_of(check))?);
        }
        Some(all)
    }

    fn keys_of(self, check: &Check) -> Option<Vec<Key>> {
        if check.is_not {
            return None;
        }
        match (self, &check.test) {
            (Self::Path, Test::Path(patterns)) => patterns.iter().map(key_of_path).collect(),
            (Self::Method, Test::Method(texts)) | (Self::Principal, Test::Principal(texts)) => {
                texts.iter().map(key_of_text).collect()
            }
            (Self::Host, Test::Host(hosts)) => hosts.iter().map(key_of_host).collect(),
            _ => None,
        }
    }
}

fn key_of_text(text: &Text) -> Option<Key> {
    match text {
        Text::Exact(text) => Some(Key::Exact(text.as_bytes().into())),
        Text::Prefix(text) => Some(Key::Prefix(text.as_bytes().into())),
        Text::Suffix(_) | Text::Any => None,
    }
}

fn key_of_path(pattern: &PathPattern) -> Option<Key> {
    match pattern.common() {
        Common::Path(path) => Some(Key::Exact(path.as_bytes().into())),
        Common::Beginning(path) => Some(Key::Prefix(path.into_bytes().into())),
        Common::Nothing => None,
    }
}

fn key_of_host(host: &Host) -> Option<Key> {
    // A pattern with a port is compared with more than is looked up.
    if host.has_port {
        return None;
    }
    key_of_text(&host.pattern)
}

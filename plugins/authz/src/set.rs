//! The rules of all policies of one kind, and which of them can match a request at all.
//!
//! Every rule that is bound to certain paths, methods, hosts or principals is found by these; what is
//! left is asked one by one, in the order of names, as Envoy does. So a hundred rules cost little more
//! than the few that are about the request's path.

use crate::attributes::Attributes;
use crate::index::Bits;
use crate::index::Index;
use crate::index::Key;
use crate::path::PathPattern;
use crate::principal::Principal;
use crate::rule::Check;
use crate::rule::Rule;
use crate::test::Header;
use crate::test::HostPattern;
use crate::test::Test;
use crate::text::Glob;
use crate::text::Text;

/// Rules, one of which is enough.
#[derive(Debug)]
pub(crate) struct Set {
    /// By their ids.
    rules: Vec<Rule>,
    /// For each dimension: which rules its values leave.
    dimensions: Vec<(Dimension, Index)>,
}

/// An attribute that rules are found by, those that cost less first.
#[derive(Debug, Clone)]
enum Dimension {
    Path,
    Method,
    Host,
    Principal,
    Namespace,
    Header(Header),
    Claim(Vec<Box<str>>),
}

/// Of headers and of claims, so many are looked up; the rules of others are asked one by one.
const MOST_NAMED: usize = 8;

impl Set {
    pub(crate) fn new(mut rules: Vec<Rule>) -> Self {
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        let dimensions = dimensions(&rules).into_iter().filter_map(|dimension| {
            let keys = rules.iter().map(|rule| dimension.keys(rule));
            let index = Index::new(keys)?;
            Some((dimension, index))
        });
        Self {
            dimensions: dimensions.collect(),
            rules,
        }
    }

    /// The first rule, by name, that describes a request.
    pub(crate) fn first_match(&self, of: &Attributes<'_>) -> Option<&Rule> {
        if self.dimensions.is_empty() {
            return self.rules.iter().find(|rule| rule.matches(of));
        }
        let mut left = Bits::all(self.rules.len());
        for (dimension, index) in &self.dimensions {
            if index.binds_any(&left) {
                let mut found = index.free().clone();
                dimension.each_value(of, |value| index.look_up(value, &mut found));
                left.keep(&found);
            }
        }
        left.ones()
            .filter_map(|at| self.rules.get(at))
            .find(|rule| rule.matches(of))
    }
}

/// Those that the rules say something of.
fn dimensions(rules: &[Rule]) -> Vec<Dimension> {
    let mut headers: Vec<&Header> = Vec::new();
    let mut claims: Vec<&Vec<Box<str>>> = Vec::new();
    for check in rules.iter().flat_map(Rule::checks) {
        match &check.test {
            Test::Header(header, _)
                if headers.len() < MOST_NAMED
                    && headers.iter().all(|it| it.number != header.number) =>
            {
                headers.push(header);
            }
            Test::Claim(path, _) if claims.len() < MOST_NAMED && !claims.contains(&path) => {
                claims.push(path);
            }
            _ => {}
        }
    }
    let mut all = vec![
        Dimension::Path,
        Dimension::Method,
        Dimension::Host,
        Dimension::Principal,
        Dimension::Namespace,
    ];
    all.extend(headers.into_iter().cloned().map(Dimension::Header));
    all.extend(claims.into_iter().cloned().map(Dimension::Claim));
    all
}

impl Dimension {
    /// What a request has.
    fn each_value(&self, of: &Attributes<'_>, mut look: impl FnMut(&[u8])) {
        match self {
            Self::Path => look(of.path()),
            Self::Method => look(of.method()),
            Self::Host => look(of.authority().host()),
            Self::Principal => of
                .principal()
                .into_iter()
                .for_each(|it| look(it.as_bytes())),
            Self::Namespace => {
                let namespace = of.principal().and_then(Principal::namespace);
                namespace.into_iter().for_each(|it| look(it.as_bytes()));
            }
            Self::Header(header) => of.header(header).iter().for_each(|it| look(it)),
            Self::Claim(path) => {
                let claim = of.token().into_iter().flat_map(|it| it.claim(path));
                claim.for_each(|it| look(it.as_bytes()));
            }
        }
    }

    /// The values that a rule is bound to: it matches no request with another. `None` if it is not
    /// bound, or to what cannot be looked up.
    fn keys(&self, rule: &Rule) -> Option<Vec<Key>> {
        if let Some(keys) = rule.when.iter().find_map(|check| self.keys_of(check)) {
            return Some(keys);
        }
        let alternatives = match self {
            Self::Path | Self::Method | Self::Host => &rule.to,
            Self::Principal | Self::Namespace => &rule.from,
            Self::Header(_) | Self::Claim(_) => return None,
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

    fn keys_of(&self, check: &Check) -> Option<Vec<Key>> {
        if check.is_not {
            return None;
        }
        match (self, &check.test) {
            (Self::Path, Test::Path(patterns)) => patterns.iter().map(key_of_path).collect(),
            (Self::Method, Test::Method(texts)) | (Self::Principal, Test::Principal(texts)) => {
                texts.iter().map(key_of_text).collect()
            }
            (Self::Host, Test::Host(hosts)) => hosts.iter().map(key_of_host).collect(),
            (Self::Namespace, Test::Namespace(globs)) => globs.iter().map(key_of_glob).collect(),
            (Self::Header(header), Test::Header(it, texts)) if it.number == header.number => {
                texts.iter().map(key_of_text).collect()
            }
            (Self::Claim(path), Test::Claim(it, texts)) if it == path => {
                texts.iter().map(key_of_text).collect()
            }
            _ => None,
        }
    }
}

fn key_of_text(text: &Text) -> Option<Key> {
    match text {
        Text::Exact(text) => Some(Key::Exact(text.as_bytes().into())),
        Text::Prefix(text) => Some(Key::Prefix(text.as_bytes().into())),
        Text::Suffix(text) => Some(Key::Suffix(text.as_bytes().into())),
        Text::Any => None,
    }
}

fn key_of_path(pattern: &PathPattern) -> Option<Key> {
    match pattern {
        PathPattern::Text(text) => key_of_text(text),
        PathPattern::Template(template) => {
            Some(Key::Prefix(template.beginning().into_bytes().into()))
        }
    }
}

fn key_of_host(host: &HostPattern) -> Option<Key> {
    // A pattern with a port is compared with more than is looked up.
    if host.has_port {
        return None;
    }
    key_of_text(&host.pattern)
}

fn key_of_glob(glob: &Glob) -> Option<Key> {
    glob.exact().map(|it| Key::Exact(it.as_bytes().into()))
}

//! From entries to the index of each host.
//!
//! Owns the order of precedence among matches of one path, and that equal texts are kept once.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::collections::HashMap;
use std::collections::HashSet;
use std::sync::Arc;

use super::PathMatch;
use super::RequestMatch;
use super::Rule;
use super::candidates::Candidate;
use super::candidates::Candidates;
use super::conditions::Conditions;
use super::conditions::Rank;
use super::index::ByPath;
use super::index::HostRoutes;
use super::index::Prefixes;
use super::regexes::Regexes;
use crate::host::HostMap;
use crate::host::HostPattern;
use crate::path;
use crate::pattern::Pattern;

/// Collects matches by host.
#[derive(Debug, Default)]
pub(super) struct Builder {
    hosts: BTreeMap<HostPattern, Drafts>,
    texts: HashSet<Arc<[u8]>>,
    patterns: HashMap<Box<str>, Pattern>,
    /// How many matches were added: the order of the configuration.
    added: usize,
}

/// The matches of one host.
#[derive(Debug, Default)]
struct Drafts {
    exact: HashMap<Arc<[u8]>, Vec<Draft>>,
    regexes: Vec<(Pattern, Draft)>,
    prefixes: HashMap<Arc<[u8]>, Vec<Draft>>,
}

#[derive(Debug, Clone)]
struct Draft {
    candidate: Candidate,
    order: usize,
}

/// A path match whose text is shared.
#[derive(Debug)]
enum Path {
    Exact(Arc<[u8]>),
    Prefix(Arc<[u8]>),
    Regex(Pattern),
}

impl Builder {
    /// Adds one match of a rule, for each of these hosts.
    pub(super) fn add(&mut self, hosts: &[HostPattern], one: RequestMatch, rule: &Arc<Rule>) {
        let RequestMatch {
            path,
            method,
            headers,
            query,
        } = one;
        let path = self.share(path);
        let draft = Draft {
            candidate: Candidate {
                rule: Arc::clone(rule),
                conditions: Conditions::new(method, headers, query).map(Arc::new),
            },
            order: self.added,
        };
        self.added += 1;
        for host in hosts {
            let drafts = self.hosts.entry(host.clone()).or_default();
            drafts.add(&path, draft.clone());
        }
    }

    /// The indices of all hosts.
    pub(super) fn finish(self) -> HostMap<HostRoutes> {
        let mut hosts = HostMap::default();
        for (host, drafts) in self.hosts {
            hosts.insert(host, drafts.finish());
        }
        hosts
    }

    fn share(&mut self, path: PathMatch) -> Path {
        match path {
            PathMatch::Exact(text) => Path::Exact(self.share_text(&normal(&text))),
            PathMatch::Prefix(text) => {
                let prefix = normal(&text);
                Path::Prefix(self.share_text(prefix.strip_suffix(b"/").unwrap_or(&prefix)))
            }
            PathMatch::Regex(pattern) => {
                let known = self.patterns.entry(pattern.as_str().into());
                Path::Regex(known.or_insert(pattern).clone())
            }
        }
    }

    fn share_text(&mut self, text: &[u8]) -> Arc<[u8]> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let shared: Arc<[u8]> = Arc::from(text);
        self.texts.insert(Arc::clone(&shared));
        shared
    }
}

/// A configured path in the form that requests' paths have; one that has no such form never
/// matches anyway.
fn normal(text: &str) -> Vec<u8> {
    path::normalise(text.as_bytes()).map_or_else(|_| text.into(), Into::into)
}

impl Drafts {
    fn add(&mut self, path: &Path, draft: Draft) {
        match path {
            Path::Exact(text) => self.exact.entry(Arc::clone(text)).or_default().push(draft),
            Path::Prefix(text) => {
                let same = self.prefixes.entry(Arc::clone(text)).or_default();
                same.push(draft);
            }
            Path::Regex(pattern) => self.regexes.push((pattern.clone(), draft)),
        }
    }

    fn finish(mut self) -> HostRoutes {
        self.regexes.sort_by_cached_key(|(pattern, draft)| {
            let longest_first = Reverse(pattern.as_str().len());
            (longest_first, draft.rank())
        });
        let regexes = self.regexes.into_iter();
        HostRoutes {
            exact: sorted(self.exact),
            regexes: Regexes::new(
                regexes
                    .map(|(pattern, draft)| (pattern, draft.candidate))
                    .collect(),
            ),
            prefixes: Prefixes::new(sorted(self.prefixes)),
        }
    }
}

impl Draft {
    fn rank(&self) -> (Rank, usize) {
        let conditions = self.candidate.conditions.as_deref();
        (Conditions::rank_of(conditions), self.order)
    }
}

fn sorted(paths: HashMap<Arc<[u8]>, Vec<Draft>>) -> ByPath {
    let in_order = |mut drafts: Vec<Draft>| {
        drafts.sort_by_cached_key(Draft::rank);
        let list = drafts.into_iter().map(|draft| draft.candidate).collect();
        Candidates::new(list)
    };
    paths
        .into_iter()
        .map(|(path, drafts)| (path, in_order(drafts)))
        .collect()
}

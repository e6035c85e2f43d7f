//! The table against the rules read out loud: look at every match, sort those that hold.

use std::cmp::Reverse;

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::proptest;
use proptest::sample::select;

use super::entry;
use super::host;
use crate::host::HostPattern;
use crate::message::RequestHead;
use crate::pattern::Pattern;
use crate::route::Entry;
use crate::route::PathMatch;
use crate::route::RequestMatch;
use crate::route::RouteTable;
use crate::route::RuleId;
use crate::route::ValueMatch;

const HOSTS: &[&str] = &["*", "*.t", "*.a.t", "a.t", "b.t", "a.a.t"];
const NAMES: &[&str] = &["a.t", "b.t", "a.a.t", "b.a.t", "t", "u"];
const METHODS: &[&str] = &["GET", "POST"];
const FIELDS: &[&str] = &["x-a", "x-b"];
const VALUES: &[&str] = &["1", "2"];
/// So few that many matches share one.
const PATHS: &[&str] = &["/", "/a", "/a/", "/a/b", "/ab", "//", "/a//"];
const PATTERNS: &[&str] = &["/.*", "/a.*", "/[ab]/.*", "/(a|b)", "/.*/a"];

/// Precedence among the matches that hold, the smallest first: host, kind of path, its length,
/// method, headers, parameters, place.
type Precedence = (
    (u8, Reverse<usize>),
    u8,
    Reverse<usize>,
    Reverse<bool>,
    Reverse<usize>,
    Reverse<usize>,
    usize,
);

fn naive(entries: &[Entry], name: &str, head: &RequestHead) -> Option<(RuleId, Option<usize>)> {
    let mut all: Vec<(Precedence, RuleId, Option<usize>)> = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        for one in &entry.matches {
            for pattern in &entry.hosts {
                if !pattern.covers(name) || !holds(one, head) {
                    continue;
                }
                let (kind, length, prefix) = path_rank(&one.path);
                let precedence = (
                    host_rank(pattern),
                    kind,
                    Reverse(length),
                    Reverse(one.method.is_some()),
                    Reverse(one.headers.len()),
                    Reverse(one.query.len()),
                    place,
                );
                all.push((precedence, entry.rule.id, prefix));
            }
        }
    }
    all.sort_by_key(|one| one.0);
    all.first().map(|(_, id, prefix)| (*id, *prefix))
}

fn host_rank(pattern: &HostPattern) -> (u8, Reverse<usize>) {
    match pattern {
        HostPattern::Exact(_) => (0, Reverse(0)),
        HostPattern::Wildcard(parent) => (1, Reverse(parent.len())),
        HostPattern::Any => (2, Reverse(0)),
    }
}

fn path_rank(path: &PathMatch) -> (u8, usize, Option<usize>) {
    match path {
        PathMatch::Exact(text) => (0, text.len(), None),
        PathMatch::Regex(pattern) => (1, pattern.as_str().len(), None),
        PathMatch::Prefix(text) => {
            let length = text.strip_suffix('/').unwrap_or(text).len();
            (2, length, Some(length))
        }
    }
}

fn holds(one: &RequestMatch, head: &RequestHead) -> bool {
    let target = head.path.to_str().expect("ASCII");
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let path_holds = match &one.path {
        PathMatch::Exact(text) => **text == *path,
        PathMatch::Regex(pattern) => pattern.matches(path.as_bytes()),
        PathMatch::Prefix(text) => {
            let prefix = text.strip_suffix('/').unwrap_or(text);
            path == prefix || path.starts_with(&format!("{prefix}/"))
        }
    };
    path_holds
        && one
            .method
            .as_ref()
            .is_none_or(|method| *method == head.method)
        && one.headers.iter().all(|(name, value)| {
            let lines = head.headers.get_all(name).iter();
            let lines: Vec<_> = lines.map(|line| line.to_str().expect("ASCII")).collect();
            !lines.is_empty() && value.matches(lines.join(",").as_bytes())
        })
        && one.query.iter().all(|(name, value)| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            let first = pairs.find(|(key, _)| **key == **name);
            first.is_some_and(|(_, text)| value.matches(text.as_bytes()))
        })
}

fn values() -> impl Strategy<Value = ValueMatch> {
    (select(VALUES), any::<bool>()).prop_map(|(text, exact)| match exact {
        true => ValueMatch::Exact(text.into()),
        false => ValueMatch::Regex(Pattern::compile("1.*").expect("a pattern")),
    })
}

fn root() -> impl Strategy<Value = PathMatch> {
    select(&["/"][..]).prop_map(|path| PathMatch::Prefix(path.into()))
}

fn paths() -> impl Strategy<Value = PathMatch> {
    (select(PATHS), select(PATTERNS), 0..3).prop_map(|(path, pattern, kind)| match kind {
        0 => PathMatch::Exact(path.into()),
        1 => PathMatch::Prefix(path.into()),
        _ => PathMatch::Regex(Pattern::compile(pattern).expect("a pattern")),
    })
}

fn matches(paths: impl Strategy<Value = PathMatch>) -> impl Strategy<Value = RequestMatch> {
    let method = proptest::option::of(select(METHODS));
    let headers = vec((select(FIELDS), values()), 0..3);
    let query = vec((select(FIELDS), values()), 0..3);
    (paths, method, headers, query).prop_map(|(path, method, mut headers, mut query)| {
        headers.sort_by_key(|(name, _)| *name);
        headers.dedup_by_key(|(name, _)| *name);
        query.sort_by_key(|(name, _)| *name);
        query.dedup_by_key(|(name, _)| *name);
        RequestMatch {
            path,
            method: method.map(|method| method.parse().expect("a method")),
            headers: headers
                .into_iter()
                .map(|(name, value)| (name.parse().expect("a name"), value))
                .collect(),
            query: query
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        }
    })
}

fn entries(
    hosts: &'static [&'static str],
    matches: impl Strategy<Value = RequestMatch>,
) -> impl Strategy<Value = Vec<Entry>> {
    let one = (vec(select(hosts), 1..3), vec(matches, 1..4));
    vec(one, 0..40).prop_map(|all| {
        let entries = (0..).zip(all).map(|(id, (hosts, matches))| {
            entry(id, hosts.into_iter().map(host).collect(), matches)
        });
        entries.collect()
    })
}

fn requests() -> impl Strategy<Value = RequestHead> {
    let pairs = || vec((select(FIELDS), select(VALUES)), 0..4);
    let path = "(/[ab]?){1,4}";
    (select(METHODS), path, pairs(), pairs()).prop_map(|(method, path, fields, query)| {
        let query: Vec<_> = query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name, HeaderValue::from_static(value));
        }
        let target = format!("{path}?{}", query.join("&"));
        RequestHead {
            method: Method::from_bytes(method.as_bytes()).expect("a method"),
            path: target.parse().expect("a target"),
            headers,
            ..RequestHead::default()
        }
    })
}

#[track_caller]
fn compare(entries: Vec<Entry>, requests: Vec<(&str, RequestHead)>) {
    let table = RouteTable::build(entries.clone());
    for (name, head) in requests {
        let found = table.find(name, &head);
        let found = found.map(|found| (found.rule.id, found.prefix));
        assert_eq!(found, naive(&entries, name, &head), "{name} {head:?}");
    }
}

proptest! {
    #[test]
    fn the_table_finds_what_reading_all_rules_finds(
        entries in entries(HOSTS, matches(paths())),
        requests in vec((select(NAMES), requests()), 1..24),
    ) {
        compare(entries, requests);
    }

    #[test]
    fn a_path_with_many_rules_is_searched_as_if_it_had_few(
        entries in entries(&["*"], matches(root())),
        requests in vec((select(NAMES), requests()), 1..24),
    ) {
        compare(entries, requests);
    }
}

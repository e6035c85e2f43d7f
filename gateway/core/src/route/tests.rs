//! The rules of matching and precedence, one test each.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use std::sync::Arc;

use super::Entry;
use super::PathMatch;
use super::RequestMatch;
use super::RouteTable;
use super::RouteTimeouts;
use super::Rule;
use super::RuleId;
use super::ValueMatch;
use crate::host::HostPattern;
use crate::message::RequestHead;
use crate::pattern::Pattern;
use crate::upgrade::Upgrades;

mod conditions;
mod oracle;

/// One match in short: `exact /a`, `prefix /a`, `regex /a.*`, then any of `GET`, `x-a=1`, `x-a~.*`,
/// `?q=1`, `?q~.*`.
fn matching(text: &str) -> RequestMatch {
    let mut words = text.split(' ');
    let kind = words.next().expect("a kind");
    let path = words.next().expect("a path");
    let mut one = RequestMatch {
        path: match kind {
            "exact" => PathMatch::Exact(path.into()),
            "prefix" => PathMatch::Prefix(path.into()),
            _ => PathMatch::Regex(Pattern::compile(path).expect("a pattern")),
        },
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    for word in words {
        match word.strip_prefix('?') {
            Some(parameter) => {
                let (name, value) = named(parameter).expect("a parameter");
                one.query.push((name.into(), value));
            }
            None => match named(word) {
                Some((name, value)) => one.headers.push((field(name), value)),
                None => one.method = Some(word.parse().expect("a method")),
            },
        }
    }
    one
}

fn named(text: &str) -> Option<(&str, ValueMatch)> {
    if let Some((name, value)) = text.split_once('=') {
        return Some((name, ValueMatch::Exact(value.into())));
    }
    let (name, value) = text.split_once('~')?;
    let pattern = Pattern::compile(value).expect("a pattern");
    Some((name, ValueMatch::Regex(pattern)))
}

fn field(name: &str) -> HeaderName {
    name.parse().expect("a field name")
}

fn host(text: &str) -> HostPattern {
    match text {
        "*" => HostPattern::Any,
        text => HostPattern::parse(text).expect("a host"),
    }
}

fn entry(id: u32, hosts: Vec<HostPattern>, matches: Vec<RequestMatch>) -> Entry {
    let rule = Arc::new(Rule {
        id: RuleId(id),
        name: Arc::from("a"),
        filters: Vec::new(),
        backends: Vec::new(),
        timeouts: RouteTimeouts::default(),
        buffered_body_bytes: None,
        upgrades: Upgrades::default(),
    });
    Entry {
        hosts,
        matches,
        rule,
    }
}

/// A table of rules for all hosts; rule `n` is the `n`th text.
fn table(matches: &[&str]) -> RouteTable {
    let entries = (0..).zip(matches);
    RouteTable::build(
        entries
            .map(|(id, text)| entry(id, vec![HostPattern::Any], vec![matching(text)]))
            .collect(),
    )
}

/// A request in short: method, target, then fields as `name=value`.
fn request(text: &str) -> RequestHead {
    let mut words = text.split(' ');
    let mut head = RequestHead {
        method: words.next().expect("a method").parse().expect("a method"),
        authority: HeaderValue::from_static("a.test"),
        path: words.next().expect("a path").parse().expect("a path"),
        headers: HeaderMap::new(),
        ..RequestHead::default()
    };
    for word in words {
        let (name, value) = word.split_once('=').expect("a field");
        let value = value.parse().expect("a value");
        head.headers.append(field(name), value);
    }
    head
}

#[track_caller]
fn check(table: &RouteTable, wanted: &str, expected: Option<u32>) {
    let found = table.find("a.test", &request(wanted));
    assert_eq!(found.map(|found| found.rule.id.0), expected, "{wanted}");
}

#[track_caller]
fn prefix_of(prefix: &str, path: &str) -> Option<usize> {
    let table = table(&[&format!("prefix {prefix}")]);
    let head = request(&format!("GET {path}"));
    table.find("a.test", &head).and_then(|found| found.prefix)
}

#[test]
fn an_exact_path_comes_before_a_pattern_and_a_pattern_before_a_prefix() {
    let table = table(&[
        "prefix /a/b/c/d",
        "regex /a/.*",
        "exact /a/b",
        "prefix /a/b",
    ]);
    check(&table, "GET /a/b", Some(2));
    check(&table, "GET /a/b/c/d", Some(1));
    check(&table, "GET /a", None);
}

#[test]
fn the_longest_prefix_has_the_request() {
    let table = table(&["prefix /", "prefix /a", "prefix /a/b", "prefix /a/b/c"]);
    check(&table, "GET /a/b/x", Some(2));
    check(&table, "GET /a/b/c", Some(3));
    check(&table, "GET /a/x/c", Some(1));
    check(&table, "GET /x", Some(0));
}

#[test]
fn the_longest_pattern_has_the_request() {
    let table = table(&["regex /.*", "regex /a.*", "regex /ab.*"]);
    check(&table, "GET /abc", Some(2));
    check(&table, "GET /ac", Some(1));
    check(&table, "GET /c", Some(0));
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let table = table(&["prefix /a"]);
    check(&table, "GET /a", Some(0));
    check(&table, "GET /a/", Some(0));
    check(&table, "GET /a/b", Some(0));
    check(&table, "GET /ab", None);
    check(&table, "GET /b/a", None);
}

#[test]
fn a_slash_at_the_end_of_a_prefix_counts_for_nothing() {
    let table = table(&["prefix /a/"]);
    check(&table, "GET /a", Some(0));
    check(&table, "GET /a/b", Some(0));
    check(&table, "GET /ab", None);
}

#[test]
fn a_slash_at_the_end_of_an_exact_path_counts() {
    let table = table(&["exact /a"]);
    check(&table, "GET /a", Some(0));
    check(&table, "GET /a/", None);
}

#[test]
fn a_rule_says_how_much_its_prefix_took() {
    assert_eq!(prefix_of("/", "/a"), Some(0));
    assert_eq!(prefix_of("/a", "/a"), Some(2));
    assert_eq!(prefix_of("/a/", "/a/b?c=/d"), Some(2));
    assert_eq!(prefix_of("/a/b", "/a/b/"), Some(4));
    assert_eq!(prefix_of("/a//", "/a//b"), Some(3));
    let exact = table(&["exact /a", "regex /b"]);
    for path in ["GET /a", "GET /b"] {
        let found = exact.find("a.test", &request(path)).expect("a rule");
        assert_eq!(found.prefix, None, "{path}");
    }
}

#[test]
fn a_path_is_matched_without_its_query() {
    let table = table(&["exact /a", "prefix /b", "regex /c"]);
    check(&table, "GET /a?/b", Some(0));
    check(&table, "GET /b?x", Some(1));
    check(&table, "GET /c?x=1", Some(2));
}

#[test]
fn a_request_for_the_whole_server_meets_the_root_only() {
    check(&table(&["prefix /"]), "OPTIONS *", Some(0));
    check(&table(&["prefix /a"]), "OPTIONS *", None);
}

#[test]
fn paths_of_rules_have_the_form_of_requests() {
    let table = table(&["exact /caf%c3%a9", "prefix /%61/b%2fc"]);
    check(&table, "GET /caf%C3%A9", Some(0));
    check(&table, "GET /a/b%2Fc/d", Some(1));
}

#[test]
fn a_longer_path_comes_before_any_other_match() {
    let table = table(&["prefix /a GET x-a=1 ?q=1", "prefix /a/b"]);
    check(&table, "GET /a/b?q=1 x-a=1", Some(1));
}

#[test]
fn a_shorter_prefix_takes_what_the_conditions_of_a_longer_one_refuse() {
    let table = table(&["exact /a/b POST", "prefix /a/b x-a=1", "prefix /a"]);
    check(&table, "GET /a/b", Some(2));
    check(&table, "POST /a/b", Some(0));
}

#[test]
fn rules_of_a_wider_host_take_what_those_of_a_narrower_one_leave() {
    let entries = [
        ("*", "prefix /"),
        ("*.test", "prefix /a"),
        ("a.test", "prefix /a/b"),
    ];
    let entries = (0..)
        .zip(entries)
        .map(|(id, (pattern, text))| entry(id, vec![host(pattern)], vec![matching(text)]));
    let table = RouteTable::build(entries.collect());
    check(&table, "GET /a/b", Some(2));
    check(&table, "GET /a", Some(1));
    check(&table, "GET /", Some(0));
    let other = table.find("b.test", &request("GET /a/b"));
    assert_eq!(other.map(|found| found.rule.id), Some(RuleId(1)));
}

#[test]
fn a_narrower_host_comes_before_a_better_path() {
    let entries = vec![
        entry(0, vec![HostPattern::Any], vec![matching("exact /a GET")]),
        entry(1, vec![host("a.test")], vec![matching("prefix /")]),
    ];
    check(&RouteTable::build(entries), "GET /a", Some(1));
}

#[test]
fn nothing_has_a_request_without_rules() {
    check(&RouteTable::default(), "GET /", None);
    let no_hosts = entry(0, Vec::new(), vec![matching("prefix /")]);
    let no_matches = entry(1, vec![HostPattern::Any], Vec::new());
    check(
        &RouteTable::build(vec![no_hosts, no_matches]),
        "GET /",
        None,
    );
}

#[test]
fn a_path_of_slashes_is_looked_up_in_no_time() {
    let long = format!("GET {}", "/".repeat(60_000));
    let table = table(&["prefix /a/b", "prefix /"]);
    let head = request(&long);
    let started = std::time::Instant::now();
    for _ in 0..1000 {
        assert!(table.find("a.test", &head).is_some());
    }
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
}

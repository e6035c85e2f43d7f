//! What patterns match and which are refused.

use std::time::Duration;
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::proptest;
use regex_automata::meta;
use regex_automata::util::syntax;

use super::MAX_BEGINNING_BYTES;
use super::MAX_PATTERN_BYTES;
use super::Machine;
use super::Pattern;
use super::PatternError;

#[track_caller]
fn check(pattern: &str, value: &str, expected: bool) {
    let compiled = Pattern::compile(pattern).expect("a good pattern");
    assert_eq!(
        compiled.matches(value.as_bytes()),
        expected,
        "{pattern} / {value}"
    );
}

#[track_caller]
fn refused(pattern: &str) -> PatternError {
    let started = Instant::now();
    let refusal = Pattern::compile(pattern).expect_err(pattern);
    assert!(started.elapsed() < Duration::from_secs(5), "{pattern}");
    refusal
}

#[test]
fn the_whole_value_must_match() {
    check("/a[0-9]+", "/a12", true);
    check("/a[0-9]+", "/a12/x", false);
    check("/a[0-9]+", "x/a12", false);
    check("a|ab", "ab", true);
    check("^/a$", "/a", true);
}

#[test]
fn case_counts_unless_the_pattern_says_otherwise() {
    check("/a", "/A", false);
    check("(?i)/a", "/A", true);
}

#[test]
fn an_alternative_cannot_break_out_of_the_whole_match() {
    check("a|b", "ax", false);
    check("a|b", "xb", false);
    check("(?x) a # b", "a", true);
    assert!(matches!(refused("a)|(b"), PatternError::Syntax { .. }));
}

#[test]
fn bytes_that_are_no_text_match_a_dot() {
    let pattern = Pattern::compile("a.b").expect("a good pattern");
    assert!(pattern.matches(b"a\xffb"));
}

#[test]
fn what_is_no_regular_expression_is_refused_with_the_place() {
    let unclosed = refused("/ä/(b");
    assert_eq!(
        unclosed.to_string(),
        "unclosed group, at character 4 of the pattern"
    );
    assert!(refused("(?=a)b").to_string().contains("look-ahead"));
    assert!(refused(r"(a)\1").to_string().contains("backreferences"));
}

#[test]
fn patterns_that_explode_are_refused_quickly() {
    for pattern in [
        "(a{1000}){1000}",
        "((a{100}){100}){100}",
        r"(\w{500}){500}",
        "(?:.{9999}){9999}",
    ] {
        assert_eq!(refused(pattern), PatternError::TooLarge, "{pattern}");
    }
    let long = "a".repeat(MAX_PATTERN_BYTES + 1);
    assert_eq!(refused(&long), PatternError::TooLong(MAX_PATTERN_BYTES + 1));
    let nested = "(".repeat(400) + &")".repeat(400);
    assert!(matches!(refused(&nested), PatternError::Syntax { .. }));
}

#[test]
fn repeating_nothing_often_takes_no_time() {
    let started = Instant::now();
    let outcome = Pattern::compile("(?:){4000000000}");
    assert!(outcome.is_ok() || outcome == Err(PatternError::TooLarge));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_pattern_with_a_large_table_still_matches_in_linear_time() {
    let pattern = Pattern::compile("(.*a.{12}b.*)*").expect("a good pattern");
    assert!(matches!(pattern.0.machine, Machine::Engine(_)));
    assert!(pattern.matches(b"xxa123456789012bxx"));
    assert!(!pattern.matches(&[b'a'; 8000]));
}

#[test]
fn ordinary_patterns_are_small_tables() {
    for text in [
        "/v[0-9]+/users/[^/]+",
        "/(de|en)/shop/.*",
        r"/item-\d{1,6}\.html",
        ".*",
    ] {
        let pattern = Pattern::compile(text).expect("a good pattern");
        assert!(matches!(pattern.0.machine, Machine::Table(_)), "{text}");
        assert!(
            pattern.memory_bytes() < 8 * 1024,
            "{text}: {}",
            pattern.memory_bytes()
        );
    }
}

#[test]
fn every_match_begins_with_the_beginning() {
    let long = "/".repeat(100);
    let cut = "/".repeat(MAX_BEGINNING_BYTES);
    for (pattern, expected) in [
        ("/a/b", "/a/b"),
        ("^/a/[0-9]+/b", "/a/"),
        ("(/a)(/b(/c.*))d", "/a/b/c"),
        ("/a|/b", ""),
        ("/a?b", "/"),
        ("(?i)/a", "/"),
        (".*a", ""),
        ("", ""),
        ("a^b", "a"),
        ("^^a$", "a"),
        (&long, &cut),
    ] {
        let compiled = Pattern::compile(pattern).expect("a good pattern");
        assert_eq!(compiled.beginning(), expected.as_bytes(), "{pattern}");
    }
}

/// The library alone, told to match from start to end.
fn reference(pattern: &str) -> Option<meta::Regex> {
    let syntax = syntax::Config::new().unicode(false).utf8(false);
    meta::Builder::new()
        .configure(meta::Config::new().utf8_empty(false))
        .syntax(syntax)
        .build(&format!(r"\A(?:{pattern})\z"))
        .ok()
}

proptest! {
    #[test]
    fn cutting_the_beginning_off_changes_nothing(
        pattern in r"(a|b|/|\.|\^|\$|\\b|\\B|\(a|\(b\|a|\)|\*|\+|\?|\||\[ab\]|\{2\}){0,9}",
        values in vec("[ab/]{0,5}", 1..12),
    ) {
        if let (Ok(ours), Some(reference)) = (Pattern::compile(&pattern), reference(&pattern)) {
            for value in values {
                let expected = reference.is_match(value.as_bytes());
                assert_eq!(ours.matches(value.as_bytes()), expected, "{pattern} / {value}");
                assert!(!expected || value.as_bytes().starts_with(ours.beginning()));
            }
        }
    }
}

//! What host patterns cover, refuse and have in common.

use super::HostError;
use super::HostMap;
use super::HostPattern;

fn pattern(text: &str) -> HostPattern {
    match text {
        "*" => HostPattern::Any,
        text => HostPattern::parse(text).expect("a host pattern"),
    }
}

#[track_caller]
fn covers(claim: &str, host: &str, expected: bool) {
    assert_eq!(pattern(claim).covers(host), expected, "{claim} / {host}");
    let mut map = HostMap::default();
    map.insert(pattern(claim), ());
    let found = map.claims(host).next().is_some();
    assert_eq!(found, expected, "in a map: {claim} / {host}");
}

#[track_caller]
fn intersects(one: &str, two: &str, expected: Option<&str>) {
    let common = |a: &str, b: &str| pattern(a).intersect(&pattern(b)).map(|it| it.to_string());
    assert_eq!(common(one, two).as_deref(), expected, "{one} and {two}");
    assert_eq!(common(two, one).as_deref(), expected, "{two} and {one}");
}

#[test]
fn a_wildcard_covers_any_number_of_labels() {
    covers("*.shop.test", "a.shop.test", true);
    covers("*.shop.test", "a.b.c.shop.test", true);
}

#[test]
fn a_wildcard_covers_neither_its_parent_nor_a_lookalike() {
    covers("*.shop.test", "shop.test", false);
    covers("*.shop.test", ".shop.test", false);
    covers("*.shop.test", "workshop.test", false);
    covers("*.shop.test", "a.shop.test.evil.test", false);
}

#[test]
fn an_exact_host_covers_itself_only() {
    covers("shop.test", "shop.test", true);
    covers("shop.test", "a.shop.test", false);
    covers("shop.test", "shop.tes", false);
}

#[test]
fn every_host_includes_addresses_and_none() {
    covers("*", "127.0.0.1", true);
    covers("*", "[::1]", true);
    covers("*", "", true);
    covers("*", &"a.".repeat(1000), true);
}

#[test]
fn a_host_that_is_too_long_for_a_name_has_no_wildcard() {
    let mut map = HostMap::default();
    map.insert(pattern("*.test"), ());
    assert_eq!(map.claims(&format!("{}test", "a.".repeat(200))).count(), 0);
}

#[test]
fn the_most_specific_claim_comes_first() {
    let mut map = HostMap::default();
    for claim in ["*", "*.test", "*.shop.test", "a.shop.test"] {
        map.insert(pattern(claim), claim);
    }
    let claims: Vec<_> = map.claims("a.shop.test").copied().collect();
    assert_eq!(claims, ["a.shop.test", "*.shop.test", "*.test", "*"]);
    let claims: Vec<_> = map.claims("shop.test").copied().collect();
    assert_eq!(claims, ["*.test", "*"]);
    assert_eq!(map.values().count(), 4);
}

#[test]
fn what_two_patterns_share_is_the_narrower_one() {
    intersects("*", "*", Some("*"));
    intersects("*", "a.test", Some("a.test"));
    intersects("*", "*.a.test", Some("*.a.test"));
    intersects("a.test", "a.test", Some("a.test"));
    intersects("x.a.test", "*.a.test", Some("x.a.test"));
    intersects("*.a.test", "*.a.test", Some("*.a.test"));
    intersects("*.a.test", "*.b.a.test", Some("*.b.a.test"));
}

#[test]
fn strangers_share_nothing() {
    intersects("a.test", "b.test", None);
    intersects("a.test", "*.a.test", None);
    intersects("*.a.test", "*.b.test", None);
    intersects("*.a.test", "*.ba.test", None);
}

#[test]
fn what_is_not_a_host_is_refused_with_the_reason() {
    let long_label = "a".repeat(64);
    let long_host = "a.".repeat(127) + "a";
    let bad = |label: &str| HostError::BadLabel(label.into());
    for (text, expected) in [
        ("", HostError::Empty),
        ("*", HostError::StarAlone),
        ("*.", HostError::EmptyLabel),
        ("**.a", HostError::MisplacedStar),
        ("*a.test", HostError::MisplacedStar),
        ("a.*.test", HostError::MisplacedStar),
        ("*.*.test", HostError::MisplacedStar),
        ("a.test:80", HostError::Port),
        ("10.0.0.1", HostError::Address),
        ("*.10.0.0.1", HostError::Address),
        ("::1", HostError::Address),
        ("[::1]", HostError::Address),
        ("A.test", HostError::UpperCase),
        ("a..test", HostError::EmptyLabel),
        (".test", HostError::EmptyLabel),
        ("test.", HostError::EmptyLabel),
        ("-a.test", bad("-a")),
        ("a-.test", bad("a-")),
        ("a_b.test", bad("a_b")),
        ("a b", bad("a b")),
        ("ä.test", bad("ä")),
        ("http://a", bad("http://a")),
        (
            &long_label,
            HostError::LongLabel(long_label.as_str().into()),
        ),
        (&long_host, HostError::TooLong(255)),
    ] {
        assert_eq!(HostPattern::parse(text), Err(expected), "{text:?}");
    }
}

#[test]
fn patterns_are_written_as_they_are_read() {
    for text in ["a", "1.test", "xn--bcher-kva.test", "*.a-b.test"] {
        assert_eq!(pattern(text).to_string(), text);
    }
}

//! What each filter makes of a head.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;

use super::HeaderEdits;
use super::Mirror;
use crate::message::RequestHead;

mod cors;
mod paths;

/// Fields written as `name: value`.
fn fields(lines: &[&str]) -> HeaderMap {
    lines.iter().map(|line| field(line)).collect()
}

fn field(line: &str) -> (HeaderName, HeaderValue) {
    let (name, value) = line.split_once(": ").expect("a field");
    let name = name.parse().expect("a name");
    (name, value.parse().expect("a value"))
}

/// A request for `a.test:8080` with this target.
fn request(target: &str) -> RequestHead {
    RequestHead {
        authority: HeaderValue::from_static("a.test:8080"),
        path: target.parse().expect("a target"),
        ..RequestHead::default()
    }
}

#[track_caller]
fn edited(edits: &HeaderEdits, before: &[&str], expected: &[&str]) {
    let mut headers: HeaderMap = HeaderMap::new();
    for line in before {
        let (name, value) = field(line);
        headers.append(name, value);
    }
    edits.apply(&mut headers);
    let mut after: Vec<String> = headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
        .collect();
    after.sort();
    assert_eq!(after, expected);
}

#[test]
fn a_field_that_is_set_loses_its_other_lines() {
    let edits = HeaderEdits {
        set: vec![field("X-A: new")],
        ..HeaderEdits::default()
    };
    edited(
        &edits,
        &["x-a: 1", "x-a: 2", "x-b: 3"],
        &["x-a: new", "x-b: 3"],
    );
    edited(&edits, &[], &["x-a: new"]);
}

#[test]
fn a_field_that_is_added_keeps_its_other_lines() {
    let edits = HeaderEdits {
        add: vec![field("x-a: 2"), field("x-b: 1")],
        ..HeaderEdits::default()
    };
    edited(&edits, &["x-a: 1"], &["x-a: 1", "x-a: 2", "x-b: 1"]);
}

#[test]
fn a_field_is_removed_whatever_its_case() {
    let edits = HeaderEdits {
        remove: vec!["X-A".parse().expect("a name")],
        ..HeaderEdits::default()
    };
    edited(&edits, &["x-a: 1", "X-A: 2", "x-b: 1"], &["x-b: 1"]);
}

#[test]
fn setting_comes_before_adding_and_removing_comes_last() {
    let edits = HeaderEdits {
        set: vec![field("x-a: 1"), field("x-b: 1")],
        add: vec![field("x-a: 2"), field("x-c: 1")],
        remove: vec![
            "x-b".parse().expect("a name"),
            "x-c".parse().expect("a name"),
        ],
    };
    edited(&edits, &["x-a: 0"], &["x-a: 1", "x-a: 2"]);
}

#[test]
fn framing_connection_and_host_are_not_for_rules_to_edit() {
    for name in [
        "content-length",
        "Transfer-Encoding",
        "connection",
        "te",
        "upgrade",
        "host",
    ] {
        let edits = HeaderEdits {
            set: vec![field(&format!("{name}: 1"))],
            add: vec![field(&format!("{name}: 2"))],
            remove: vec![name.parse().expect("a name")],
        };
        let before = format!("{}: 0", name.to_lowercase());
        edited(&edits, &[&before], &[&before]);
    }
}

#[test]
fn a_mirror_takes_its_share_by_the_lower_half_of_the_draw() {
    let mirror = |share, of| Mirror {
        backend: None,
        share,
        of,
    };
    let taken = |mirror: Mirror| {
        let step = u64::from(u32::MAX) / 1000;
        (0..1000)
            .filter(|turn| mirror.takes(turn * step + step / 2))
            .count()
    };
    assert_eq!(taken(mirror(0, 100)), 0);
    assert_eq!(taken(mirror(25, 100)), 250);
    assert_eq!(taken(mirror(100, 100)), 1000);
    assert_eq!(taken(mirror(u32::MAX, u32::MAX)), 1000);
    assert!(mirror(1, 0).takes(u64::MAX), "of nothing is of one");
    let upper = u64::from(u32::MAX) << 32;
    assert!(
        mirror(1, 100).takes(upper),
        "the upper half decides nothing"
    );
}

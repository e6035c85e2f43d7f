//! What would have been different.

use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use http::StatusCode;

use crate::rollout::shadow::Class;
use crate::rollout::shadow::Counts;
use crate::rollout::shadow::Difference;
use crate::rollout::shadow::Dropped;
use crate::rollout::shadow::Edited;
use crate::rollout::shadow::Edits;
use crate::rollout::shadow::Happened;
use crate::rollout::shadow::Kept;
use crate::rollout::shadow::Kind;
use crate::rollout::shadow::Would;
use crate::rollout::shadow::body::BodyCompare;
use crate::rollout::shadow::budget::Budget;
use crate::rollout::shadow::compare;
use crate::rollout::shadow::is_picked;

const OK: Happened = Happened::Passed(StatusCode::OK);
const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;

type Fields = Vec<(String, Vec<u8>)>;

fn fields(given: &[(&str, &str)]) -> Fields {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    given.iter().map(own).collect()
}

#[track_caller]
fn check(difference: &Difference, class: Class, kinds: &[Kind], words: &[&str]) {
    assert_eq!(difference.class, class);
    assert_eq!(difference.kinds, kinds);
    assert_eq!(difference.words, words);
}

#[test]
fn decisions_are_compared_with_what_happened() {
    use Class::{Agreed, Differed, Fault, Unknown};
    let later = Happened::Denied(FORBIDDEN);
    for (would, happened, class, kind, words) in [
        (Would::Pass, OK, Agreed, None, None),
        (Would::Pass, Happened::Gone, Agreed, None, None),
        (Would::Close, Happened::Closed, Agreed, None, None),
        (
            Would::Pass,
            Happened::Closed,
            Differed,
            Some(Kind::Allow),
            Some("would have let it pass, was ended by a later filter"),
        ),
        (
            Would::Answer(FORBIDDEN),
            Happened::Closed,
            Differed,
            Some(Kind::Status),
            Some("would have answered 403, was ended by a later filter"),
        ),
        (
            Would::Close,
            Happened::Gone,
            Unknown,
            None,
            Some("unknown: it would have ended it, and the client was gone"),
        ),
        (Would::Answer(FORBIDDEN), later, Agreed, None, None),
        (
            Would::Answer(FORBIDDEN),
            OK,
            Differed,
            Some(Kind::Deny),
            Some("would have answered 403, passed with 200"),
        ),
        (
            // The origin's own 403 is not the filters': it was asked.
            Would::Answer(FORBIDDEN),
            Happened::Passed(FORBIDDEN),
            Differed,
            Some(Kind::Deny),
            Some("would have answered 403, passed with 403"),
        ),
        (
            Would::Answer(StatusCode::UNAUTHORIZED),
            later,
            Differed,
            Some(Kind::Status),
            Some("would have answered 401, was answered 403 by a later filter"),
        ),
        (
            Would::Pass,
            later,
            Differed,
            Some(Kind::Allow),
            Some("would have let it pass, was answered 403 by a later filter"),
        ),
        (
            Would::Answer(FORBIDDEN),
            Happened::Gone,
            Differed,
            Some(Kind::Deny),
            Some("would have answered 403, its client was gone"),
        ),
        (
            Would::Close,
            OK,
            Differed,
            Some(Kind::Deny),
            Some("would have ended it, passed with 200"),
        ),
        (
            Would::Close,
            later,
            Differed,
            Some(Kind::Status),
            Some("would have ended it, was answered 403 by a later filter"),
        ),
        (Would::Fault, OK, Fault, None, Some("it would have failed")),
        (
            Would::Unknown(Kept::Call),
            OK,
            Unknown,
            None,
            Some("unknown: it depended on a call that shadows may not make"),
        ),
        (
            Would::Unknown(Kept::Time),
            later,
            Unknown,
            None,
            Some("unknown: it had not decided in time"),
        ),
    ] {
        let kinds: Vec<Kind> = kind.into_iter().collect();
        let words: Vec<&str> = words.into_iter().collect();
        let difference = compare(would, happened, &Edits::default());
        check(&difference, class, &kinds, &words);
    }
}

#[test]
fn edits_are_told_by_name_and_without_values() {
    let before = fields(&[
        (":path", "/a"),
        ("x-old", "1"),
        ("x-same", "s"),
        ("x-two", "1"),
    ]);
    let after = fields(&[
        (":path", "/secret"),
        ("x-same", "s"),
        ("x-two", "1"),
        ("x-two", "2"),
        ("x-new", "1"),
    ]);
    let edited = Edited {
        before: &before,
        after: &after,
        body: true,
    };
    let same = Edited {
        before: &before,
        after: &before,
        body: false,
    };
    let mut edits = Edits {
        request: Some(edited),
        response: Some(same),
        route: true,
    };
    check(
        &compare(Would::Pass, OK, &edits),
        Class::Differed,
        &[Kind::RequestHeaders, Kind::RequestBody, Kind::Route],
        &[
            "would have changed request header :path",
            "would have added request header x-new",
            "would have removed request header x-old",
            "would have changed request header x-two",
            "would have changed the request's body",
            "would have chosen where the request goes",
        ],
    );
    edits = Edits {
        request: Some(same),
        response: Some(same),
        route: false,
    };
    check(&compare(Would::Pass, OK, &edits), Class::Agreed, &[], &[]);
    edits.response = Some(Edited { body: true, ..same });
    let words = ["would have changed the response's body"];
    let kinds = [Kind::ResponseBody];
    let difference = compare(Would::Pass, Happened::Gone, &edits);
    check(&difference, Class::Differed, &kinds, &words);
}

#[test]
fn edits_of_a_stream_that_was_denied_do_not_count() {
    let after = fields(&[("x-new", "1")]);
    let edits = Edits {
        request: Some(Edited {
            before: &[],
            after: &after,
            body: false,
        }),
        ..Edits::default()
    };
    let difference = compare(Would::Answer(FORBIDDEN), OK, &edits);
    assert_eq!(difference.kinds, [Kind::Deny]);
    let difference = compare(Would::Pass, Happened::Denied(FORBIDDEN), &edits);
    assert_eq!(difference.kinds, [Kind::Allow]);
    assert_eq!(difference.words.len(), 1);
}

#[test]
fn many_edits_are_bounded() {
    let names: Vec<String> = (0..100).map(|at| format!("x-{at}")).collect();
    let after: Fields = names.into_iter().map(|it| (it, b"1".to_vec())).collect();
    let edits = Edits {
        response: Some(Edited {
            before: &[],
            after: &after,
            body: false,
        }),
        ..Edits::default()
    };
    let difference = compare(Would::Pass, OK, &edits);
    assert_eq!(difference.words.len(), 17);
    assert_eq!(
        difference.words.last().unwrap(),
        "and 84 more headers of the response"
    );
}

/// Pieces that go in and out, in order; whether the body is another in the end.
fn changes(steps: &[(&str, &str)]) -> bool {
    let mut body = BodyCompare::default();
    for (came, went) in steps {
        body.came(&Bytes::copy_from_slice(came.as_bytes()));
        body.went(went.as_bytes());
    }
    body.is_changed(true)
}

#[test]
fn a_body_is_the_same_however_it_is_cut() {
    for (steps, changed) in [
        (&[][..], false),
        (&[("abc", "abc")], false),
        (&[("abc", ""), ("def", "abcdef")], false),
        (&[("abcdef", "a"), ("", "bcde"), ("g", "fg")], false),
        (&[("abc", "abd")], true),
        (&[("abc", "ab")], true),
        (&[("abc", "abcd")], true),
        (&[("", "x"), ("x", "")], true),
        (&[("abc", "x"), ("def", "abcdef")], true),
    ] {
        assert_eq!(changes(steps), changed, "{steps:?}");
    }
}

#[test]
fn of_a_body_that_was_changed_nothing_is_kept() {
    let mut body = BodyCompare::default();
    body.came(&Bytes::from_static(b"abc"));
    assert_eq!((body.held(), body.pieces()), (3, 1));
    body.went(b"ab");
    assert_eq!(body.held(), 1);
    body.went(b"x");
    assert_eq!((body.held(), body.pieces()), (0, 0));
    body.came(&Bytes::from_static(b"abc"));
    assert_eq!(body.held(), 0);
    assert!(body.is_changed(false));
}

#[test]
fn shadows_take_their_share_of_the_time_on_average() {
    let start = Instant::now();
    let mut budget = Budget::new(5, start);
    // The share of a second is there at once.
    assert!(budget.has_left(start));
    budget.spend(Duration::from_millis(49));
    assert!(budget.has_left(start));
    budget.spend(Duration::from_millis(11));
    assert!(!budget.has_left(start));
    // 10 ms of debt are 200 ms of waiting.
    assert!(!budget.has_left(start + Duration::from_millis(200)));
    assert!(budget.has_left(start + Duration::from_millis(201)));
    // An hour saves no more than a second.
    let later = start + Duration::from_secs(3600);
    assert!(budget.has_left(later));
    budget.spend(Duration::from_millis(50));
    assert!(!budget.has_left(later));
}

#[test]
fn what_is_under_way_goes_on_until_the_debt_is_what_may_be_used_at_once() {
    let start = Instant::now();
    let mut budget = Budget::new(5, start);
    budget.spend(Duration::from_millis(100));
    assert!(!budget.has_left(start) && !budget.is_overdrawn(start));
    budget.spend(Duration::from_millis(1));
    assert!(budget.is_overdrawn(start));
    assert!(!budget.is_overdrawn(start + Duration::from_millis(20)));
}

#[test]
fn a_share_of_the_streams_is_picked() {
    let picked = |percent| (0..1000).filter(|draw| is_picked(percent, *draw)).count();
    assert_eq!(
        [0, 1, 50, 100].map(picked),
        [0, 10, 500, 1000],
        "of 1000 draws"
    );
}

#[test]
fn each_stream_is_counted_once_and_each_difference_too() {
    let mut counts = Counts::default();
    let after = fields(&[("x-new", "1")]);
    let edited = Edited {
        before: &[],
        after: &after,
        body: true,
    };
    let edits = Edits {
        request: Some(edited),
        response: None,
        route: false,
    };
    counts.add(&compare(Would::Pass, OK, &edits));
    counts.add(&compare(Would::Answer(FORBIDDEN), OK, &Edits::default()));
    counts.add(&compare(Would::Pass, OK, &Edits::default()));
    counts.add(&compare(Would::Fault, OK, &Edits::default()));
    counts.add(&compare(Would::Unknown(Kept::Call), OK, &Edits::default()));
    counts.drop_one(Dropped::Buffer);
    let expected = Counts {
        agreed: 1,
        differed: 2,
        faults: 1,
        unknown: 1,
        kinds: [1, 0, 0, 1, 1, 0, 0, 0],
        dropped: [0, 0, 1, 0],
    };
    assert_eq!(counts, expected);
    let mut sum = counts;
    sum.join(&counts);
    assert_eq!((sum.differed, sum.kinds[0], sum.dropped[2]), (4, 2, 2));
}

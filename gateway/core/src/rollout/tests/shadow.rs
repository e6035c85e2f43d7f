//! What would have been different.

use http::StatusCode;

use crate::rollout::shadow::Class;
use crate::rollout::shadow::Difference;
use crate::rollout::shadow::Edited;
use crate::rollout::shadow::Happened;
use crate::rollout::shadow::Kept;
use crate::rollout::shadow::Would;
use crate::rollout::shadow::compare;

const OK: Happened = Happened::Answered(StatusCode::OK);

#[track_caller]
fn check(difference: &Difference, class: Class, words: &[&str]) {
    assert_eq!(difference.class, class);
    assert_eq!(difference.words, words);
}

#[test]
fn decisions_are_compared_with_what_happened() {
    let forbidden = StatusCode::FORBIDDEN;
    for (would, happened, class, words) in [
        (Would::Pass, OK, Class::Same, None),
        (Would::Pass, Happened::Ended, Class::Same, None),
        (Would::Close, Happened::Ended, Class::Same, None),
        (
            Would::Answer(forbidden),
            OK,
            Class::Decided,
            Some("would have answered 403, was answered 200"),
        ),
        (
            Would::Answer(forbidden),
            Happened::Answered(forbidden),
            Class::Decided,
            Some("would have answered 403 itself, as the answer was"),
        ),
        (
            Would::Answer(forbidden),
            Happened::Ended,
            Class::Decided,
            Some("would have answered 403, ended without an answer"),
        ),
        (
            Would::Close,
            OK,
            Class::Decided,
            Some("would have ended it, was answered 200"),
        ),
        (Would::Fault, OK, Class::Fault, Some("it would have failed")),
        (
            Would::Unknown(Kept::Call),
            OK,
            Class::Unknown,
            Some("unknown: it depended on a call that shadows may not make"),
        ),
    ] {
        let words: Vec<&str> = words.into_iter().collect();
        check(&compare(would, happened, None, None), class, &words);
    }
}

#[test]
fn edits_are_told_by_name_and_without_values() {
    let before: [(&str, &[u8]); 4] = [
        (":path", b"/a"),
        ("x-old", b"1"),
        ("x-same", b"s"),
        ("x-two", b"1"),
    ];
    let after: [(&str, &[u8]); 5] = [
        (":path", b"/secret"),
        ("x-same", b"s"),
        ("x-two", b"1"),
        ("x-two", b"2"),
        ("x-new", b"1"),
    ];
    let request = Edited {
        before: &before,
        after: &after,
        body: true,
    };
    let response = Edited {
        before: &before,
        after: &before,
        body: false,
    };
    let difference = compare(Would::Pass, OK, Some(request), Some(response));
    check(
        &difference,
        Class::Edited,
        &[
            "would have changed request header :path",
            "would have added request header x-new",
            "would have removed request header x-old",
            "would have changed request header x-two",
            "would have changed the request's body",
        ],
    );
    check(
        &compare(Would::Pass, OK, Some(response), Some(response)),
        Class::Same,
        &[],
    );
}

#[test]
fn edits_of_a_filter_that_would_have_answered_do_not_count() {
    let request = Edited {
        before: &[],
        after: &[("x-new", b"1")],
        body: false,
    };
    let difference = compare(
        Would::Answer(StatusCode::FORBIDDEN),
        OK,
        Some(request),
        None,
    );
    assert_eq!(difference.class, Class::Decided);
    assert_eq!(difference.words.len(), 1);
}

#[test]
fn many_edits_are_bounded() {
    let names: Vec<String> = (0..100).map(|at| format!("x-{at}")).collect();
    let after: Vec<(&str, &[u8])> = names.iter().map(|it| (it.as_str(), &b"1"[..])).collect();
    let response = Edited {
        before: &[],
        after: &after,
        body: false,
    };
    let difference = compare(Would::Pass, OK, None, Some(response));
    assert_eq!(difference.words.len(), 17);
    assert_eq!(
        difference.words.last().unwrap(),
        "and 84 more headers of the response"
    );
}

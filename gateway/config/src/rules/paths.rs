//! What paths of matches and rewrites may look like (Gateway API: `HTTPPathMatch`,
//! `HTTPPathModifier`).

use super::Findings;
use crate::kinds::http_route::HttpPathMatch;
use crate::kinds::http_route::PathMatchKind;
use crate::place::At;

/// What may not be part of a path that is compared: requests never have it after normalisation, or
/// programs disagree on its meaning.
const FORBIDDEN: [&str; 5] = ["//", "/./", "/../", "%2f", "%2F"];

/// The kind of a match, with the API's default.
pub(crate) fn kind_of(path: &HttpPathMatch) -> PathMatchKind {
    path.kind
        .as_ref()
        .map_or(PathMatchKind::PathPrefix, |kind| kind.value)
}

pub(super) fn check_match(path: &HttpPathMatch, findings: &mut Findings) {
    let Some(value) = &path.value else {
        return;
    };
    match kind_of(path) {
        PathMatchKind::Exact | PathMatchKind::PathPrefix => check_literal(value, findings),
        PathMatchKind::RegularExpression => check_pattern(value, findings),
    }
}

fn check_literal(value: &At<String>, findings: &mut Findings) {
    let text = value.as_str();
    if !text.starts_with('/') {
        let message = format!("the path {text:?} does not begin with `/`");
        return findings.with_hint(value.span, message, format!("write `/{text}`"));
    }
    for part in FORBIDDEN {
        if text.contains(part) {
            findings.error(
                value.span,
                format!("the path {text:?} must not contain `{part}`"),
            );
        }
    }
    for end in ["/..", "/."] {
        if text.ends_with(end) {
            findings.error(
                value.span,
                format!("the path {text:?} must not end with `{end}`"),
            );
        }
    }
    if let Some(bad) = first_bad(text) {
        let hint = match bad {
            '?' => "match queries with `queryParams`",
            '*' => "a prefix needs no `*`: use `type: PathPrefix` without it",
            _ => "percent-encode it",
        };
        let message = format!(
            "the path {text:?} must not contain `{}`",
            bad.escape_debug()
        );
        findings.with_hint(value.span, message, hint);
    }
}

/// A regular expression has to compile, and its size is bounded.
pub(super) fn check_pattern(value: &At<String>, findings: &mut Findings) {
    if let Err(err) = tidegate_core::pattern::Pattern::compile(value) {
        findings.error(value.span, err.to_string());
    }
}

/// A path that replaces another.
pub(super) fn check_replacement(value: &At<String>, is_full: bool, findings: &mut Findings) {
    let text = value.as_str();
    if is_full && !text.starts_with('/') {
        let message = format!("the path {text:?} does not begin with `/`");
        findings.with_hint(value.span, message, format!("write `/{text}`"));
    } else if let Some(bad) = first_bad(text) {
        let message = format!(
            "the path {text:?} must not contain `{}`",
            bad.escape_debug()
        );
        findings.with_hint(
            value.span,
            message,
            "percent-encode it; the query is kept as it is",
        );
    }
}

/// The first character that no path has (RFC 3986: `pchar`, `/`, and escapes of two digits).
fn first_bad(text: &str) -> Option<char> {
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        let is_good = match next {
            '%' => {
                let digits = [rest.next(), rest.next()];
                digits
                    .iter()
                    .all(|digit| digit.is_some_and(|digit| digit.is_ascii_hexdigit()))
            }
            'a'..='z' | 'A'..='Z' | '0'..='9' => true,
            _ => "-/._~!$&'()*+,;=:@".contains(next),
        };
        if !is_good {
            return Some(next);
        }
    }
    None
}

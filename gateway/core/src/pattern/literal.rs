//! What all matches of a pattern begin with.
//!
//! Owns the cut of a parsed pattern into literal bytes and the rest. The bytes are compared as they
//! are; only the rest needs a machine, which is much smaller then. A route table also files
//! patterns by them.

use regex_syntax::hir::Hir;
use regex_syntax::hir::HirKind;
use regex_syntax::hir::Look;

/// The bytes that every match begins with, and what must follow them.
pub(super) fn split(pattern: Hir) -> (Box<[u8]>, Hir) {
    let mut bytes = Vec::new();
    let rest = take(pattern, &mut bytes).unwrap_or_else(Hir::empty);
    (bytes.into_boxed_slice(), rest)
}

/// Takes leading literals off; returns what is left, or `None` if nothing is.
fn take(pattern: Hir, bytes: &mut Vec<u8>) -> Option<Hir> {
    match pattern.into_kind() {
        HirKind::Empty => None,
        // At the start all values start; anywhere else it is a condition that fails.
        HirKind::Look(Look::Start) if bytes.is_empty() => None,
        HirKind::Literal(literal) => {
            bytes.extend_from_slice(&literal.0);
            None
        }
        HirKind::Capture(group) => take(*group.sub, bytes),
        HirKind::Concat(parts) => {
            let mut parts = parts.into_iter();
            let rest = parts.find_map(|part| take(part, bytes))?;
            Some(Hir::concat(std::iter::once(rest).chain(parts).collect()))
        }
        HirKind::Class(class) => Some(Hir::class(class)),
        HirKind::Look(look) => Some(Hir::look(look)),
        HirKind::Repetition(repetition) => Some(Hir::repetition(repetition)),
        HirKind::Alternation(branches) => Some(Hir::alternation(branches)),
    }
}

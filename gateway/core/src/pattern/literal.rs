//! What all matches of a pattern begin with.
//!
//! Owns the reading of it off a parsed pattern, so that a route table need not run patterns whose
//! beginning a path does not have.

use regex_syntax::hir::Hir;
use regex_syntax::hir::HirKind;
use regex_syntax::hir::Look;

/// The longest beginning that is kept: more tells patterns hardly better apart.
pub const MAX_BEGINNING_BYTES: usize = 63;

/// The bytes that every match begins with.
pub(super) fn beginning(pattern: &Hir) -> Box<[u8]> {
    let mut bytes = Vec::new();
    collect(pattern, &mut bytes);
    bytes.truncate(MAX_BEGINNING_BYTES);
    bytes.into_boxed_slice()
}

/// Whether what comes after a part of a pattern may be read on.
enum Then {
    GoOn,
    Stop,
}

fn collect(pattern: &Hir, bytes: &mut Vec<u8>) -> Then {
    match pattern.kind() {
        HirKind::Empty => Then::GoOn,
        HirKind::Look(Look::Start) => Then::GoOn,
        HirKind::Literal(literal) => {
            bytes.extend_from_slice(&literal.0);
            Then::GoOn
        }
        HirKind::Capture(group) => collect(&group.sub, bytes),
        HirKind::Concat(parts) => {
            for part in parts {
                if let Then::Stop = collect(part, bytes) {
                    return Then::Stop;
                }
            }
            Then::GoOn
        }
        HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Alternation(_) => {
            Then::Stop
        }
    }
}

//! Places as the parser counts them, made ours.

use crate::place::Span;

/// A span of the parser as one of ours.
pub(super) fn span(at: &granit_parser::Span) -> Span {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let length = if at.start.line() == at.end.line() {
        at.end.col().saturating_sub(at.start.col())
    } else {
        1
    };
    Span {
        line: number(at.start.line().saturating_sub(1)),
        column: number(at.start.col().saturating_add(1)),
        length: number(length.max(1)),
    }
}

/// The last thing before a value that is not there: the parser has gone on to the next one, or to the
/// end of the line.
pub(super) fn before(at: &granit_parser::Span, text: &str) -> Span {
    let here = span(at);
    let Some(before) = at.start.byte_offset().and_then(|offset| text.get(..offset)) else {
        return here;
    };
    let kept = before.trim_end();
    let gap = before.get(kept.len()..).unwrap_or_default();
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let lines = gap.matches('\n').count();
    // Only lines are searched that end here, so that a long line is not searched for each of its values.
    let column = if lines == 0 {
        at.start.col().saturating_sub(gap.chars().count())
    } else {
        let line = kept.rsplit('\n').next().unwrap_or_default();
        line.chars().count()
    };
    Span {
        line: here.line.saturating_sub(number(lines)),
        column: number(column.max(1)),
        length: 1,
    }
}

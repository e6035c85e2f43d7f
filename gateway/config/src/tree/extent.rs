//! Where the text of a value stands beyond its place: on further lines, or at the anchor of its alias.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use crate::place::Span;

/// What the places of a document's values do not say.
#[derive(Debug, Default)]
pub(crate) struct Extents {
    /// The last lines of scalars that take several.
    last_lines: HashMap<Span, u32>,
    /// The places of anchored values, by those of their aliases.
    anchors: HashMap<Span, Span>,
}

impl Extents {
    /// Notes the last line of a scalar.
    pub(super) fn on_scalar(&mut self, place: Span, at: &granit_parser::Span, text: &str) {
        let mut lines = at.end.line().saturating_sub(at.start.line());
        if lines == 0 {
            return;
        }
        // The parser may have gone on to the next value.
        if let (Some(start), Some(end)) = (at.start.byte_offset(), at.end.byte_offset())
            && let Some(text) = text.get(start..end)
        {
            lines = text.trim_end().matches('\n').count();
        }
        if lines > 0 {
            let last = place
                .line
                .saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
            self.last_lines.insert(place, last);
        }
    }

    /// Notes what an alias stands for.
    pub(super) fn on_alias(&mut self, alias: Span, anchored: Span) {
        self.anchors.insert(alias, anchored);
    }

    /// The lines of a key or of a scalar, counted from 0.
    pub(crate) fn lines(&self, of: Span) -> RangeInclusive<u32> {
        of.line..=self.last_lines.get(&of).copied().unwrap_or(of.line)
    }

    /// The place of the value that the alias at a place stands for.
    pub(crate) fn anchored(&self, alias: Span) -> Option<Span> {
        self.anchors.get(&alias).copied()
    }
}

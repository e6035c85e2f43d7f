//! What the parser's errors mean for whoever wrote the text.

use granit_parser::ErrorKind;
use granit_parser::ScanError;

use super::fault::Fault;
use super::words::ALIGN;
use super::words::words;
use crate::place::Span;

/// An error of the parser in plain words, at its place.
pub(super) fn explain(err: &ScanError, text: &str) -> Fault {
    const TABS: (&str, &str) = ("a tab cannot indent YAML", "indent with spaces");
    let marker = err.marker();
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let span = Span {
        line: number(marker.line().saturating_sub(1)),
        column: number(marker.col().saturating_add(1)),
        length: 1,
    };
    if is_about_tabs(err.kind())
        && let Some(tab) = indenting_tab(text, span.line, 2)
    {
        return Fault::new(tab, TABS.0, TABS.1);
    }
    if let Some(tab) = indenting_tab(text, span.line, 1) {
        return Fault::new(tab, TABS.0, TABS.1);
    }
    if *err.kind() == ErrorKind::MappingValueNotAllowed
        && let Some(key) = first_key(text, span)
    {
        return Fault::new(key, "this field is indented deeper than those above", ALIGN);
    }
    let (message, hint) = words(err.kind());
    Fault::new(span, message, hint)
}

fn is_about_tabs(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabInIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInPlainScalar
    )
}

/// The first tab that indents one of some lines.
fn indenting_tab(text: &str, line: u32, lines: usize) -> Option<Span> {
    let at = usize::try_from(line).ok()?;
    let mut lines = text.split('\n').enumerate().skip(at).take(lines);
    lines.find_map(|(index, line)| {
        let indent = line.chars().take_while(|char| char.is_whitespace());
        let column = indent.into_iter().position(|char| char == '\t')?;
        Some(Span {
            line: u32::try_from(index).ok()?,
            column: u32::try_from(column + 1).ok()?,
            length: 1,
        })
    })
}

/// The key before a colon, if it is the first thing on its line.
fn first_key(text: &str, colon: Span) -> Option<Span> {
    let line = text.split('\n').nth(usize::try_from(colon.line).ok()?)?;
    let before = usize::try_from(colon.column).ok()?.checked_sub(1)?;
    let before: String = line.chars().take(before).collect();
    let key = before.trim_start();
    let is_key = !key.is_empty() && !key.contains([':', '{', '[', ',']) && !key.starts_with('-');
    let indent = before.chars().count() - key.chars().count();
    (is_key && indent > 0).then_some(Span {
        line: colon.line,
        column: u32::try_from(indent + 1).ok()?,
        length: u32::try_from(key.chars().count()).ok()?,
    })
}

/// The same span, moved to the end of the text or of its line if it lies beyond.
pub(super) fn clamp(span: Span, text: &str) -> Span {
    let at = usize::try_from(span.line).unwrap_or(usize::MAX);
    let width =
        |line: &str| u32::try_from(line.trim_end_matches('\r').chars().count()).unwrap_or(u32::MAX);
    if let Some(line) = text.split('\n').nth(at)
        && !(line.is_empty() && text.split('\n').nth(at + 1).is_none())
    {
        let width = width(line).max(1);
        let column = span.column.clamp(1, width);
        let length = span.length.clamp(1, width - column + 1);
        return Span {
            line: span.line,
            column,
            length,
        };
    }
    // Beyond the last line: what is missing is missing after the last thing that was written.
    let lines = || text.split('\n').enumerate().take(at.saturating_add(1));
    let Some((index, line)) = lines().filter(|(_, line)| !line.trim().is_empty()).last() else {
        return Span::NONE;
    };
    Span {
        line: u32::try_from(index).unwrap_or(u32::MAX),
        column: width(line.trim_end()).max(1),
        length: 1,
    }
}

//! What the parser's errors mean for whoever wrote the text.

use granit_parser::ErrorKind;
use granit_parser::ScanError;

use super::build::Fault;
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

const ALIGN: &str =
    "fields of one mapping begin in the same column; check the indentation here and above";

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

fn words(kind: &ErrorKind) -> (String, &'static str) {
    const QUOTES: &str = "close the quotes, or double a quote that belongs to the text: '' or \\\"";
    let (message, hint) = match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab cannot stand here", "use spaces"),
        ErrorKind::UnclosedQuotedScalar => ("the quotes that begin here are not closed", QUOTES),
        ErrorKind::DocumentIndicatorInQuotedScalar => ("a document ends inside of quotes", QUOTES),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            "quote the whole value, or double a quote that belongs to the text",
        ),
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::InvalidFlowScalarIndent => (
            "this line continues a value but is indented less than it",
            "indent it deeper than the field it belongs to",
        ),
        ErrorKind::UnknownQuotedScalarEscape => (
            "unknown escape in double quotes",
            "write \\\\ for a backslash, or use single quotes, which have no escapes",
        ),
        ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::InvalidLowSurrogate
        | ErrorKind::MissingLowSurrogate
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::InvalidUnicodeEscape => (
            "this escape is not a character",
            "write \\u and four hexadecimal digits, or the character itself",
        ),
        ErrorKind::UnclosedFlowCollection { open } => {
            let close = closing(*open);
            let message = format!("the `{open}` that begins here has no `{close}`");
            return (message, "close it, or check the commas and quotes inside");
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            let message = format!("`{close}` closes what `{open}` has opened");
            return (message, "each `{` needs a `}`, each `[` a `]`");
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            ("nothing is open that this bracket could close", "remove it")
        }
        ErrorKind::UnexpectedEofFlowSequence => ("a `[` is not closed", "add the missing `]`"),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("a `{` is not closed", "add the missing `}`")
        }
        ErrorKind::ExpectedFlowMappingSeparator => (
            "a comma or `}` is missing here",
            "entries between `{` and `}` are separated by commas",
        ),
        ErrorKind::ExpectedFlowSequenceSeparator => (
            "a comma or `]` is missing here",
            "items between `[` and `]` are separated by commas",
        ),
        ErrorKind::ExpectedBlockMappingKey => ("expected a field of the mapping above", ALIGN),
        ErrorKind::ExpectedBlockSequenceEntry => (
            "expected another `- ` item or less indentation",
            "items of one list begin with `- ` in the same column",
        ),
        ErrorKind::InvalidIndentation => ("the indentation fits nothing above", ALIGN),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "a colon is missing after this key",
            "write `name: value`; a text with line breaks needs quotes or `|`",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a colon cannot stand here",
            "quote a text that contains `: `; a mapping begins on a line of its own",
        ),
        ErrorKind::MappingKeyNotAllowed => ("a field cannot begin here", ALIGN),
        ErrorKind::BlockSequenceEntryNotAllowed => (
            "a `- ` item cannot begin here",
            "begin a list on the line below its field",
        ),
        ErrorKind::BlockEntryInFlowCollection => (
            "a `- ` item cannot stand between brackets",
            "separate items by commas",
        ),
        ErrorKind::InvalidBlockScalarIndent => (
            "a line of this text is indented less than its first line",
            "indent all lines of a `|` or `>` text alike",
        ),
        ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => (
            "only `-`, `+` or a digit may follow `|` and `>`",
            "begin the text on the next line",
        ),
        ErrorKind::CommentInterceptedScalar | ErrorKind::CommentNotSeparated => (
            "a comment cannot begin here",
            "put a space before `#`, and no comment inside a text of several lines",
        ),
        ErrorKind::UnexpectedCharacter { character } => {
            let message = format!("a value cannot begin with `{}`", character.escape_default());
            return (message, "put the value into quotes");
        }
        ErrorKind::ExpectedNodeContent => ("a value is missing here", "write a value or `null`"),
        ErrorKind::RecursionLimitExceeded => ("values are nested too deep", "flatten them"),
        ErrorKind::MissingAnchorOrAliasName => (
            "a name is missing after `&` or `*`",
            "quote a text that begins with `&` or `*`",
        ),
        ErrorKind::UndeclaredTagHandle => (
            "tags are not supported",
            "quote a text that begins with `!`",
        ),
        ErrorKind::BomInsideDocument => (
            "a byte order mark stands inside of the text",
            "remove the invisible character U+FEFF",
        ),
        ErrorKind::InvalidDocumentEnd => (
            "something follows the end mark `...`",
            "begin the next document with `---`",
        ),
        _ => {
            return (
                format!("this is not YAML: {kind}"),
                "check the quotes, brackets and indentation here and above",
            );
        }
    };
    (message.to_owned(), hint)
}

fn closing(open: char) -> char {
    if open == '[' { ']' } else { '}' }
}

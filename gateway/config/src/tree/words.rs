//! The parser's errors in words for whoever wrote the text: what is wrong, and what to do.

use granit_parser::ErrorKind;

/// What to do about indentation that fits nothing.
pub(super) const ALIGN: &str =
    "fields of one mapping begin in the same column; check the indentation here and above";

/// What is wrong and what to do about it.
pub(super) fn words(kind: &ErrorKind) -> (String, &'static str) {
    if let Some(words) = with_characters(kind) {
        return words;
    }
    let known = quotes(kind)
        .or_else(|| brackets(kind))
        .or_else(|| layout(kind))
        .or_else(|| others(kind));
    if let Some((message, hint)) = known {
        return (message.to_owned(), hint);
    }
    let hint = "check the quotes, brackets and indentation here and above";
    (format!("this is not YAML: {kind}"), hint)
}

fn with_characters(kind: &ErrorKind) -> Option<(String, &'static str)> {
    match kind {
        ErrorKind::UnclosedFlowCollection { open } => {
            let close = if *open == '[' { ']' } else { '}' };
            let message = format!("the `{open}` that begins here has no `{close}`");
            Some((message, "close it, or check the commas and quotes inside"))
        }
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            let message = format!("`{close}` closes what `{open}` has opened");
            Some((message, "each `{` needs a `}`, each `[` a `]`"))
        }
        ErrorKind::UnexpectedCharacter { character } => {
            let message = format!("a value cannot begin with `{}`", character.escape_default());
            Some((message, "put the value into quotes"))
        }
        _ => None,
    }
}

type Words = Option<(&'static str, &'static str)>;

fn quotes(kind: &ErrorKind) -> Words {
    const CLOSE: &str = "close the quotes, or double a quote that belongs to the text: '' or \\\"";
    Some(match kind {
        ErrorKind::UnclosedQuotedScalar => ("the quotes that begin here are not closed", CLOSE),
        ErrorKind::DocumentIndicatorInQuotedScalar => ("a document ends inside of quotes", CLOSE),
        ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            "quote the whole value, or double a quote that belongs to the text",
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
        _ => return None,
    })
}

fn brackets(kind: &ErrorKind) -> Words {
    Some(match kind {
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
        ErrorKind::BlockEntryInFlowCollection => (
            "a `- ` item cannot stand between brackets",
            "separate items by commas",
        ),
        ErrorKind::RecursionLimitExceeded => ("values are nested too deep", "flatten them"),
        _ => return None,
    })
}

fn layout(kind: &ErrorKind) -> Words {
    Some(match kind {
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => ("a tab cannot stand here", "use spaces"),
        ErrorKind::InvalidQuotedScalarIndent | ErrorKind::InvalidFlowScalarIndent => (
            "this line continues a value but is indented less than it",
            "indent it deeper than the field it belongs to",
        ),
        ErrorKind::ExpectedBlockMappingKey => ("expected a field of the mapping above", ALIGN),
        ErrorKind::ExpectedBlockSequenceEntry => (
            "expected another `- ` item or less indentation",
            "items of one list begin with `- ` in the same column",
        ),
        ErrorKind::InvalidIndentation => ("the indentation fits nothing above", ALIGN),
        ErrorKind::MappingKeyNotAllowed => ("a field cannot begin here", ALIGN),
        ErrorKind::BlockSequenceEntryNotAllowed => (
            "a `- ` item cannot begin here",
            "begin a list on the line below its field",
        ),
        ErrorKind::InvalidBlockScalarIndent => (
            "a line of this text is indented less than its first line",
            "indent all lines of a `|` or `>` text alike",
        ),
        ErrorKind::InvalidBlockScalarHeader | ErrorKind::ZeroBlockScalarIndent => (
            "only `-`, `+` or a digit may follow `|` and `>`",
            "begin the text on the next line",
        ),
        _ => return None,
    })
}

fn others(kind: &ErrorKind) -> Words {
    Some(match kind {
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => (
            "a colon is missing after this key",
            "write `name: value`; a text with line breaks needs quotes or `|`",
        ),
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => (
            "a colon cannot stand here",
            "quote a text that contains `: `; a mapping begins on a line of its own",
        ),
        ErrorKind::CommentInterceptedScalar | ErrorKind::CommentNotSeparated => (
            "a comment cannot begin here",
            "put a space before `#`, and no comment inside a text of several lines",
        ),
        ErrorKind::ExpectedNodeContent => ("a value is missing here", "write a value or `null`"),
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
        ErrorKind::ExpectedDocumentStart => (
            "something follows the end of the document",
            "put `---` on a line of its own between documents; in JSON, put resources into one array",
        ),
        ErrorKind::InvalidDocumentEnd => (
            "something follows the end mark `...`",
            "begin the next document with `---`",
        ),
        _ => return None,
    })
}

//! The words of messages about values.

use std::borrow::Cow;

use serde_json::Value;

use super::schema::Schema;
use super::schema::Shape;

/// Most characters of a found text that are shown.
const SHOWN: usize = 40;

/// What was expected, and what was found.
pub(super) fn unexpected(schema: &Schema, value: &Value) -> String {
    let mut message = "expected ".to_owned();
    message.push_str(&wanted(schema));
    message.push_str(", found ");
    push_found(&mut message, value, schema.secret);
    message
}

/// What a schema accepts, in words.
pub(super) fn wanted(schema: &Schema) -> Cow<'static, str> {
    match schema.shape {
        Shape::Any => "any value".into(),
        Shape::Nothing => "nothing".into(),
        Shape::Bool => "true or false".into(),
        Shape::Integer { min, max } => {
            let low = (min > i64::MIN.into()).then(|| integer(min));
            let high = (max < u64::MAX.into()).then(|| integer(max));
            ranged("a whole number", low, high)
        }
        Shape::Number { min, max } => ranged(
            "a number",
            min.map(|(_, text)| text.to_owned()),
            max.map(|(_, text)| text.to_owned()),
        ),
        Shape::Text {
            pattern: Some(pattern),
            ..
        } => ["text that matches ", pattern.text].concat().into(),
        Shape::Text { .. } => "text".into(),
        Shape::Char => "one character".into(),
        Shape::Duration { min, max } => ranged(
            "a duration such as \"2s\"",
            (min > 0).then(|| millis(min)),
            (max < u64::MAX).then(|| millis(max)),
        ),
        Shape::Size { min, max } => ranged(
            "a size such as \"64KiB\"",
            (min > 0).then(|| bytes(min)),
            (max < u64::MAX).then(|| bytes(max)),
        ),
        Shape::Percent => "a percentage such as \"5%\"".into(),
        Shape::Backend => "the name of a backend".into(),
        Shape::List { .. } => "a sequence".into(),
        Shape::Map { .. } | Shape::Fields { .. } => "a mapping".into(),
        Shape::OneOf { variants } => {
            let mut words = String::new();
            for (index, variant) in variants.iter().enumerate() {
                words.push_str(match index {
                    0 if variants.len() > 1 => "one of ",
                    0 => "",
                    _ => ", ",
                });
                words.push('`');
                words.push_str(variant.name);
                words.push_str(if variant.schema.is_some() {
                    ": …`"
                } else {
                    "`"
                });
            }
            words.into()
        }
    }
}

fn ranged(what: &'static str, low: Option<String>, high: Option<String>) -> Cow<'static, str> {
    match (low, high) {
        (None, None) => what.into(),
        (Some(low), None) => [what, ", at least ", &low].concat().into(),
        (None, Some(high)) => [what, ", at most ", &high].concat().into(),
        (Some(low), Some(high)) => [what, " from ", &low, " to ", &high].concat().into(),
    }
}

/// A limit in digits; all of them have 64 bits.
fn integer(value: i128) -> String {
    match (u64::try_from(value), i64::try_from(value)) {
        (Ok(value), _) => value.to_string(),
        (_, Ok(value)) => value.to_string(),
        _ => String::new(),
    }
}

/// A duration as its largest units.
fn millis(mut rest: u64) -> String {
    let mut text = String::new();
    for (unit, size) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = rest / size;
        if count > 0 || (size == 1 && text.is_empty()) {
            text.push_str(&count.to_string());
            text.push_str(unit);
            rest %= size;
        }
    }
    text
}

/// A size in the largest binary unit that it is a multiple of.
fn bytes(size: u64) -> String {
    let (factor, unit) = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")]
        .into_iter()
        .find(|(factor, _)| size > 0 && size.is_multiple_of(*factor))
        .unwrap_or((1, " bytes"));
    let mut text = (size / factor).to_string();
    text.push_str(unit);
    text
}

fn push_found(message: &mut String, value: &Value, secret: bool) {
    match value {
        Value::Null => message.push_str("nothing"),
        Value::Bool(_) if secret => message.push_str("a boolean"),
        Value::Number(_) if secret => message.push_str("a number"),
        Value::String(_) if secret => message.push_str("a string"),
        Value::Bool(true) => message.push_str("true"),
        Value::Bool(false) => message.push_str("false"),
        Value::Number(number) => {
            message.push_str("the number ");
            message.push_str(&number.to_string());
        }
        Value::String(text) => {
            message.push_str("the string \"");
            let mut chars = text.chars();
            for character in chars.by_ref().take(SHOWN) {
                message.extend(character.escape_debug());
            }
            message.push('"');
            if chars.next().is_some() {
                message.push('…');
            }
        }
        Value::Array(_) => message.push_str("a sequence"),
        Value::Object(_) => message.push_str("a mapping"),
    }
}

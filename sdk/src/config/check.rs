//! Compares a value with a schema and says everything that is wrong with it.

use std::borrow::Cow;

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::Problem;
use super::schema::Field;
use super::schema::Schema;
use super::schema::Shape;
use super::schema::Variant;
use super::units;

/// Most problems of one configuration that are told.
const MOST: usize = 20;

/// Most characters of a found text that are shown.
const SHOWN: usize = 40;

/// Everything that is wrong with a value.
pub(super) fn check(schema: &Schema, value: &Value) -> Vec<Problem> {
    let mut walk = Walk {
        path: String::new(),
        problems: Vec::new(),
    };
    walk.value(schema, value);
    walk.problems
}

struct Walk {
    /// Where the value at hand is.
    path: String,
    problems: Vec<Problem>,
}

impl Walk {
    fn add(&mut self, message: String) {
        if self.problems.len() < MOST {
            self.problems.push(Problem {
                path: self.path.clone(),
                message,
            });
        }
    }

    fn value(&mut self, schema: &Schema, value: &Value) {
        if value.is_null() && schema.nullable {
            return;
        }
        match (&schema.shape, value) {
            (Shape::Any, _) | (Shape::Bool, Value::Bool(_)) | (Shape::Nothing, Value::Null) => {}
            (Shape::Nothing, Value::Object(entries)) => self.fields(&[], entries),
            (Shape::Fields { fields }, Value::Object(entries)) => self.fields(fields, entries),
            (Shape::Map { value, min, max }, Value::Object(entries)) => {
                self.length(*min, *max, entries.len(), "entry", "entries");
                for (key, inner) in entries {
                    self.at_key(key, |walk| walk.value(value, inner));
                }
            }
            (Shape::List { item, min, max }, Value::Array(items)) => {
                self.length(*min, *max, items.len(), "item", "items");
                for (index, inner) in items.iter().enumerate() {
                    let length = self.path.len();
                    push_index(&mut self.path, index);
                    self.value(item, inner);
                    self.path.truncate(length);
                }
            }
            (Shape::Text { min, max }, Value::String(text)) => {
                let count = units::count_chars(text);
                self.length(*min, *max, count, "character", "characters");
            }
            (Shape::OneOf { variants }, value) => self.one_of(schema, variants, value),
            (shape, value) => {
                if !fits(shape, value) {
                    self.mismatch(schema, value);
                }
            }
        }
    }

    fn at_key(&mut self, key: &str, then: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if !self.path.is_empty() && is_plain(key) {
            self.path.push('.');
        }
        push_key(&mut self.path, key);
        then(self);
        self.path.truncate(length);
    }

    fn fields(&mut self, fields: &'static [Field], entries: &Map<String, Value>) {
        for field in fields {
            match entries.get(field.name) {
                Some(inner) => self.at_key(field.name, |walk| walk.value(field.schema, inner)),
                None if field.required => {
                    let mut message = "missing; expected ".to_owned();
                    message.push_str(&wanted(field.schema));
                    self.at_key(field.name, |walk| walk.add(message));
                }
                None => {}
            }
        }
        for key in entries.keys() {
            if fields.iter().any(|field| field.name == key) {
                continue;
            }
            let mut message = "unknown field".to_owned();
            let names = fields.iter().map(|field| field.name);
            push_hint(&mut message, key, names, "; there are none");
            self.at_key(key, |walk| walk.add(message));
        }
    }

    fn one_of(&mut self, schema: &Schema, variants: &'static [Variant], value: &Value) {
        let named = |name: &str| variants.iter().find(|variant| variant.name == name);
        match value {
            Value::String(name) => match named(name) {
                Some(variant) if variant.schema.is_none() => {}
                Some(variant) => {
                    let message = ["expected data with it: `", variant.name, ": …`"].concat();
                    self.add(message);
                }
                None => {
                    let mut message = unexpected(schema, value);
                    if let (false, Some(near)) = (schema.secret, nearest(name, variants)) {
                        message.push_str("; did you mean `");
                        message.push_str(near);
                        message.push_str("`?");
                    }
                    self.add(message);
                }
            },
            Value::Object(entries) => match (entries.iter().next(), entries.len()) {
                (Some((name, data)), 1) => match named(name) {
                    Some(Variant {
                        schema: Some(schema),
                        ..
                    }) => self.at_key(name, |walk| walk.value(schema, data)),
                    Some(variant) => {
                        let message = ["expected only the name: `", variant.name, "`"].concat();
                        self.at_key(name, |walk| walk.add(message));
                    }
                    None => {
                        let mut message = "unknown variant".to_owned();
                        let names = variants.iter().map(|variant| variant.name);
                        push_hint(&mut message, name, names, "");
                        self.at_key(name, |walk| walk.add(message));
                    }
                },
                _ => self.mismatch(schema, value),
            },
            _ => self.mismatch(schema, value),
        }
    }

    fn length(&mut self, min: usize, max: usize, count: usize, one: &str, many: &str) {
        let (limit, words) = if count < min {
            (min, "expected at least ")
        } else if count > max {
            (max, "expected at most ")
        } else {
            return;
        };
        let unit = if limit == 1 { one } else { many };
        let (limit, count) = (limit.to_string(), count.to_string());
        self.add([words, &limit, " ", unit, ", found ", &count].concat());
    }

    fn mismatch(&mut self, schema: &Schema, value: &Value) {
        self.add(unexpected(schema, value));
    }
}

/// Whether a scalar is within its limits.
fn fits(shape: &Shape, value: &Value) -> bool {
    match (shape, value) {
        (Shape::Integer { min, max }, Value::Number(number)) => {
            whole(number).is_some_and(|value| value >= *min && value <= *max)
        }
        (Shape::Number { min, max }, Value::Number(number)) => {
            number.as_f64().is_some_and(|value| {
                min.is_none_or(|(min, _)| value >= min) && max.is_none_or(|(max, _)| value <= max)
            })
        }
        (Shape::Duration { min, max }, Value::String(text)) => {
            units::duration(text).is_some_and(|millis| millis >= *min && millis <= *max)
        }
        (Shape::Size { min, max }, value) => {
            size(value).is_some_and(|bytes| bytes >= *min && bytes <= *max)
        }
        (Shape::Percent, Value::String(text)) => units::percent(text).is_some(),
        (Shape::Backend, Value::String(text)) => !text.is_empty(),
        (Shape::Char, Value::String(text)) => units::count_chars(text) == 1,
        _ => false,
    }
}

/// Beyond it, not every whole number is a float.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A whole number, also one that is written with a fraction of zero, as JSON Schema has it.
pub(super) fn whole(number: &Number) -> Option<i128> {
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "just compared")]
    let whole = (value.abs() <= EXACT).then_some(value as i64)?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::float_cmp,
        reason = "exact up to here"
    )]
    let is_whole = whole as f64 == value;
    is_whole.then_some(whole.into())
}

/// The bytes of a size.
pub(super) fn size(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => units::size(text),
        Value::Number(number) => u64::try_from(whole(number)?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn unexpected(schema: &Schema, value: &Value) -> String {
    let mut message = "expected ".to_owned();
    message.push_str(&wanted(schema));
    message.push_str(", found ");
    push_found(&mut message, value, schema.secret);
    message
}

/// What a schema accepts, in words.
fn wanted(schema: &Schema) -> Cow<'static, str> {
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

/// Adds the nearest name, or all of them if there are few.
fn push_hint(
    message: &mut String,
    found: &str,
    names: impl Iterator<Item = &'static str> + Clone,
    none: &str,
) {
    if let Some(near) = nearest_of(found, names.clone()) {
        message.push_str("; did you mean `");
        message.push_str(near);
        message.push_str("`?");
        return;
    }
    let mut any = false;
    for name in names {
        message.push_str(if any { ", `" } else { "; known are `" });
        message.push_str(name);
        message.push('`');
        any = true;
    }
    if !any {
        message.push_str(none);
    }
}

fn nearest(found: &str, variants: &'static [Variant]) -> Option<&'static str> {
    nearest_of(found, variants.iter().map(|variant| variant.name))
}

/// The name that a misspelt one is nearest to, if any is near.
fn nearest_of(found: &str, names: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    const LONGEST: usize = 64;
    if found.len() > LONGEST {
        return None;
    }
    let limit = (found.len() / 3).min(4);
    let near = names.map(|name| (distance(found.as_bytes(), name.as_bytes()), name));
    near.filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// How many letters differ, upper and lower case aside.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, a) in one.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let Some((first, rest)) = row.split_first_mut() else {
            break;
        };
        *first = left;
        for (above, b) in rest.iter_mut().zip(other) {
            let change = diagonal + usize::from(!a.eq_ignore_ascii_case(b));
            diagonal = *above;
            left = change.min(left + 1).min(*above + 1);
            *above = left;
        }
    }
    row.last().copied().unwrap_or(one.len())
}

/// Whether a key needs no quotes in a path.
fn is_plain(key: &str) -> bool {
    !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

pub(super) fn push_key(path: &mut String, key: &str) {
    if is_plain(key) {
        path.push_str(key);
        return;
    }
    path.push_str("[\"");
    for character in key.chars().take(SHOWN) {
        path.extend(character.escape_debug());
    }
    path.push_str("\"]");
}

pub(super) fn push_index(path: &mut String, index: usize) {
    path.push('[');
    path.push_str(&index.to_string());
    path.push(']');
}

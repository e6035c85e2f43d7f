//! Compares a value with a schema and says everything that is wrong with it.

use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use super::Problem;
use super::nearest::nearest;
use super::nearest::push_hint;
use super::path::is_plain;
use super::path::push_index;
use super::path::push_key;
use super::schema::Field;
use super::schema::Schema;
use super::schema::Shape;
use super::schema::Variant;
use super::units;
use super::words::unexpected;
use super::words::wanted;

/// Most problems of one configuration that are told.
const MOST: usize = 20;

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
            (Shape::Text { min, max, pattern }, Value::String(text)) => {
                let count = units::count_chars(text);
                self.length(*min, *max, count, "character", "characters");
                if count >= *min
                    && count <= *max
                    && pattern.is_some_and(|pattern| !pattern.accepts(text))
                {
                    self.mismatch(schema, value);
                }
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

/// A whole number, also one that is written with a fraction of zero, as JSON Schema has it.
pub(super) fn whole(number: &Number) -> Option<i128> {
    // More than any of our types holds, and exact as an integer.
    const MOST: f64 = 36_893_488_147_419_103_232.0;
    if let Some(value) = number.as_i64() {
        return Some(value.into());
    }
    if let Some(value) = number.as_u64() {
        return Some(value.into());
    }
    let value = number.as_f64()?;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and just compared")]
    (value.fract() == 0.0 && value.abs() < MOST).then_some(value as i128)
}

/// The bytes of a size.
pub(super) fn size(value: &Value) -> Option<u64> {
    match value {
        Value::String(text) => units::size(text),
        Value::Number(number) => u64::try_from(whole(number)?).ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

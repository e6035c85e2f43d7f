//! Values that the attributes of the derive give: defaults and limits, known at compile time.

use serde_json::Number;
use serde_json::Value;

use super::schema::Schema;
use super::schema::Shape;
use super::units;

/// A value written in an attribute.
#[derive(Debug, Clone, Copy)]
pub enum Literal {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, and its text in JSON.
    Integer(i128, &'static str),
    /// Any other number, and its text in JSON.
    Number(f64, &'static str),
    /// Text.
    Text(&'static str),
    /// A list.
    List(&'static [Self]),
}

impl Literal {
    /// The same as JSON.
    #[must_use]
    pub fn to_value(self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(value),
            Self::Integer(value, _) => Number::from_i128(value).map_or(Value::Null, Value::Number),
            Self::Number(value, _) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Self::Text(text) => Value::String(text.to_owned()),
            Self::List(items) => Value::Array(items.iter().map(|item| item.to_value()).collect()),
        }
    }
}

impl Schema {
    /// Whether a default fits. Structs and maps have no literals, so none fits.
    #[must_use]
    pub const fn accepts(&self, literal: &Literal) -> bool {
        match (&self.shape, literal) {
            (Shape::Any, _) | (Shape::Bool, Literal::Bool(_)) => true,
            (Shape::Integer { min, max }, Literal::Integer(value, _)) => {
                *value >= *min && *value <= *max
            }
            (Shape::Number { min, max }, Literal::Integer(_, _) | Literal::Number(_, _)) => {
                let value = match literal {
                    Literal::Number(value, _) => *value,
                    literal => literal.as_number(),
                };
                (match min {
                    Some((min, _)) => value >= *min,
                    None => true,
                }) && (match max {
                    Some((max, _)) => value <= *max,
                    None => true,
                })
            }
            (Shape::Text { min, max, .. }, Literal::Text(text)) => {
                let count = units::count_chars(text);
                count >= *min && count <= *max
            }
            (Shape::Backend, Literal::Text(text)) => !text.is_empty(),
            (Shape::Char, Literal::Text(text)) => units::count_chars(text) == 1,
            (Shape::Duration { min, max }, Literal::Text(text)) => match units::duration(text) {
                Some(millis) => millis >= *min && millis <= *max,
                None => false,
            },
            (Shape::Size { min, max }, Literal::Text(text)) => match units::size(text) {
                Some(bytes) => bytes >= *min && bytes <= *max,
                None => false,
            },
            (Shape::Size { min, max }, Literal::Integer(value, _)) => {
                *value >= *min as i128 && *value <= *max as i128
            }
            (Shape::Percent, Literal::Text(text)) => units::percent(text).is_some(),
            (Shape::OneOf { variants }, Literal::Text(text)) => {
                let mut rest = *variants;
                while let [variant, after @ ..] = rest {
                    if variant.schema.is_none() && units::same(variant.name, text) {
                        return true;
                    }
                    rest = after;
                }
                false
            }
            (Shape::List { item, min, max }, Literal::List(items)) => {
                let mut rest = *items;
                while let [first, after @ ..] = rest {
                    if !item.accepts(first) {
                        return false;
                    }
                    rest = after;
                }
                items.len() >= *min && items.len() <= *max
            }
            (
                Shape::Nothing
                | Shape::Bool
                | Shape::Integer { .. }
                | Shape::Number { .. }
                | Shape::Text { .. }
                | Shape::Backend
                | Shape::Char
                | Shape::Duration { .. }
                | Shape::Size { .. }
                | Shape::Percent
                | Shape::OneOf { .. }
                | Shape::List { .. }
                | Shape::Map { .. }
                | Shape::Fields { .. },
                _,
            ) => false,
        }
    }
}

impl Literal {
    /// A number as a float; 0 for what is no number.
    #[expect(
        clippy::cast_precision_loss,
        reason = "limits of floats are what floats can hold"
    )]
    pub(super) const fn as_number(&self) -> f64 {
        match self {
            Self::Integer(value, _) => *value as f64,
            Self::Number(value, _) => *value,
            Self::Bool(_) | Self::Text(_) | Self::List(_) => 0.0,
        }
    }
}

//! What the attributes of the derive do to schemas.
//!
//! They run at compile time: limits that the type cannot have, and defaults that do not fit, are
//! compile errors where the schema is used.

use super::literal::Literal;
use super::pattern::Node;
use super::pattern::Pattern;
use super::schema::Schema;
use super::schema::Shape;
use super::units;

/// What limits of attributes do. They run at compile time, where a panic is a compile error.
#[expect(clippy::panic, reason = "compile errors of the derive")]
impl Schema {
    /// `#[config(min = …)]`
    #[doc(hidden)]
    #[must_use]
    pub const fn min(self, limit: &Literal) -> Self {
        let shape = match (self.shape, limit) {
            (Shape::Integer { min, max }, Literal::Integer(value, _)) => {
                assert!(*value >= min, "the type cannot be as low as this `min`");
                Shape::Integer { min: *value, max }
            }
            (Shape::Number { max, .. }, Literal::Integer(_, text) | Literal::Number(_, text)) => {
                Shape::Number {
                    min: Some((limit.as_number(), text)),
                    max,
                }
            }
            (Shape::Duration { max, .. }, limit) => Shape::Duration {
                min: duration(limit),
                max,
            },
            (Shape::Size { max, .. }, limit) => Shape::Size {
                min: size(limit),
                max,
            },
            (Shape::Integer { .. } | Shape::Number { .. }, _) => {
                panic!("`min` must be a number, as the type is")
            }
            _ => panic!("`min` is for numbers, durations and sizes; see `min_len`"),
        };
        Self { shape, ..self }.ordered()
    }

    /// `#[config(max = …)]`
    #[doc(hidden)]
    #[must_use]
    pub const fn max(self, limit: &Literal) -> Self {
        let shape = match (self.shape, limit) {
            (Shape::Integer { min, max }, Literal::Integer(value, _)) => {
                assert!(*value <= max, "the type cannot be as high as this `max`");
                Shape::Integer { min, max: *value }
            }
            (Shape::Number { min, .. }, Literal::Integer(_, text) | Literal::Number(_, text)) => {
                Shape::Number {
                    min,
                    max: Some((limit.as_number(), text)),
                }
            }
            (Shape::Duration { min, .. }, limit) => Shape::Duration {
                min,
                max: duration(limit),
            },
            (Shape::Size { min, .. }, limit) => Shape::Size {
                min,
                max: size(limit),
            },
            (Shape::Integer { .. } | Shape::Number { .. }, _) => {
                panic!("`max` must be a number, as the type is")
            }
            _ => panic!("`max` is for numbers, durations and sizes; see `max_len`"),
        };
        Self { shape, ..self }.ordered()
    }

    /// `#[config(min_len = …)]`
    #[doc(hidden)]
    #[must_use]
    pub const fn min_len(self, limit: usize) -> Self {
        self.length(limit, usize::MAX)
    }

    /// `#[config(max_len = …)]`
    #[doc(hidden)]
    #[must_use]
    pub const fn max_len(self, limit: usize) -> Self {
        self.length(0, limit)
    }

    /// `#[config(pattern = "…")]`
    #[doc(hidden)]
    #[must_use]
    pub const fn pattern(self, text: &'static str, node: &'static Node) -> Self {
        let shape = match self.shape {
            Shape::Text { min, max, .. } => Shape::Text {
                min,
                max,
                pattern: Some(Pattern::new(text, node)),
            },
            _ => panic!("`pattern` is for text; items of lists have it in a type of their own"),
        };
        Self { shape, ..self }
    }

    const fn length(self, least: usize, most: usize) -> Self {
        const fn narrowed(min: usize, max: usize, least: usize, most: usize) -> (usize, usize) {
            (
                if least > min { least } else { min },
                if most < max { most } else { max },
            )
        }
        let shape = match self.shape {
            Shape::Text { min, max, pattern } => {
                let (min, max) = narrowed(min, max, least, most);
                Shape::Text { min, max, pattern }
            }
            Shape::List { item, min, max } => {
                let (min, max) = narrowed(min, max, least, most);
                Shape::List { item, min, max }
            }
            Shape::Map { value, min, max } => {
                let (min, max) = narrowed(min, max, least, most);
                Shape::Map { value, min, max }
            }
            _ => panic!("`min_len` and `max_len` are for text, lists and maps; see `min`"),
        };
        Self { shape, ..self }.ordered()
    }

    /// The same, if there is any value between its limits.
    const fn ordered(self) -> Self {
        let is_ordered = match self.shape {
            Shape::Integer { min, max } => min <= max,
            Shape::Number {
                min: Some((min, _)),
                max: Some((max, _)),
            } => min <= max,
            Shape::Duration { min, max } | Shape::Size { min, max } => min <= max,
            Shape::Text { min, max, .. }
            | Shape::List { min, max, .. }
            | Shape::Map { min, max, .. } => min <= max,
            _ => true,
        };
        assert!(is_ordered, "the lower limit is above the upper one");
        self
    }
}

impl Schema {
    /// `#[config(default = …)]`: the literal, if it fits.
    #[doc(hidden)]
    #[must_use]
    pub const fn default(self, literal: Literal) -> Literal {
        assert!(
            self.accepts(&literal),
            "the type and its limits do not accept this `default`"
        );
        literal
    }
}

#[expect(clippy::panic, reason = "compile errors of the derive")]
const fn duration(limit: &Literal) -> u64 {
    if let Literal::Text(text) = limit
        && let Some(millis) = units::duration(text)
    {
        return millis;
    }
    panic!("the limit of a duration must be one, such as \"2s\"")
}

#[expect(clippy::panic, reason = "compile errors of the derive")]
const fn size(limit: &Literal) -> u64 {
    match limit {
        Literal::Text(text) => match units::size(text) {
            Some(bytes) => bytes,
            None => panic!("the limit of a size must be one, such as \"64KiB\""),
        },
        Literal::Integer(bytes, _) if *bytes >= 0 && *bytes <= u64::MAX as i128 => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "just compared"
            )]
            let bytes = *bytes as u64;
            bytes
        }
        _ => panic!("the limit of a size must be one, such as \"64KiB\""),
    }
}

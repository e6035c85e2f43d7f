//! What values a type accepts, as constant data.
//!
//! Types say it through [`super::FilterConfig::SCHEMA`]; limits of attributes narrow it. It is compared with
//! values by `check` and written as JSON Schema by [`crate::manifest`].

use super::literal::Literal;
use super::units;

/// The values that a type accepts.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// What they look like.
    #[doc(hidden)]
    pub shape: Shape,
    /// Whether nothing (`null`, or no such field) is one of them.
    #[doc(hidden)]
    pub nullable: bool,
    /// Whether no message may show them.
    #[doc(hidden)]
    pub secret: bool,
    /// What they are for; empty if nobody said.
    #[doc(hidden)]
    pub description: &'static str,
}

/// What values look like. Lengths and limits are inclusive.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Shape {
    /// Anything.
    Any,
    /// Nothing, or an empty mapping.
    Nothing,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer {
        /// The least.
        min: i128,
        /// The greatest.
        max: i128,
    },
    /// A number, with the texts of its limits in JSON.
    Number {
        /// The least.
        min: Option<(f64, &'static str)>,
        /// The greatest.
        max: Option<(f64, &'static str)>,
    },
    /// Text of so many characters.
    Text {
        /// The fewest.
        min: usize,
        /// The most.
        max: usize,
    },
    /// One character.
    Char,
    /// A duration, in milliseconds.
    Duration {
        /// The shortest.
        min: u64,
        /// The longest.
        max: u64,
    },
    /// A size, in bytes.
    Size {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// A percentage from 0% to 100%.
    Percent,
    /// The name of a backend.
    Backend,
    /// A list.
    List {
        /// What its items accept.
        item: &'static Schema,
        /// The fewest items.
        min: usize,
        /// The most items.
        max: usize,
    },
    /// A mapping from free names.
    Map {
        /// What its values accept.
        value: &'static Schema,
        /// The fewest entries.
        min: usize,
        /// The most entries.
        max: usize,
    },
    /// A mapping from these names.
    Fields {
        /// The names.
        fields: &'static [Field],
    },
    /// One of several.
    OneOf {
        /// Them.
        variants: &'static [Variant],
    },
}

/// A field of a mapping.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it is for.
    pub description: &'static str,
    /// What it accepts.
    pub schema: &'static Schema,
    /// Whether it must be there.
    pub required: bool,
    /// What it is if it is not there, where that can be written down.
    pub default: Option<Literal>,
}

/// A variant of an enum.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub struct Variant {
    /// Its name in the configuration.
    pub name: &'static str,
    /// What it means.
    pub description: &'static str,
    /// What its data accepts; `None` if it has none, and is its name alone.
    pub schema: Option<&'static Schema>,
}

impl Schema {
    /// Values of a shape.
    #[doc(hidden)]
    #[must_use]
    pub const fn of(shape: Shape) -> Self {
        Self {
            shape,
            nullable: false,
            secret: false,
            description: "",
        }
    }

    /// Anything.
    #[must_use]
    pub const fn any() -> Self {
        Self {
            nullable: true,
            ..Self::of(Shape::Any)
        }
    }

    /// Text, a limit of its length aside.
    #[must_use]
    pub const fn text() -> Self {
        Self::of(Shape::Text {
            min: 0,
            max: usize::MAX,
        })
    }

    /// Whole numbers from `min` to `max`.
    #[must_use]
    pub const fn integer(min: i128, max: i128) -> Self {
        Self::of(Shape::Integer { min, max })
    }

    /// The same values, or nothing.
    #[must_use]
    pub const fn or_nothing(self) -> Self {
        Self {
            nullable: true,
            ..self
        }
    }

    /// The same values, which no message shows.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self {
            secret: true,
            ..self
        }
    }

    /// The same values, and what they are for.
    #[must_use]
    pub const fn describe(self, description: &'static str) -> Self {
        Self {
            description,
            ..self
        }
    }
}

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

    const fn length(self, least: usize, most: usize) -> Self {
        const fn narrowed(min: usize, max: usize, least: usize, most: usize) -> (usize, usize) {
            (
                if least > min { least } else { min },
                if most < max { most } else { max },
            )
        }
        let shape = match self.shape {
            Shape::Text { min, max } => {
                let (min, max) = narrowed(min, max, least, most);
                Shape::Text { min, max }
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
            Shape::Text { min, max }
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

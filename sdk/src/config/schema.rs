//! What values a type accepts, as constant data.
//!
//! Types say it through [`super::FilterConfig::SCHEMA`]; limits of attributes narrow it. It is compared with
//! values by `check` and written as JSON Schema by [`crate::manifest`].

use super::literal::Literal;
use super::pattern::Pattern;

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
    /// What the gateway sees in them.
    #[doc(hidden)]
    pub mark: Mark,
}

/// What the gateway sees in values, beside what they look like.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Nothing.
    None,
    /// A percentage of a rule's requests.
    BackendShare,
    /// The name of a backendRef.
    BackendRef,
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
        /// What it looks like.
        pattern: Option<Pattern>,
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
            mark: Mark::None,
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
            pattern: None,
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

    /// The same values, each a percentage of a rule's requests that the filter sends to a backendRef of its
    /// choice ([`crate::select`]): in the items of a list, to the one at the item's place; elsewhere, to the
    /// last. Where the weights of backendRefs say something else, `tidegate check` remarks on it.
    #[must_use]
    pub const fn backend_share(self) -> Self {
        Self {
            mark: Mark::BackendShare,
            ..self
        }
    }

    /// The same values, each the name of a backendRef: of the one that a share beside it is of.
    #[must_use]
    pub const fn backend_ref(self) -> Self {
        Self {
            mark: Mark::BackendRef,
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

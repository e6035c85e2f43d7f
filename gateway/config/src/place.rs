//! Where something stands in what an operator wrote.
//!
//! A [`Span`] counts from the first line of its document, so that what was read from a document stays
//! valid when lines are added above it; a [`Place`] counts from the first line of the file. An
//! [`Origin`] makes the one of the other. [`At`] is a value that remembers its span: it reads it from
//! the deserializer of this crate, and has none ([`Span::NONE`]) if it comes from elsewhere.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::hash::Hasher;
use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use schemars::JsonSchema;
use schemars::Schema;
use schemars::SchemaGenerator;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::SeqAccess;
use serde::de::Visitor;

/// A place in a file; lines and columns begin at 1, columns count characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub file: Arc<Path>,
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
    /// How many characters it takes on that line; at least 1.
    pub length: u32,
}

/// A place in a document, which keeps when the document moves within its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// How many lines of the document stand above.
    pub line: u32,
    /// The column, from 1, in characters.
    pub column: u32,
    /// How many characters it takes on that line; at least 1.
    pub length: u32,
}

impl Span {
    /// The beginning of a document: where what has no place is reported.
    pub const NONE: Self = Self {
        line: 0,
        column: 1,
        length: 1,
    };
}

/// Where a document begins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    /// The file.
    pub file: Arc<Path>,
    /// The line of the file that the document begins at, from 1.
    pub first_line: u32,
}

impl Origin {
    /// The place in the file of a span of the document.
    #[must_use]
    pub fn place(&self, span: Span) -> Place {
        Place {
            file: Arc::clone(&self.file),
            line: self.first_line.saturating_add(span.line),
            column: span.column,
            length: span.length,
        }
    }
}

/// A value with the place it was written at. Two are equal if their values are.
#[derive(Debug, Clone, Copy)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands in its document.
    pub span: Span,
}

impl<T> At<T> {
    /// A value that nobody wrote, such as a default.
    pub const fn nowhere(value: T) -> Self {
        Self {
            value,
            span: Span::NONE,
        }
    }
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T: PartialOrd> PartialOrd for At<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for At<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: Hash> Hash for At<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}

/// The name by which [`At`] asks the deserializer of this crate for places.
pub(crate) const AT: &str = "$tidegate::At";

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AT, AtVisitor(PhantomData))
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    /// Our own deserializer: line, column, length, value.
    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<At<T>, A::Error> {
        let missing = || A::Error::custom("a place has three numbers");
        let span = Span {
            line: parts.next_element()?.ok_or_else(missing)?,
            column: parts.next_element()?.ok_or_else(missing)?,
            length: parts.next_element()?.ok_or_else(missing)?,
        };
        let value = parts.next_element()?.ok_or_else(missing)?;
        Ok(At { value, span })
    }

    /// Any other deserializer.
    fn visit_newtype_struct<D: Deserializer<'de>>(self, other: D) -> Result<At<T>, D::Error> {
        T::deserialize(other).map(At::nowhere)
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

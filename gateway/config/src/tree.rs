//! A document as a tree in which each node knows its place.
//!
//! Values follow the core schema of YAML 1.2: `yes` and `on` are strings. Keys are strings, as in
//! JSON. [`crate::parse`] makes trees of texts.

mod build;
mod cost;
mod explain;
mod extent;
mod fault;
mod scalar;
mod span;
mod words;

use serde_json::Number;

use crate::place::Span;

pub(crate) use build::build;
pub(crate) use extent::Extents;
pub(crate) use fault::Fault;

/// Most values of one document, those that aliases repeat counted each time.
pub const MAX_NODES: usize = 100_000;

/// Deepest nesting of mappings and sequences.
pub const MAX_DEPTH: usize = 64;

/// Most bytes of text that the aliases of one document may repeat.
pub const MAX_REPEATED_BYTES: usize = 1 << 20;

/// A value with its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands: a scalar with its quotes, else the first key or the opening bracket.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number; those beyond 128 bits are [`Value::Float`].
    Int(i128),
    /// Any other number; may be infinite or not a number, which JSON has no notation for.
    Float(f64),
    /// Text.
    Str(Box<str>),
    /// A sequence.
    Seq(Vec<Node>),
    /// A mapping, in the order it was written; no key comes twice.
    Map(Vec<(Key, Node)>),
}

/// A key of a mapping with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Where it stands, quotes included.
    pub span: Span,
    /// Its text.
    pub name: Box<str>,
}

impl Node {
    /// The value of a key, and the key, if this is a mapping that has it.
    #[must_use]
    pub fn entry(&self, name: &str) -> Option<(&Key, &Self)> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        let (key, value) = entries.iter().find(|(key, _)| &*key.name == name)?;
        Some((key, value))
    }

    /// The value of a key, if this is a mapping that has it and it is not null.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Self> {
        let (_, value) = self.entry(name)?;
        (value.value != Value::Null).then_some(value)
    }

    /// The text, if this is text.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Seq(_)
            | Value::Map(_) => None,
        }
    }

    /// The same as JSON. Numbers that JSON cannot hold become null; [`crate::schema`] refuses them
    /// before.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(value) => serde_json::Value::Bool(*value),
            Value::Int(value) => {
                Number::from_i128(*value).map_or(serde_json::Value::Null, serde_json::Value::Number)
            }
            Value::Float(value) => {
                Number::from_f64(*value).map_or(serde_json::Value::Null, serde_json::Value::Number)
            }
            Value::Str(value) => serde_json::Value::String(value.as_ref().to_owned()),
            Value::Seq(items) => items.iter().map(Self::to_json).collect(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, value)| (key.name.as_ref().to_owned(), value.to_json()))
                .collect(),
        }
    }
}

//! A tree as a source of serde: fills the structs of kinds, places included.
//!
//! The schema has found most faults before ([`crate::schema`]); what serde still refuses is reported
//! with the place and path of the innermost value.

mod access;
mod whole;

use serde::de;
use serde::de::Deserializer;
use serde::de::Visitor;
use serde::de::value::BorrowedStrDeserializer;
use serde::forward_to_deserialize_any;

use crate::place::AT;
use crate::place::Span;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;
use access::AtParts;
use access::AtValue;
use access::Entries;
use access::Items;
use access::Variant;

/// Fields of each resource's header, which its struct does not have.
pub(crate) const HEADER: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// A value that does not fit.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct DeError {
    /// What does not fit.
    pub message: String,
    /// The innermost value around it; `None` only for errors that no value is to blame for.
    pub span: Option<Span>,
    /// The fields and positions that lead to it, outermost last.
    path: Vec<String>,
}

impl DeError {
    /// The path that leads to it, such as `spec.rules[0].name`.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = String::new();
        for step in self.path.iter().rev() {
            if !path.is_empty() && !step.starts_with('[') {
                path.push('.');
            }
            path.push_str(step);
        }
        path
    }

    fn at(mut self, span: Span) -> Self {
        self.span.get_or_insert(span);
        self
    }

    fn below(mut self, step: impl FnOnce() -> String) -> Self {
        self.path.push(step());
        self
    }
}

impl de::Error for DeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self {
            message: message.to_string(),
            span: None,
            path: Vec::new(),
        }
    }
}

/// The value of a tree.
///
/// # Errors
///
/// [`DeError`] if the tree does not have the shape that `T` wants.
pub fn from_node<'de, T: de::Deserialize<'de>>(node: &'de Node) -> Result<T, DeError> {
    T::deserialize(NodeDeserializer { node, skip: &[] })
}

/// The fields of a resource beside its header.
///
/// # Errors
///
/// [`DeError`] if the tree does not have the shape that `T` wants.
pub fn from_resource<'de, T: de::Deserialize<'de>>(node: &'de Node) -> Result<T, DeError> {
    T::deserialize(NodeDeserializer {
        node,
        skip: &HEADER,
    })
}

#[derive(Clone, Copy)]
struct NodeDeserializer<'de> {
    node: &'de Node,
    /// Keys that are passed over.
    skip: &'static [&'static str],
}

impl<'de> NodeDeserializer<'de> {
    fn new(node: &'de Node) -> Self {
        Self { node, skip: &[] }
    }

    fn entries(self, entries: &'de [(Key, Node)], skip_null: bool) -> Entries<'de> {
        Entries {
            rest: entries.iter(),
            skip: self.skip,
            skip_null,
            value: None,
        }
    }
}

impl<'de> Deserializer<'de> for NodeDeserializer<'de> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        let result = match &self.node.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => visit_int(*value, visitor),
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Str(value) => visitor.visit_borrowed_str(value),
            Value::Seq(items) => visitor.visit_seq(Items {
                rest: items.iter(),
                index: 0,
            }),
            Value::Map(entries) => visitor.visit_map(self.entries(entries, false)),
        };
        result.map_err(|err| err.at(self.node.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        if self.node.value == Value::Null {
            visitor.visit_none()
        } else {
            visitor.visit_some(self)
        }
    }

    /// [`crate::place::At`] gets the span first, anything else just the value.
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        if name != AT {
            return visitor.visit_newtype_struct(self);
        }
        visitor.visit_seq(AtParts {
            span: self.node.span,
            part: 0,
            value: AtValue::Node(self),
        })
    }

    /// Fields that are null are fields that are not there.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        match &self.node.value {
            Value::Map(entries) => visitor
                .visit_map(self.entries(entries, true))
                .map_err(|err| err.at(self.node.span)),
            Value::Null
            | Value::Bool(_)
            | Value::Int(_)
            | Value::Float(_)
            | Value::Str(_)
            | Value::Seq(_) => self.deserialize_any(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        let result = match &self.node.value {
            Value::Str(name) => visitor.visit_enum(BorrowedStrDeserializer::new(name)),
            Value::Map(entries) => match entries.as_slice() {
                [(key, value)] => visitor.visit_enum(Variant { key, value }),
                _ => Err(de::Error::custom(
                    "expected a mapping with exactly one field",
                )),
            },
            Value::Null | Value::Bool(_) | Value::Int(_) | Value::Float(_) | Value::Seq(_) => Err(
                de::Error::custom("expected a name or a mapping with one field"),
            ),
        };
        result.map_err(|err: DeError| err.at(self.node.span))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map identifier
    }
}

fn visit_int<'de, V: Visitor<'de>>(value: i128, visitor: V) -> Result<V::Value, DeError> {
    if let Ok(value) = u64::try_from(value) {
        visitor.visit_u64(value)
    } else if let Ok(value) = i64::try_from(value) {
        visitor.visit_i64(value)
    } else {
        visitor.visit_i128(value)
    }
}

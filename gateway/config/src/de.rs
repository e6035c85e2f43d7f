//! A tree as a source of serde: fills the structs of kinds, places included.
//!
//! The schema has found most faults before ([`crate::schema`]); what serde still refuses is reported
//! with the place and path of the innermost value.

use serde::de;
use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::EnumAccess;
use serde::de::IntoDeserializer;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::VariantAccess;
use serde::de::Visitor;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::value::U32Deserializer;
use serde::forward_to_deserialize_any;

use crate::place::AT;
use crate::place::Span;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

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

struct Items<'de> {
    rest: std::slice::Iter<'de, Node>,
    index: usize,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DeError> {
        let Some(node) = self.rest.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        seed.deserialize(NodeDeserializer::new(node))
            .map(Some)
            .map_err(|err| err.below(|| format!("[{index}]")))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Entries<'de> {
    rest: std::slice::Iter<'de, (Key, Node)>,
    skip: &'static [&'static str],
    skip_null: bool,
    value: Option<&'de (Key, Node)>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = DeError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DeError> {
        let (skip, skip_null) = (self.skip, self.skip_null);
        let next = self.rest.find(|(key, value)| {
            let is_absent = skip_null && value.value == Value::Null;
            !is_absent && !skip.contains(&&*key.name)
        });
        let Some(entry) = next else {
            return Ok(None);
        };
        self.value = Some(entry);
        let (key, _) = entry;
        seed.deserialize(KeyDeserializer(key))
            .map(Some)
            .map_err(|err| err.at(key.span))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, DeError> {
        let Some((key, value)) = self.value.take() else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        seed.deserialize(NodeDeserializer::new(value))
            .map_err(|err| err.below(|| key.name.as_ref().to_owned()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct KeyDeserializer<'de>(&'de Key);

impl<'de> Deserializer<'de> for KeyDeserializer<'de> {
    type Error = DeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DeError> {
        visitor.visit_borrowed_str(&self.0.name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DeError> {
        if name != AT {
            return visitor.visit_newtype_struct(self);
        }
        visitor.visit_seq(AtParts {
            span: self.0.span,
            part: 0,
            value: AtValue::Key(self.0),
        })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        BorrowedStrDeserializer::new(&self.0.name).deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// Line, column, length and value, as [`crate::place::At`] reads them.
struct AtParts<'de> {
    span: Span,
    part: u8,
    value: AtValue<'de>,
}

#[derive(Clone, Copy)]
enum AtValue<'de> {
    Node(NodeDeserializer<'de>),
    Key(&'de Key),
}

impl<'de> SeqAccess<'de> for AtParts<'de> {
    type Error = DeError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DeError> {
        self.part += 1;
        let number = match self.part {
            1 => self.span.line,
            2 => self.span.column,
            3 => self.span.length,
            _ => {
                return match self.value {
                    AtValue::Node(node) => seed.deserialize(node),
                    AtValue::Key(key) => seed.deserialize(KeyDeserializer(key)),
                }
                .map(Some);
            }
        };
        let number: U32Deserializer<DeError> = number.into_deserializer();
        seed.deserialize(number).map(Some)
    }
}

/// A mapping with one field as a variant of an enum.
struct Variant<'de> {
    key: &'de Key,
    value: &'de Node,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DeError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), DeError> {
        let value = seed
            .deserialize(KeyDeserializer(self.key))
            .map_err(|err| err.at(self.key.span))?;
        Ok((value, self))
    }
}

impl<'de> Variant<'de> {
    fn below(&self, err: DeError) -> DeError {
        err.below(|| self.key.name.as_ref().to_owned())
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DeError;

    fn unit_variant(self) -> Result<(), DeError> {
        let expected = format!("expected just {:?}, not a mapping", self.key.name);
        Err(<DeError as de::Error>::custom(expected).at(self.key.span))
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, DeError> {
        seed.deserialize(NodeDeserializer::new(self.value))
            .map_err(|err| self.below(err))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, DeError> {
        NodeDeserializer::new(self.value)
            .deserialize_seq(visitor)
            .map_err(|err| self.below(err))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DeError> {
        NodeDeserializer::new(self.value)
            .deserialize_struct("", fields, visitor)
            .map_err(|err| self.below(err))
    }
}

//! The inside of values: items, entries, keys, variants, and the parts of [`crate::place::At`].

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

use super::DeError;
use super::NodeDeserializer;
use crate::place::AT;
use crate::place::Span;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

pub(super) struct Items<'de> {
    pub(super) rest: std::slice::Iter<'de, Node>,
    pub(super) index: usize,
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

pub(super) struct Entries<'de> {
    pub(super) rest: std::slice::Iter<'de, (Key, Node)>,
    pub(super) skip: &'static [&'static str],
    pub(super) skip_null: bool,
    pub(super) value: Option<&'de (Key, Node)>,
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

pub(super) struct KeyDeserializer<'de>(&'de Key);

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
pub(super) struct AtParts<'de> {
    pub(super) span: Span,
    pub(super) part: u8,
    pub(super) value: AtValue<'de>,
}

#[derive(Clone, Copy)]
pub(super) enum AtValue<'de> {
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
pub(super) struct Variant<'de> {
    pub(super) key: &'de Key,
    pub(super) value: &'de Node,
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

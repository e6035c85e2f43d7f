//! JSON that can be read in one way only.
//!
//! Refuses members that are there twice, which readers take the first or the last of, and values that are
//! nested deeper than anybody needs. UTF-8 and numbers are serde_json's care.

use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

/// How deep values may be nested, the outermost included.
const DEEPEST: usize = 32;

/// Reads a text that is one mapping.
///
/// # Errors
/// What is wrong with it, in words.
pub fn mapping(text: &[u8]) -> Result<Map<String, Value>, String> {
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = Strict(DEEPEST).deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("it is JSON, but no mapping".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A value that may be nested so deep.
#[derive(Clone, Copy)]
struct Strict(usize);

impl Strict {
    fn inner<E: Error>(self) -> Result<Self, E> {
        match self.0.checked_sub(1) {
            Some(0) | None => Err(E::custom("values are nested too deep")),
            Some(left) => Ok(Self(left)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).map(Value::Number);
        number.ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut members = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            if members.contains_key(&name) {
                return Err(A::Error::custom("a member is there twice"));
            }
            members.insert(name, entries.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::mapping;

    #[test]
    fn a_mapping_is_read_as_it_is() {
        let text = br#"{"a": [1, -2, 0.5, true, null, "x"], "b": {"c": {}}}"#;
        let read = serde_json::to_value(mapping(text).unwrap()).unwrap();
        let plain: serde_json::Value = serde_json::from_slice(text).unwrap();
        assert_eq!(read, plain);
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_is_no_mapping_is_refused() {
        for (text, why) in [
            (&br#"{"a": 1, "a": 1}"#[..], "twice"),
            (br#"{"x": {"a": 1, "\u0061": 2}}"#, "twice"),
            (b"[]", "no mapping"),
            (b"{} {}", "trailing"),
            (b"", "EOF"),
            (b"{\"a\": \"\xff\"}", "unicode"),
            (b"{\"a\": 1e999}", "range"),
            (br#"{"a": NaN}"#, "expected"),
        ] {
            let refused = mapping(text).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
    }

    #[test]
    fn values_are_nested_so_deep_and_no_deeper() {
        let nested = |depth: usize| {
            let text = ["{\"a\":", &"[".repeat(depth), &"]".repeat(depth), "}"].concat();
            mapping(text.as_bytes())
        };
        assert!(nested(30).is_ok());
        for depth in [31, 1_000, 100_000] {
            assert!(nested(depth).is_err(), "{depth}");
        }
    }
}

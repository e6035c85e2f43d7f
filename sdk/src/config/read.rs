//! What the code that the derive writes calls.
//!
//! It runs on values that were compared with their schema before; what does not fit all the same is
//! answered, never a panic.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde_json::Map;
use serde_json::Value;

use super::FilterConfig;
use super::Literal;
use super::Problem;

/// The fields of a mapping.
#[derive(Debug, Clone, Copy)]
pub struct Entries<'v>(Option<&'v Map<String, Value>>);

impl<'v> Entries<'v> {
    /// Those of a value.
    #[must_use]
    pub fn of(value: &'v Value) -> Self {
        Self(value.as_object())
    }

    fn get(self, name: &str) -> Option<&'v Value> {
        self.0?.get(name)
    }

    /// A field that is nothing if it is left out.
    ///
    /// # Errors
    /// As the type's [`FilterConfig::read`].
    pub fn field<T: FilterConfig>(self, name: &str) -> Result<T, Problem> {
        T::read(self.get(name).unwrap_or(&Value::Null)).map_err(|problem| problem.under(name))
    }

    /// A field with a default that can be written down.
    ///
    /// # Errors
    /// As the type's [`FilterConfig::read`].
    pub fn field_or<T: FilterConfig>(self, name: &str, default: Literal) -> Result<T, Problem> {
        match self.get(name) {
            Some(value) => T::read(value),
            None => T::read(&default.to_value()),
        }
        .map_err(|problem| problem.under(name))
    }

    /// A field with a default that is computed.
    ///
    /// # Errors
    /// As the type's [`FilterConfig::read`].
    pub fn field_or_else<T: FilterConfig>(
        self,
        name: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, Problem> {
        match self.get(name) {
            Some(value) => T::read(value).map_err(|problem| problem.under(name)),
            None => Ok(default()),
        }
    }

    /// A field that serde reads; nothing, or the default, if it is left out.
    ///
    /// # Errors
    /// As serde says.
    pub fn by_serde<T: DeserializeOwned>(
        self,
        name: &str,
        default: Option<Literal>,
    ) -> Result<T, Problem> {
        let value = match (self.get(name), default) {
            (Some(value), _) => Cow::Borrowed(value),
            (None, Some(default)) => Cow::Owned(default.to_value()),
            (None, None) => Cow::Owned(Value::Null),
        };
        T::deserialize(&*value).map_err(|error| Problem::new(error.to_string()).under(name))
    }

    /// A field that serde reads, with a default that is computed.
    ///
    /// # Errors
    /// As serde says.
    pub fn by_serde_or_else<T: DeserializeOwned>(
        self,
        name: &str,
        default: impl FnOnce() -> T,
    ) -> Result<T, Problem> {
        match self.get(name) {
            Some(_) => self.by_serde(name, None),
            None => Ok(default()),
        }
    }
}

/// The name of a variant, and its data if it has any.
#[must_use]
pub fn variant(value: &Value) -> (&str, &Value) {
    const NOTHING: &Value = &Value::Null;
    match value {
        Value::String(name) => (name, NOTHING),
        Value::Object(entries) => entries
            .iter()
            .next()
            .map_or(("", NOTHING), |(name, data)| (name, data)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => ("", NOTHING),
    }
}

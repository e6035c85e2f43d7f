//! The typed configuration of a filter.
//!
//! [`FilterConfig`] says what values a type accepts ([`Schema`]) and reads them. The derive writes it
//! for structs and enums. A value is first compared with the schema, which finds every problem with
//! its path, then read. The schema is also what the filter's manifest tells the gateway, so that both
//! sides refuse the same values.

mod check;
mod limits;
mod literal;
mod nearest;
mod path;
mod pattern;
mod read;
mod schema;
mod types;
mod units;
mod values;
mod words;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde_json::Value;

pub use literal::Literal;
#[doc(hidden)]
pub use pattern::Node as PatternNode;
pub use read::Entries;
pub use read::variant;
pub use schema::Field;
pub use schema::Mark;
pub use schema::Schema;
pub use schema::Shape;
pub use schema::Variant;
pub use tidegate_sdk_macros::FilterConfig;
pub use types::Backend;
pub use types::Percent;
pub use types::Secret;
pub use types::Size;

/// A type that a filter's configuration can be, or a part of it.
///
/// Derive it for structs with named fields and for enums:
///
/// ```
/// use std::time::Duration;
/// use tidegate_sdk::config::{Backend, FilterConfig};
///
/// #[derive(FilterConfig)]
/// struct Config {
///     /// Who answers `POST /introspect`.
///     idp: Backend,
///     /// How long it may take.
///     #[config(default = "2s", max = "10s")]
///     timeout: Duration,
///     /// Requests a minute.
///     #[config(default = 600, min = 1)]
///     per_minute: u32,
/// }
///
/// let config = Config::from_json(br#"{"idp": "auth", "perMinute": 10}"#)?;
/// assert_eq!(config.timeout, Duration::from_secs(2));
///
/// let Err(refused) = Config::from_json(br#"{"idp": "auth", "timeout": 3}"#) else { panic!() };
/// assert_eq!(
///     refused.to_string(),
///     "timeout: expected a duration such as \"2s\", at most 10s, found the number 3",
/// );
/// # Ok::<(), tidegate_sdk::config::ConfigError>(())
/// ```
///
/// The derive implements serde's `Deserialize` too, by the same rules: do not derive both.
/// Names are camelCase in the configuration. A field may be left out if it has a default or is an
/// `Option`. Unknown names are refused. What the attributes `#[config(…)]` say:
///
/// | attribute | on | meaning |
/// |---|---|---|
/// | `default` | field | the type's `Default` if it is left out |
/// | `default = …` | field | this: a literal as the configuration would have it (`"2s"` for a duration), a list of such, or any other expression of the field's type |
/// | `min = …`, `max = …` | field | the limits of a number, duration (`"2s"`) or size (`"64KiB"`) |
/// | `min_len = …`, `max_len = …` | field | how many characters of text, items of a list, entries of a map |
/// | `pattern = "^…$"` | field | what text looks like, as a whole; see below |
/// | `rename = "…"` | field, variant | its name |
/// | `validate = path` | field, type | a `fn(&T) -> Result<(), String>` that has the last word; `&str` will do for a `String` |
/// | `serde` | field | the type is read by serde, and the schema says nothing of it |
///
/// Attributes that contradict the type or each other do not compile:
///
/// ```compile_fail
/// # use tidegate_sdk::config::FilterConfig;
/// #[derive(FilterConfig)]
/// struct Config {
///     #[config(default = 0, min = 1)]
///     requests: u32,
/// }
/// const SCHEMA: &tidegate_sdk::config::Schema = Config::SCHEMA;
/// ```
///
/// A pattern is a regular expression of what all engines agree on, because gateways and editors
/// compare it too: `.`, `[a-z_]`, `[^/]`, groups, `a|b` in a group, `*`, `+`, `?`, `{2,5}`, and
/// backslashes before signs. A default is not compared with it. Items of a list get one by a type of
/// their own: `struct Name(#[config(pattern = "^[a-z]+$")] String)`.
///
/// A variant without data is its name; one with data is a mapping from its name to the data:
/// `header: { name: x-key }`.
pub trait FilterConfig: Sized {
    /// The values that it accepts.
    const SCHEMA: &'static Schema;

    /// Reads a value that [`Self::SCHEMA`] accepts.
    ///
    /// # Errors
    /// What the schema cannot say: a check of the author's own.
    fn read(value: &Value) -> Result<Self, Problem>;

    /// Reads what a host hands a filter as its configuration. No bytes at all are an empty mapping.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn from_json(bytes: &[u8]) -> Result<Self, ConfigError> {
        let bytes = bytes.trim_ascii();
        let bytes = if bytes.is_empty() { b"{}" } else { bytes };
        let value = serde_json::from_slice(bytes).map_err(|error| {
            let mut message = "the configuration is not JSON: ".to_owned();
            message.push_str(&error.to_string());
            ConfigError::from(Problem::new(message))
        })?;
        Self::from_value(&value)
    }

    /// Reads a value.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    fn from_value(value: &Value) -> Result<Self, ConfigError> {
        let problems = check::check(Self::SCHEMA, value);
        if problems.is_empty() {
            Ok(Self::read(value)?)
        } else {
            Err(ConfigError { problems })
        }
    }

    /// Reads a value in any format that serde knows.
    ///
    /// # Errors
    /// Everything that is wrong with it, as one message.
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = <Value as Deserialize>::deserialize(from)?;
        Self::from_value(&value).map_err(D::Error::custom)
    }
}

/// `every("30s", …)`: runs at compile time, where a panic is a compile error.
#[doc(hidden)]
#[must_use]
#[expect(clippy::panic, reason = "a compile error of the attribute")]
pub const fn period(text: &str) -> Duration {
    match units::duration(text) {
        Some(millis) if millis > 0 => Duration::from_millis(millis),
        _ => panic!("expected an interval such as \"30s\""),
    }
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    path: String,
    message: String,
}

impl Problem {
    /// A problem of the value at hand.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            message: message.into(),
        }
    }

    /// Where it is, from the root: `limits[2].window`. Empty for the whole.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What was expected, and what was found.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same, seen from the mapping that has the value under `key`.
    #[must_use]
    pub fn under(mut self, key: &str) -> Self {
        let mut path = String::new();
        path::push_key(&mut path, key);
        if !self.path.is_empty() && !self.path.starts_with('[') {
            path.push('.');
        }
        path.push_str(&self.path);
        self.path = path;
        self
    }

    /// The same, seen from the list that has the value at `index`.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        let mut path = String::new();
        path::push_index(&mut path, index);
        if !self.path.is_empty() && !self.path.starts_with('[') {
            path.push('.');
        }
        path.push_str(&self.path);
        self.path = path;
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            f.write_str(": ")?;
        }
        f.write_str(&self.message)
    }
}

/// Why a configuration is refused: at least one [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Vec<Problem>,
}

impl ConfigError {
    /// What is wrong, in the order of the schema.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self {
            problems: vec![problem],
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

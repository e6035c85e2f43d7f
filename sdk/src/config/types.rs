//! Types for values that people write with a unit or that mean something to the gateway.

use std::fmt;
use std::ops::Deref;

use serde_json::Value;

use super::FilterConfig;
use super::Problem;
use super::check;
use super::schema::Schema;
use super::schema::Shape;
use super::units;

/// A number of bytes: `64KiB`, `1MB`, `64Mi` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Size(u64);

impl Size {
    /// So many bytes.
    #[must_use]
    pub const fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// How many bytes, as the length of something in memory: at most all that there can be.
    #[must_use]
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FilterConfig for Size {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Size {
        min: 0,
        max: u64::MAX,
    });

    fn read(value: &Value) -> Result<Self, Problem> {
        check::size(value)
            .map(Self)
            .ok_or_else(|| Problem::new("expected a size such as \"64KiB\""))
    }
}

/// A share from `0%` to `100%`, with up to four decimals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Percent(u32);

impl Percent {
    /// The share in millionths, from 0 to 1,000,000: what a random number below a million is
    /// compared with.
    #[must_use]
    pub const fn millionths(self) -> u32 {
        self.0
    }

    /// The share from 0 to 1.
    #[must_use]
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1_000_000.0
    }
}

impl FilterConfig for Percent {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Percent);

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_str()
            .and_then(units::percent)
            .map(Self)
            .ok_or_else(|| Problem::new("expected a percentage such as \"5%\""))
    }
}

/// The name of a backend, for `cx.backend(…)`. The gateway sees that the filter may call it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Backend(String);

impl Backend {
    /// The backend of a name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl FilterConfig for Backend {
    const SCHEMA: &'static Schema = &Schema::of(Shape::Backend);

    fn read(value: &Value) -> Result<Self, Problem> {
        match value.as_str() {
            Some(name) if !name.is_empty() => Ok(Self::new(name)),
            _ => Err(Problem::new("expected the name of a backend")),
        }
    }
}

impl Deref for Backend {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Backend {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Text that is never printed: a key, a password. No message shows what stands in its place.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FilterConfig for Secret {
    const SCHEMA: &'static Schema = &Schema::text().secret();

    fn read(value: &Value) -> Result<Self, Problem> {
        value
            .as_str()
            .map(Self::new)
            .ok_or_else(|| Problem::new("expected text"))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

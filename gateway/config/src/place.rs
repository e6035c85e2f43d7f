//! Where something stands in what an operator wrote.

use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;
use serde::Deserializer;

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

/// A value with the place it was written at.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

impl<T> std::ops::Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        // Replaced by the real one, which asks our own deserializer for the place.
        Err(serde::de::Error::custom("places are not known here"))
    }
}

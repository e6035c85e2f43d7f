//! The typed configuration of a filter.

use serde::de::DeserializeOwned;

/// Configuration.
pub trait FilterConfig: Sized {
    /// Reads.
    ///
    /// # Errors
    /// Why.
    fn from_json(bytes: &[u8]) -> Result<Self, String>;
}

impl<T: DeserializeOwned> FilterConfig for T {
    fn from_json(bytes: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(bytes).map_err(|it| it.to_string())
    }
}

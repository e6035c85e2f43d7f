//! Level 2: the SDK for filters.

pub mod config;
pub mod manifest;

pub use tidegate_sdk_macros::filter;

/// For the macros of this crate.
#[doc(hidden)]
pub mod __private {
    pub use serde;
    pub use serde_json;
}

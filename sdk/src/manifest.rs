//! What a filter says about itself: JSON in the custom section `tidegate.manifest` of its module.
//!
//! Owns its form. It is written at compile time, so that a module can be judged without being run: the
//! gateway checks a plugin's configuration against [`Manifest::config`] before it starts anything.

mod json;

use crate::config::Schema;

/// The name of the custom section.
pub const SECTION: &str = "tidegate.manifest";

/// The version of this SDK.
pub const SDK_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What a filter says about itself.
#[derive(Debug, Clone, Copy)]
pub struct Manifest {
    /// The name of its crate.
    pub name: &'static str,
    /// The version of its crate.
    pub version: &'static str,
    /// What it does, as its documentation says.
    pub description: &'static str,
    /// `http` or `network`.
    pub kind: &'static str,
    /// What a host must do for it, `stopIteration` is the one thing.
    pub needs: &'static [&'static str],
    /// What it uses of what an operator grants.
    pub capabilities: &'static [&'static str],
    /// What its configuration may be.
    pub config: &'static Schema,
}

impl Manifest {
    /// How many bytes it takes as JSON.
    #[must_use]
    pub const fn len(&self) -> usize {
        json::Writer::<0>::written(self).length()
    }

    /// Never: it has a name at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// The JSON; `LENGTH` is [`Manifest::len`].
    #[must_use]
    pub const fn render<const LENGTH: usize>(&self) -> [u8; LENGTH] {
        json::Writer::written(self).bytes()
    }
}

/// The JSON as text. It is made of texts, so it always is one.
#[doc(hidden)]
#[must_use]
pub const fn as_text(bytes: &'static [u8]) -> &'static str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "{}",
    }
}

/// The bytes of a manifest, as the custom section wants them; `LENGTH` is its length.
#[doc(hidden)]
#[must_use]
#[expect(clippy::indexing_slicing, reason = "at compile time, within both")]
pub const fn bytes<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    let mut index = 0;
    while index < LENGTH {
        bytes[index] = text.as_bytes()[index];
        index += 1;
    }
    bytes
}

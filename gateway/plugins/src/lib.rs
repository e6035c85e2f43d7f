//! Where plugin code comes from. Level 2: knows sources and digests, not what a module means.
//!
//! Owns reading files and fetching from registries and web servers, the limits, the cache on disk,
//! and the digest by which code is known from here on. Compiling and checking is `host-abi`'s.
//!
//! [`Store::pull`] does all of it for one image; everything else here is what it is made of.

pub mod again;
pub mod cache;
pub mod credentials;
pub mod digest;
pub mod file;
pub mod folder;
pub mod http;
pub mod layout;
pub mod memory;
pub mod pieces;
pub mod progress;
pub mod pull;
pub mod push;
mod quote;
pub mod reference;
pub mod registry;
pub mod signatures;

use bytes::Bytes;

pub use digest::Digest;
pub use pull::Store;
pub use reference::Reference;

/// The code of a plugin as its source gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginCode {
    /// A name for logs and errors, taken from the source.
    pub name: String,
    /// The module, unchecked.
    pub bytes: Bytes,
    /// SHA-256 of the module.
    pub digest: [u8; 32],
}

/// Largest module that is read; Istio's limit.
pub const MAX_MODULE_BYTES: u64 = 256 << 20;

/// An error with its causes, on one line.
pub(crate) fn chain(err: &dyn std::error::Error) -> String {
    let mut text = err.to_string();
    let mut cause = err.source();
    while let Some(err) = cause {
        text.push_str(": ");
        text.push_str(&err.to_string());
        cause = err.source();
    }
    text
}

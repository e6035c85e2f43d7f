//! Where plugin code comes from. Level 2: knows sources and digests, not what a module means.
//!
//! Owns reading, limits and the digest by which code is known from here on. Compiling and checking
//! is `host-abi`'s. Today there is one source, a file; registries and HTTP join here.

pub mod file;

use bytes::Bytes;

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

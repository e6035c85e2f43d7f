//! What can be wrong with a reference.

use crate::digest::DigestError;

/// Why a text is no reference. Every variant quotes what is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReferenceError {
    /// There is nothing.
    #[error("the reference is empty: expected REGISTRY/REPOSITORY:TAG")]
    Empty,
    /// It is too long.
    #[error("the reference {text:?} is too long")]
    TooLong {
        /// Its beginning.
        text: String,
    },
    /// It has a scheme that is not `oci://`.
    #[error("reference {text:?} has the scheme {scheme:?}: only `oci://` is one of a registry")]
    Scheme {
        /// The reference.
        text: String,
        /// What stands before `://`.
        scheme: String,
    },
    /// The registry is not a host with an optional port.
    #[error("registry {registry:?} in {text:?} is not HOST or HOST:PORT")]
    Registry {
        /// The reference.
        text: String,
        /// The part that is wrong.
        registry: String,
    },
    /// The repository has characters that repositories cannot have.
    #[error(
        "repository {repository:?} in {text:?} is not lower-case letters, digits and single \
         separators (`.`, `_`, `__`, `-`) between `/`"
    )]
    Repository {
        /// The reference.
        text: String,
        /// The part that is wrong.
        repository: String,
    },
    /// The tag is none.
    #[error(
        "tag {tag:?} in {text:?} is not a letter, digit or `_`, followed by at most 127 of these, \
         `.` and `-`"
    )]
    Tag {
        /// The reference.
        text: String,
        /// The part that is wrong.
        tag: String,
    },
    /// The digest is none.
    #[error("the digest of {text:?} cannot be used")]
    Digest {
        /// The reference.
        text: String,
        /// What is wrong with it.
        source: DigestError,
    },
}

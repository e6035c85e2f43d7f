//! The client's side of the OCI distribution specification 1.1.
//!
//! Owns requests to one repository of one registry: manifests, blobs, uploads, referrers, and what
//! it takes to be allowed to make them. Everything that a registry says is checked: lengths, digests,
//! and that it is a registry at all.

mod answer;
mod blob;
mod challenge;
mod error;
mod hosts;
pub mod manifest;
mod mirrors;
mod referrers;
mod right;
mod session;
mod token;
mod upload;

pub use blob::Blob;
pub use error::RegistryError;
pub use hosts::HostSettings;
pub use hosts::Hosts;
pub use manifest::Descriptor;
pub use manifest::FetchedManifest;
pub use mirrors::Mirror;
pub use mirrors::MirrorError;
pub use mirrors::Mirrors;
pub use session::Purpose;
pub use session::Registry;
pub use token::Tokens;

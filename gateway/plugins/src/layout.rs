//! Where in an image the module is. There are at least six conventions.
//!
//! Owns finding it by content, whatever labels say: which image of an index, which layers in which
//! order, what is inside of them. Nothing is ever written to a name that an archive chose. Owns also
//! what the layout is called, and which other gateways would take it.

mod artifact;
mod choose;
mod sniff;
mod tar;
mod unpack;
mod why;
mod zstd;

pub use artifact::Acceptance;
pub use artifact::Artifact;
pub(crate) use artifact::CNCF_CONFIG;
pub use artifact::Layout;
pub use choose::ChoiceError;
pub use choose::choose;
pub use sniff::Kind;
pub use why::WhyNot;

pub(crate) use choose::Candidate;
pub(crate) use choose::candidates;
pub(crate) use unpack::Output;
pub(crate) use unpack::UnpackError;
pub(crate) use unpack::unpack;

/// The file name that all gateways look for.
pub const MODULE_NAME: &str = "plugin.wasm";

/// A layer of a plugin as a tar archive, compressed with gzip.
pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// What docker calls the same.
pub const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar.gzip";
/// A module as the CNCF's artifacts have it.
pub const WASM_LAYER: &str = "application/wasm";
/// A module as the first specification for Proxy-Wasm has it.
pub const CONTENT_LAYER: &str = "application/vnd.module.wasm.content.layer.v1+wasm";
/// A module as krustlet had it.
pub const OLD_LAYER: &str = "application/vnd.wasm.content.layer.v1+wasm";

/// A layer that was looked at, and why it gives no module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Its place; the first is 1.
    pub place: usize,
    /// What it is said to be.
    pub media_type: String,
    /// Why it gives none.
    pub why: WhyNot,
}

/// An image without a module that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoModule {
    /// The image.
    pub image: String,
    /// How many layers it has.
    pub layers: usize,
    /// Those that were looked at.
    pub tried: Vec<Tried>,
}

impl std::error::Error for NoModule {}

impl std::fmt::Display for NoModule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            image,
            layers,
            tried,
        } = self;
        // Not a mistake of layout: no push would mend it.
        if let Some(it) = tried.iter().find(|it| it.why.is_about_the_module()) {
            return write!(f, "{image}: layer {}: {}", it.place, it.why);
        }
        write!(
            f,
            "{image} has no module in any layout that is known (a tar layer with {MODULE_NAME}, or a \
             layer that is the module)"
        )?;
        if *layers == 0 {
            write!(f, ": it has no layers")?;
        }
        for it in tried {
            let media_type = crate::quote::short(&it.media_type);
            write!(f, "; layer {} ({media_type:?}): {}", it.place, it.why)?;
        }
        write!(
            f,
            "; push it with: tidegate plugin push {image} {MODULE_NAME}"
        )
    }
}

//! Whether an image is signed by somebody whom the operator believes.
//!
//! Owns the policy (which images need a signature of which keys), the two forms that signatures have
//! in registries (Sigstore bundles and those of cosign 2), and what they are compared with. A signature
//! counts for a digest: that of the manifest that is loaded, or of the index that names it. Nothing
//! here asks anybody but the registry of the image: what was found is kept in the cache, and checked
//! again whenever the image is taken from there.

mod bundle;
mod collect;
mod evidence;
mod key;
mod policy;
mod simple;
mod statement;
#[cfg(test)]
mod tests;
mod verdict;
mod web;

pub(crate) use collect::Collected;
pub(crate) use collect::Stage;
pub use evidence::Evidence;
pub use evidence::Form;
pub(crate) use evidence::Subject;
pub use key::Key;
pub use key::KeyError;
pub use key::MAX_KEY_BYTES;
pub use policy::Mode;
pub use policy::Pattern;
pub use policy::PatternError;
pub use policy::Policy;
pub use policy::PolicyError;
pub use policy::Rule;
pub use policy::SharedPolicy;
pub use verdict::Found;
pub use verdict::Unsigned;
pub use verdict::Verdict;
pub use verdict::WhyNot;
pub use web::Web;
pub use web::WebRefused;

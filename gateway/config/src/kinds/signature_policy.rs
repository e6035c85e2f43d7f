//! SignaturePolicy: which images need a signature, and whose. No resource of the configuration, but a
//! file of its own that the operator names.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::place::At;
use crate::schema::Kind;

/// Which images of plugins need a signature, and of which keys. It is a file of its own, for
/// `--signature-policy`, so that nobody who writes Plugins can weaken it. It and the keys are watched.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SignaturePolicy {
    /// What it says.
    pub spec: SignaturePolicySpec,
}

impl Kind for SignaturePolicy {
    const API_VERSIONS: &'static [&'static str] = &["tidegate.dev/v1alpha1"];
    const KIND: &'static str = "SignaturePolicy";
    const NAMESPACED: bool = false;
}

/// See [`SignaturePolicy`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignaturePolicySpec {
    /// The rules. For each image the one counts whose `images` says most about it; of images without
    /// a rule no signature is wanted.
    #[schemars(length(min = 1, max = 256))]
    pub rules: Vec<SignatureRule>,
    /// What becomes of modules of web servers (`source.http`), which nobody signs. If absent, they are
    /// refused as soon as a rule is in mode `Require`, and allowed otherwise.
    pub http: Option<SignatureHttp>,
}

/// What becomes of modules of web servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureHttp {
    /// They are used, except for what a registry has for which a rule requires a signature.
    Allow,
    /// They are not used; what served before serves on.
    Refuse,
}

/// What is wanted of some images.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignatureRule {
    /// The images, by the name that Plugins write: `*` for all, a registry (`registry.example`), all
    /// below a path (`registry.example/team/*`), or one repository (`registry.example/team/auth`).
    #[schemars(length(min = 1, max = 512))]
    pub images: At<String>,
    /// What becomes of those without a valid signature.
    pub mode: At<SignatureMode>,
    /// Files with public keys (PEM), of which one must have signed; relative to this file. They are
    /// what reports call the keys.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 4096)))]
    pub keys: Vec<At<String>>,
    /// What a signature must say of the repository that it is for.
    #[serde(default)]
    pub identity: SignatureIdentity,
    /// Repositories that a signature may say it is for, as `images` writes them. With any, a
    /// signature must say one of these, or the image's own if `identity` is `Repository`.
    #[serde(default)]
    #[schemars(length(max = 32), inner(length(min = 1, max = 512)))]
    pub references: Vec<At<String>>,
}

/// What becomes of images without a valid signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureMode {
    /// They are not used; what served before serves on.
    Require,
    /// They are used, and the log, `/plugins` and metrics say so.
    Warn,
    /// Nobody looks at signatures.
    Off,
}

/// What a signature must say of the repository that it is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum SignatureIdentity {
    /// Anything. A signed image may be copied to another name.
    #[default]
    Any,
    /// That it is for the repository of the image. Sigstore bundles, which cosign 3 makes, do not
    /// say it.
    Repository,
}

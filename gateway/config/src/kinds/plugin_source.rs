//! Where the code of a Plugin comes from, and how it is fetched.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::Sha256Text;
use crate::place::At;

/// Where a plugin's code comes from: exactly one of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSource {
    /// A `.wasm` file, relative to the file that names it. It is watched.
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<At<String>>,
    /// A filter that comes with Tidegate, by name: `jwt-auth`, `authz`, …
    #[schemars(length(min = 1, max = 253))]
    pub builtin: Option<At<String>>,
    /// An image in an OCI registry: `registry.example/team/filter:1.2`, best with its digest
    /// (`…@sha256:…`), which wins over the tag. `oci://` in front of it has no effect.
    #[schemars(length(min = 1, max = 1024))]
    pub oci: Option<At<String>>,
    /// A module on a web server.
    pub http: Option<HttpCode>,
}

/// A module on a web server. What it is is fixed by its digest, so it is fetched once.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpCode {
    /// Its address: `https://…`, or `http://…` on this machine or where operators allow it.
    #[schemars(length(min = 1, max = 4096))]
    pub url: At<String>,
    /// SHA-256 of the module; anything else is refused.
    pub sha256: At<Sha256Text>,
}

/// When an image of a registry is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum PullPolicy {
    /// Never, as long as an image of that tag is in the cache.
    IfNotPresent,
    /// At each start, and every `pullInterval` while it serves: a tag may have moved. An image that is
    /// named by its digest cannot.
    Always,
}

/// With what a registry is asked: a Secret, or files, whose paths are relative to the file that names
/// them. Files are watched.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PullSecret {
    /// A Secret of the type `kubernetes.io/dockerconfigjson` or `kubernetes.io/basic-auth`.
    #[schemars(length(min = 1))]
    pub name: Option<At<ObjectName>>,
    /// The Secret's namespace; the Plugin's if absent. Another one needs a ReferenceGrant there.
    #[schemars(length(min = 1))]
    pub namespace: Option<At<NamespaceName>>,
    /// A file with a user name, beside `passwordFile`.
    #[schemars(length(min = 1, max = 4096))]
    pub username_file: Option<At<String>>,
    /// A file with the password.
    #[schemars(length(min = 1, max = 4096))]
    pub password_file: Option<At<String>>,
    /// A file with a token that the registry takes as it is (`Bearer`).
    #[schemars(length(min = 1, max = 4096))]
    pub token_file: Option<At<String>>,
    /// A file as docker and podman have it (`config.json`, `auth.json`).
    #[schemars(length(min = 1, max = 4096))]
    pub docker_config_file: Option<At<String>>,
}

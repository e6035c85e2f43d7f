//! Secret, ConfigMap and Namespace as Kubernetes has them: named values and labels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Ignored;
use crate::place::At;

/// Confidential values: certificates with their keys (`tls.crt` and `tls.key`), authorities
/// (`ca.crt`) with what they have revoked (`ca.crl`), credentials of registries, and what Plugins read.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Secret {
    /// Values in base64.
    #[serde(default)]
    pub data: BTreeMap<String, At<String>>,
    /// Values as they are; they win over `data`.
    #[serde(default)]
    pub string_data: BTreeMap<String, At<String>>,
    /// What the values are for. One of type `kubernetes.io/tls` needs `tls.crt` and `tls.key`, one of
    /// `kubernetes.io/basic-auth` `username` and `password`, one of `kubernetes.io/dockerconfigjson`
    /// `.dockerconfigjson`.
    #[serde(rename = "type")]
    pub kind: Option<At<String>>,
    /// No effect.
    pub immutable: Option<bool>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("data", &self.data.keys())
            .field("string_data", &self.string_data.keys())
            .finish_non_exhaustive()
    }
}

/// Values: authorities (`ca.crt`) with what they have revoked (`ca.crl`), and what Plugins read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMap {
    /// The values.
    #[serde(default)]
    pub data: BTreeMap<String, At<String>>,
    /// Values in base64; no effect.
    pub binary_data: Option<Ignored>,
    /// No effect.
    pub immutable: Option<bool>,
}

/// A namespace. It needs no declaration, unless listeners select namespaces by label.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Namespace {
    /// No effect.
    pub spec: Option<Ignored>,
}

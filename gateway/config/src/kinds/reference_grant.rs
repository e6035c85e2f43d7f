//! ReferenceGrant as it is written (Gateway API v1).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Group;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;

/// Lets resources of other namespaces refer to resources of this one.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReferenceGrant {
    /// Who may refer to what.
    pub spec: ReferenceGrantSpec,
}

/// See [`ReferenceGrant`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReferenceGrantSpec {
    /// Who may refer.
    #[schemars(length(min = 1, max = 16))]
    pub from: Vec<GrantFrom>,
    /// What may be referred to, by all of `from`.
    #[schemars(length(min = 1, max = 16))]
    pub to: Vec<GrantTo>,
}

/// Resources that may refer.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantFrom {
    /// Their API group, such as `gateway.networking.k8s.io`.
    pub group: Group,
    /// Their kind, such as `HTTPRoute`.
    #[schemars(length(min = 1))]
    pub kind: KindName,
    /// Their namespace.
    #[schemars(length(min = 1))]
    pub namespace: NamespaceName,
}

/// Resources of this namespace that may be referred to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrantTo {
    /// Their API group: `tidegate.dev` for Backends, empty for Services.
    pub group: Group,
    /// Their kind, such as `Backend`.
    #[schemars(length(min = 1))]
    pub kind: KindName,
    /// One of them; all of the kind if absent.
    #[schemars(length(min = 1))]
    pub name: Option<ObjectName>,
}

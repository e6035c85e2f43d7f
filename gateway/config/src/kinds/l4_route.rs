//! TCPRoute and TLSRoute as they are written (Gateway API v1).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::http_route::ParentRef;
use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::place::At;

/// Where the connections of a listener for TCP go, or those of one for TLS that ends it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TcpRoute {
    /// What the route does.
    pub spec: TcpRouteSpec,
}

/// See [`TcpRoute`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TcpRouteSpec {
    /// The Gateways or listeners that it attaches to.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// What happens to connections: exactly one rule.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<L4Rule>,
    /// Attaches to default Gateways.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API"))]
    pub use_default_gateways: Option<Ignored>,
}

/// Where TLS connections go, by the name that clients ask for (SNI). It attaches to listeners for
/// TLS, whether TLS ends there or not.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsRoute {
    /// What the route does.
    pub spec: TlsRouteSpec,
}

/// See [`TlsRoute`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TlsRouteSpec {
    /// The Gateways or listeners that it attaches to.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// The names that it is for.
    #[schemars(length(min = 1, max = 1024), inner(length(min = 1)))]
    pub hostnames: Vec<At<Hostname>>,
    /// What happens to connections: exactly one rule.
    #[schemars(length(min = 1, max = 1))]
    pub rules: Vec<L4Rule>,
    /// Attaches to default Gateways.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API"))]
    pub use_default_gateways: Option<Ignored>,
}

/// What happens to connections.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct L4Rule {
    /// A name, for logs and for `sectionName` of policies and plugins.
    #[schemars(length(min = 1))]
    pub name: Option<At<SectionName>>,
    /// Where they go, by weight.
    #[schemars(length(min = 1, max = 16))]
    pub backend_refs: Vec<BackendRef>,
}

/// Where a share of a rule's connections goes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendRef {
    /// The API group: `tidegate.dev` for a Backend, empty for a Service.
    #[schemars(extend("default" = ""))]
    pub group: Option<At<Group>>,
    /// `Service` or `Backend`.
    #[schemars(length(min = 1), extend("default" = "Service"))]
    pub kind: Option<At<KindName>>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// Its namespace; the route's own if absent. Another one needs a ReferenceGrant there.
    #[schemars(length(min = 1))]
    pub namespace: Option<At<NamespaceName>>,
    /// The port of a Service; a Backend has none.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
    /// Its share among the others; 0 gets nothing.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1))]
    pub weight: Option<At<u32>>,
}

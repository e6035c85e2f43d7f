//! GatewayClass and Gateway as they are written (Gateway API v1).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::kinds::tls::GatewayTls;
use crate::kinds::tls::ListenerTls;
use crate::place::At;

/// A class of Gateways. Tidegate serves those whose controller is
/// `tidegate.dev/gateway-controller`. In files the class `tidegate` exists without being declared.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GatewayClass {
    /// What the class is.
    pub spec: GatewayClassSpec,
}

/// See [`GatewayClass`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayClassSpec {
    /// Which program serves Gateways of this class; `tidegate.dev/gateway-controller` is us.
    #[schemars(length(min = 1, max = 253))]
    pub controller_name: At<String>,
    /// For people.
    #[schemars(length(max = 64))]
    pub description: Option<String>,
    /// Settings of the class.
    #[schemars(extend("x-tidegate-unsupported" = "a class has no settings"))]
    pub parameters_ref: Option<Ignored>,
}

/// Addresses and ports that are listened on, and which routes may attach to them.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gateway {
    /// What the gateway listens on.
    pub spec: GatewaySpec,
}

/// See [`Gateway`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewaySpec {
    /// The class; Gateways of classes that are not ours are left alone.
    pub gateway_class_name: At<ObjectName>,
    /// What is listened on.
    #[schemars(length(min = 1, max = 64))]
    pub listeners: Vec<Listener>,
    /// Where to listen; all IPv4 addresses of the machine if empty.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub addresses: Vec<GatewayAddress>,
    /// Labels and annotations for what is created on behalf of the Gateway. Nothing is; the labels count where
    /// Istio's policies select by label.
    pub infrastructure: Option<GatewayInfrastructure>,
    /// Which ListenerSets may attach.
    #[schemars(extend("x-tidegate-unsupported" = "ListenerSet comes later"))]
    pub allowed_listeners: Option<Ignored>,
    /// Certificates of clients, and for backends.
    pub tls: Option<GatewayTls>,
    /// Whether routes without parents attach.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API"))]
    pub default_scope: Option<Ignored>,
}

/// What would be created on behalf of a Gateway.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayInfrastructure {
    /// Its labels.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 8))]
    pub labels: BTreeMap<String, String>,
    /// Its annotations; no effect.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 8))]
    pub annotations: BTreeMap<String, String>,
    /// Settings of it.
    #[schemars(extend("x-tidegate-unsupported" = "nothing is created on behalf of a Gateway"))]
    pub parameters_ref: Option<Ignored>,
}

/// An address to listen on.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GatewayAddress {
    /// How the address is written. Only `IPAddress` is supported.
    #[serde(rename = "type")]
    #[schemars(length(min = 1, max = 253), extend("default" = "IPAddress"))]
    pub kind: Option<At<String>>,
    /// The address, such as `127.0.0.1`. `0.0.0.0` is every IPv4 address, `::` every IPv6 address.
    #[schemars(length(max = 253))]
    pub value: Option<At<String>>,
}

/// A port with what may arrive there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Listener {
    /// Its name, unique in the Gateway; routes select it by `sectionName`.
    #[schemars(length(min = 1))]
    pub name: At<SectionName>,
    /// The hosts whose requests, or TLS connections, it takes; all if absent. The listener with the most specific host
    /// has a request alone.
    pub hostname: Option<At<Hostname>>,
    /// The port. 0 asks for any free port (Tidegate only).
    #[schemars(range(min = 0, max = 65535))]
    pub port: At<u16>,
    /// The protocol: `HTTP`, `HTTPS`, `TLS` or `TCP`. Listeners for HTTPS and TLS may share a port, by
    /// host; those for HTTP share theirs with HTTP only, and one for TCP with no other.
    #[schemars(length(min = 1, max = 255))]
    pub protocol: At<String>,
    /// How TLS is treated; for HTTPS and TLS, which need it.
    pub tls: Option<At<ListenerTls>>,
    /// Which routes may attach; those of the Gateway's namespace if absent.
    pub allowed_routes: Option<AllowedRoutes>,
}

/// Which routes may attach to a listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AllowedRoutes {
    /// From which namespaces.
    pub namespaces: Option<RouteNamespaces>,
    /// Of which kinds; those that fit the protocol if empty.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub kinds: Vec<RouteKind>,
}

/// From which namespaces routes may attach.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteNamespaces {
    /// How namespaces are chosen.
    #[schemars(extend("default" = "Same"))]
    pub from: Option<At<FromNamespaces>>,
    /// Labels of the namespaces, if `from` is `Selector`. Every namespace has the label
    /// `kubernetes.io/metadata.name`; others come from Namespace resources.
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum FromNamespaces {
    /// All of them.
    All,
    /// Those with certain labels.
    Selector,
    /// The Gateway's own.
    Same,
    /// None at all.
    None,
}

/// Labels that something must have: all of these.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelSelector {
    /// Labels with their values.
    #[serde(default)]
    pub match_labels: BTreeMap<String, String>,
    /// Rules for labels.
    #[serde(default)]
    pub match_expressions: Vec<LabelRule>,
}

/// A rule for one label.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LabelRule {
    /// The label.
    pub key: String,
    /// What is asked of it.
    pub operator: At<LabelOperator>,
    /// The values for `In` and `NotIn`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// What a rule asks of a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// It has one of the values.
    In,
    /// It has none of the values, or does not exist.
    NotIn,
    /// It exists.
    Exists,
    /// It does not exist.
    DoesNotExist,
}

/// A kind of route.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteKind {
    /// Its API group.
    #[schemars(extend("default" = "gateway.networking.k8s.io"))]
    pub group: Option<At<Group>>,
    /// Its kind.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
}

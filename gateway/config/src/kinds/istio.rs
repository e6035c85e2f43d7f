//! Istio's AuthorizationPolicy and RequestAuthentication, as they are written for Istio.
//!
//! Rules are kept as they are: the filters that know what they mean read them. The structs that say
//! their fields are for checks and pages.

mod jwt;
mod rule;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Group;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::place::At;
use crate::tree::Node;
pub use jwt::ClaimToHeader;
pub use jwt::JwtHeader;
pub use jwt::JwtRule;
use rule::PolicyRule;

/// Who may do what at Gateways, as in Istio: a matching `DENY` refuses; then, if there is any `ALLOW`, one must match.
/// It holds for the Gateways that `targetRefs` or `selector` name, else for all of its namespace, or for all there are
/// if it is in the root namespace (`istio-system`).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationPolicy {
    /// What it says. Empty, it allows nothing.
    #[serde(default)]
    pub spec: AuthorizationPolicySpec,
}

/// See [`AuthorizationPolicy`].
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorizationPolicySpec {
    /// Labels of the Gateways that it is for.
    pub selector: Option<At<WorkloadSelector>>,
    /// The Gateways that it is for, or their classes.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<TargetRef>,
    /// One Gateway that it is for (before Istio 1.22).
    pub target_ref: Option<TargetRef>,
    /// What is done with requests that a rule matches.
    #[schemars(extend("default" = "ALLOW"))]
    pub action: Option<At<PolicyAction>>,
    /// The rules, of which one must match. Without any, none ever does; an empty one (`{}`) matches every request.
    #[schemars(with = "Option<Vec<PolicyRule>>", length(max = 512))]
    pub rules: Option<Node>,
    /// Who decides if `action` is `CUSTOM`.
    #[schemars(extend(
        "x-tidegate-unsupported" = "a Plugin with the source `builtin: ext-auth` asks a service"
    ))]
    pub provider: Option<Ignored>,
}

/// Who the tokens (JWT) of requests must be from, as in Istio: a token that is there must be good, and a request
/// without any passes, as nobody. It holds for Gateways as an AuthorizationPolicy does.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequestAuthentication {
    /// What it says.
    #[serde(default)]
    pub spec: RequestAuthenticationSpec,
}

/// See [`RequestAuthentication`].
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestAuthenticationSpec {
    /// Labels of the Gateways that it is for.
    pub selector: Option<At<WorkloadSelector>>,
    /// The Gateways that it is for, or their classes.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<TargetRef>,
    /// One Gateway that it is for (before Istio 1.22).
    pub target_ref: Option<TargetRef>,
    /// The issuers whose tokens are accepted.
    #[schemars(with = "Option<Vec<JwtRule>>", length(max = 64))]
    pub jwt_rules: Option<Node>,
}

/// Labels that a Gateway must have.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSelector {
    /// Labels of the Gateway's `metadata` or `infrastructure`, with their values: all of these. Each Gateway
    /// has `gateway.networking.k8s.io/gateway-name`, its name.
    #[serde(default)]
    pub match_labels: BTreeMap<String, At<String>>,
}

/// Something that a policy is for.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TargetRef {
    /// Its API group: `gateway.networking.k8s.io`.
    pub group: Option<At<Group>>,
    /// `Gateway`, or `GatewayClass` for all Gateways of the class; that only in the root namespace.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// The policy's own namespace.
    pub namespace: Option<At<NamespaceName>>,
}

/// What is done with requests that a rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PolicyAction {
    /// They may pass; with one such policy, others may not.
    #[serde(rename = "ALLOW")]
    Allow,
    /// They are refused with 403.
    #[serde(rename = "DENY")]
    Deny,
    /// They are counted and logged.
    #[serde(rename = "AUDIT")]
    Audit,
    /// Not supported yet.
    #[serde(rename = "CUSTOM")]
    Custom,
}

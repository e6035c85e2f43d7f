//! Istio's AuthorizationPolicy and RequestAuthentication, as they are written for Istio.
//!
//! Rules are kept as they are: the filters that know what they mean read them. The structs that say
//! their fields are for checks and pages.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::DurationText;
use crate::kinds::text::FieldName;
use crate::kinds::text::Group;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::place::At;
use crate::tree::Node;

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
    /// Labels of the Gateway's `metadata`, with their values: all of these. Each Gateway has
    /// `gateway.networking.k8s.io/gateway-name`, its name.
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

/// A rule: from one of these, to one of these, when all of these hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct PolicyRule {
    /// Who asks; anybody if absent.
    #[schemars(length(min = 1, max = 512))]
    from: Option<Vec<RuleFrom>>,
    /// What is asked; anything if absent.
    #[schemars(length(min = 1, max = 512))]
    to: Option<Vec<RuleTo>>,
    /// What else must hold.
    #[schemars(length(min = 1, max = 512))]
    when: Option<Vec<RuleCondition>>,
}

/// Who asks.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct RuleFrom {
    /// All of its fields hold.
    source: RuleSource,
}

/// Who asks: of each field one value, of each `not…` none. `*` may begin or end a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct RuleSource {
    /// Names in client certificates, without `spiffe://`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    principals: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_principals: Option<Vec<String>>,
    /// Issuers and subjects of tokens: `ISSUER/SUBJECT`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    request_principals: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_request_principals: Option<Vec<String>>,
    /// Namespaces in client certificates.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    namespaces: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_namespaces: Option<Vec<String>>,
    /// Service accounts in client certificates: `ACCOUNT` or `NAMESPACE/ACCOUNT`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    service_accounts: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_service_accounts: Option<Vec<String>>,
    /// Trust domains in client certificates.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    trust_domains: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_trust_domains: Option<Vec<String>>,
    /// Addresses at the other end of the connection.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    ip_blocks: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_ip_blocks: Option<Vec<String>>,
    /// Addresses of clients, as far as proxies in front are trusted.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    remote_ip_blocks: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_remote_ip_blocks: Option<Vec<String>>,
}

/// What is asked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct RuleTo {
    /// All of its fields hold.
    operation: RuleOperation,
}

/// What is asked: of each field one value, of each `not…` none. `*` may begin or end a text.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct RuleOperation {
    /// Hosts, in any case.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    hosts: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_hosts: Option<Vec<String>>,
    /// Ports, as text.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    ports: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_ports: Option<Vec<String>>,
    /// Methods.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    methods: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_methods: Option<Vec<String>>,
    /// Paths without the query; also templates with `{*}` and `{**}`.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    paths: Option<Vec<String>>,
    /// None of these.
    #[schemars(length(min = 1), inner(length(min = 1)))]
    not_paths: Option<Vec<String>>,
}

/// Something else that must hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
struct RuleCondition {
    /// The attribute, such as `request.headers[x-team]` or `request.auth.claims[group]`.
    #[schemars(length(min = 1))]
    key: String,
    /// It has one of these values.
    #[schemars(length(min = 1))]
    values: Option<Vec<String>>,
    /// It has none of these values.
    #[schemars(length(min = 1))]
    not_values: Option<Vec<String>>,
}

/// An issuer of tokens, and what is wanted of its tokens.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtRule {
    /// Who has issued the tokens: their claim `iss`.
    #[schemars(length(min = 1, max = 2048))]
    pub issuer: At<String>,
    /// Whom they may be for: one of these must be in their claim `aud`. Anybody if empty.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1)))]
    pub audiences: Vec<String>,
    /// Where the issuer's keys are: `https://HOST[:PORT]/PATH`, or `http://…`. With TLS, the machine's authorities are
    /// believed. Either this or `jwks`.
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_uri: Option<At<String>>,
    /// The same, as older files write it.
    #[serde(rename = "jwks_uri")]
    #[schemars(length(min = 1, max = 2048))]
    pub jwks_uri_old: Option<At<String>>,
    /// The issuer's keys themselves, as the text of a JWK Set.
    #[schemars(length(min = 1))]
    pub jwks: Option<At<String>>,
    /// Headers that have the token. With neither these nor `fromParams` nor `fromCookies` it is in `Authorization:
    /// Bearer …`, or in the parameter `access_token`.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub from_headers: Vec<JwtHeader>,
    /// Parameters of the query that have the token.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub from_params: Vec<String>,
    /// Cookies that have the token.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub from_cookies: Vec<String>,
    /// A header that gets the payload of the token, in base64url.
    pub output_payload_to_header: Option<FieldName>,
    /// Whether the token stays in the request.
    #[schemars(extend("default" = false))]
    pub forward_original_token: Option<bool>,
    /// Headers that get claims.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub output_claim_to_headers: Vec<ClaimToHeader>,
    /// How long fetching the keys may take.
    #[schemars(extend("default" = "5s"))]
    pub timeout: Option<At<DurationText>>,
    /// Claims that are lists with spaces between their items.
    #[schemars(extend("x-tidegate-unsupported" = "claims are compared as they are"))]
    pub space_delimited_claims: Option<Ignored>,
}

/// A header that has a token.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwtHeader {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: FieldName,
    /// What stands before the token, such as `"Bearer "`.
    #[schemars(length(max = 256))]
    pub prefix: Option<String>,
}

/// A claim that becomes a header.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClaimToHeader {
    /// The header.
    #[schemars(length(min = 1))]
    pub header: FieldName,
    /// The claim, or the names on the way to it with dots between them.
    #[schemars(length(min = 1, max = 256))]
    pub claim: String,
}

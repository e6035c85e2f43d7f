//! The rules of AuthorizationPolicies: their fields, for checks and pages.

use schemars::JsonSchema;
use serde::Deserialize;

/// A rule: from one of these, to one of these, when all of these hold.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the schema")]
pub(super) struct PolicyRule {
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

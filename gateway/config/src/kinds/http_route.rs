//! HTTPRoute as it is written (Gateway API v1): parents, hosts, rules and matches. Its filters are
//! in [`crate::kinds::http_filter`].

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::http_filter::HttpFilter;
use crate::kinds::text::DurationText;
use crate::kinds::text::FieldName;
use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::place::At;

/// Which HTTP requests go to which backends, and what is done to them on the way.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HttpRoute {
    /// What the route does.
    pub spec: HttpRouteSpec,
}

/// See [`HttpRoute`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRouteSpec {
    /// The Gateways or listeners that it attaches to.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// The hosts that it is for; all hosts of its listeners if empty.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub hostnames: Vec<At<Hostname>>,
    /// What happens to which requests.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub rules: Vec<HttpRule>,
    /// Attaches to default Gateways.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API"))]
    pub use_default_gateways: Option<Ignored>,
}

/// A Gateway or listener that a route attaches to.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ParentRef {
    /// The API group of the parent.
    #[schemars(extend("default" = "gateway.networking.k8s.io"))]
    pub group: Option<At<Group>>,
    /// The kind of the parent. Only `Gateway` is supported.
    #[schemars(length(min = 1), extend("default" = "Gateway"))]
    pub kind: Option<At<KindName>>,
    /// The namespace of the parent; the route's own if absent.
    #[schemars(length(min = 1))]
    pub namespace: Option<At<NamespaceName>>,
    /// The name of the parent.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// The name of one listener; all listeners if absent.
    #[schemars(length(min = 1))]
    pub section_name: Option<At<SectionName>>,
    /// The port of the listeners; any port if absent.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
}

/// One rule: requests that match are treated alike.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpRule {
    /// A name, unique in the route, for logs and for `sectionName` of policies and plugins.
    #[schemars(length(min = 1))]
    pub name: Option<At<SectionName>>,
    /// What a request must be; one of these is enough. All requests if empty.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub matches: Vec<At<HttpMatch>>,
    /// What is done to requests and responses, in order. Edits of request headers, rewrites and mirrors
    /// take effect when the request leaves for its backend, after all plugins.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpFilter>,
    /// Where requests go, by weight. Without any, requests are answered with 500, or with what a
    /// filter answers.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<HttpBackendRef>,
    /// How long an exchange may take.
    pub timeouts: Option<HttpTimeouts>,
    /// Second attempts.
    #[schemars(extend("x-tidegate-unsupported" = "retries come later"))]
    pub retry: Option<Ignored>,
    /// Clients that stay with one endpoint.
    #[schemars(extend("x-tidegate-unsupported" = "sessions come later"))]
    pub session_persistence: Option<Ignored>,
}

/// What a request must be: all of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpMatch {
    /// Its path; any if absent.
    pub path: Option<HttpPathMatch>,
    /// Header fields that it must have. Of several with one name the first counts.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub headers: Vec<FieldMatch>,
    /// Query parameters that it must have. Of several with one name the first counts.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub query_params: Vec<FieldMatch>,
    /// Its method; any if absent.
    pub method: Option<At<HttpMethod>>,
}

/// What a path must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpPathMatch {
    /// How paths are compared.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "PathPrefix"))]
    pub kind: Option<At<PathMatchKind>>,
    /// What they are compared with.
    #[schemars(length(max = 1024), extend("default" = "/"))]
    pub value: Option<At<String>>,
}

/// How paths are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PathMatchKind {
    /// The path is the value.
    Exact,
    /// The path is the value, or something below it: `/a` has `/a/b`, not `/ab`.
    PathPrefix,
    /// The whole path matches the value as a regular expression (RE2 syntax).
    RegularExpression,
}

/// What a header field or query parameter must be.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FieldMatch {
    /// How values are compared.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<At<ValueMatchKind>>,
    /// The name; case counts for query parameters only.
    #[schemars(length(min = 1))]
    pub name: At<FieldName>,
    /// What the value is compared with.
    #[schemars(length(min = 1, max = 4096))]
    pub value: At<String>,
}

/// How values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ValueMatchKind {
    /// It is the value.
    Exact,
    /// The whole of it matches the value as a regular expression (RE2 syntax).
    RegularExpression,
}

/// A request method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
}

/// Where a share of a rule's requests goes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpBackendRef {
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
    /// What is done to requests that go there, and to their responses. Only header modifiers are
    /// supported.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub filters: Vec<HttpFilter>,
}

/// How long an exchange may take.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpTimeouts {
    /// From the request head to the end of the response; `0s` is no limit.
    pub request: Option<At<DurationText>>,
    /// One attempt at a backend; `0s` is no limit. Not longer than `request`.
    pub backend_request: Option<At<DurationText>>,
}

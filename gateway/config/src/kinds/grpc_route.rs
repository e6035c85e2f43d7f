//! GRPCRoute as it is written (Gateway API v1). What it has in common with HTTPRoute is that one's.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::http_filter::ExtensionRef;
use crate::kinds::http_filter::HeaderModifier;
use crate::kinds::http_filter::HttpFilter;
use crate::kinds::http_filter::HttpFilterKind;
use crate::kinds::http_filter::RequestMirror;
use crate::kinds::http_route::FieldMatch;
use crate::kinds::http_route::HttpBackendRef;
use crate::kinds::http_route::HttpRule;
use crate::kinds::http_route::ParentRef;
use crate::kinds::http_route::ValueMatchKind;
use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::place::At;

/// Which gRPC calls go to which backends, and what is done to them on the way. Backends are spoken
/// to in HTTP/2, unless they say otherwise.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GrpcRoute {
    /// What the route does.
    pub spec: GrpcRouteSpec,
}

/// See [`GrpcRoute`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRouteSpec {
    /// The Gateways or listeners that it attaches to.
    #[serde(default)]
    #[schemars(length(max = 32))]
    pub parent_refs: Vec<ParentRef>,
    /// The hosts that it is for; all hosts of its listeners if empty.
    #[serde(default)]
    #[schemars(length(max = 16), inner(length(min = 1)))]
    pub hostnames: Vec<At<Hostname>>,
    /// What happens to which calls.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub rules: Vec<GrpcRule>,
    /// Attaches to default Gateways.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API"))]
    pub use_default_gateways: Option<Ignored>,
}

/// One rule: calls that match are treated alike.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcRule {
    /// A name, unique in the route, for logs and for `sectionName` of policies and plugins.
    #[schemars(length(min = 1))]
    pub name: Option<At<SectionName>>,
    /// What a call must be; one of these is enough. All calls if empty.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub matches: Vec<At<GrpcMatch>>,
    /// What is done to calls and answers, in order.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcFilter>,
    /// Where calls go, by weight. Without any, calls are answered with the status UNAVAILABLE.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub backend_refs: Vec<GrpcBackendRef>,
    /// Clients that stay with one endpoint.
    #[schemars(extend("x-tidegate-unsupported" = "sessions come later"))]
    pub session_persistence: Option<Ignored>,
}

/// What a call must be: all of these.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMatch {
    /// Its service and method; any if absent.
    pub method: Option<At<GrpcMethodMatch>>,
    /// Metadata that it must have. Of several with one name the first counts.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub headers: Vec<FieldMatch>,
}

/// What the service and method of a call must be: `service`, `method` or both.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcMethodMatch {
    /// How they are compared. With `RegularExpression` the whole of each must match.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Exact"))]
    pub kind: Option<At<ValueMatchKind>>,
    /// The service with its package, such as `shop.v1.Cart`; any if absent.
    #[schemars(length(max = 1024))]
    pub service: Option<At<String>>,
    /// The method, such as `Add`; any if absent.
    #[schemars(length(max = 1024))]
    pub method: Option<At<String>>,
}

/// One filter: a type, and the one field that belongs to the type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcFilter {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: At<GrpcFilterKind>,
    /// For `RequestHeaderModifier`.
    pub request_header_modifier: Option<Box<At<HeaderModifier>>>,
    /// For `ResponseHeaderModifier`.
    pub response_header_modifier: Option<Box<At<HeaderModifier>>>,
    /// For `RequestMirror`.
    pub request_mirror: Option<Box<At<RequestMirror>>>,
    /// For `ExtensionRef`.
    pub extension_ref: Option<Box<At<ExtensionRef>>>,
}

/// What a filter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum GrpcFilterKind {
    /// Edits the metadata of calls.
    RequestHeaderModifier,
    /// Edits the metadata of answers.
    ResponseHeaderModifier,
    /// Sends copies of calls to another backend and ignores the answers.
    RequestMirror,
    /// Runs a Plugin.
    ExtensionRef,
}

/// Where a share of a rule's calls goes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GrpcBackendRef {
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
    /// What is done to calls that go there, and to their answers. Only header modifiers are
    /// supported.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub filters: Vec<GrpcFilter>,
}

impl From<&GrpcFilter> for HttpFilter {
    /// The same filter of an HTTPRoute.
    fn from(given: &GrpcFilter) -> Self {
        let kind = match given.kind.value {
            GrpcFilterKind::RequestHeaderModifier => HttpFilterKind::RequestHeaderModifier,
            GrpcFilterKind::ResponseHeaderModifier => HttpFilterKind::ResponseHeaderModifier,
            GrpcFilterKind::RequestMirror => HttpFilterKind::RequestMirror,
            GrpcFilterKind::ExtensionRef => HttpFilterKind::ExtensionRef,
        };
        Self {
            kind: At {
                value: kind,
                span: given.kind.span,
            },
            request_header_modifier: given.request_header_modifier.clone(),
            response_header_modifier: given.response_header_modifier.clone(),
            request_mirror: given.request_mirror.clone(),
            request_redirect: None,
            url_rewrite: None,
            cors: None,
            extension_ref: given.extension_ref.clone(),
            external_auth: None,
        }
    }
}

impl From<&GrpcRule> for HttpRule {
    /// What is done, as in an HTTPRoute; what calls must be is left out.
    fn from(given: &GrpcRule) -> Self {
        Self {
            name: given.name.clone(),
            filters: given.filters.iter().map(HttpFilter::from).collect(),
            backend_refs: given
                .backend_refs
                .iter()
                .map(HttpBackendRef::from)
                .collect(),
            ..Self::default()
        }
    }
}

impl From<&GrpcBackendRef> for HttpBackendRef {
    fn from(given: &GrpcBackendRef) -> Self {
        Self {
            group: given.group.clone(),
            kind: given.kind.clone(),
            name: given.name.clone(),
            namespace: given.namespace.clone(),
            port: given.port,
            weight: given.weight,
            filters: given.filters.iter().map(HttpFilter::from).collect(),
        }
    }
}

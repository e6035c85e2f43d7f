//! The filters of an HTTPRoute as they are written (Gateway API v1).

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::FieldName;
use crate::kinds::text::Group;
use crate::kinds::text::Ignored;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::PreciseHostname;
use crate::place::At;

/// One filter: a type, and the one field that belongs to the type.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpFilter {
    /// What it does.
    #[serde(rename = "type")]
    pub kind: At<HttpFilterKind>,
    /// For `RequestHeaderModifier`.
    pub request_header_modifier: Option<Box<At<HeaderModifier>>>,
    /// For `ResponseHeaderModifier`.
    pub response_header_modifier: Option<Box<At<HeaderModifier>>>,
    /// For `RequestMirror`.
    pub request_mirror: Option<Box<At<RequestMirror>>>,
    /// For `RequestRedirect`.
    pub request_redirect: Option<Box<At<RequestRedirect>>>,
    /// For `URLRewrite`.
    pub url_rewrite: Option<Box<At<UrlRewrite>>>,
    /// For `CORS`.
    pub cors: Option<Box<At<CorsFilter>>>,
    /// For `ExtensionRef`.
    pub extension_ref: Option<Box<At<ExtensionRef>>>,
    /// For `ExternalAuth`.
    #[schemars(extend("x-tidegate-unsupported" = "it is experimental in the Gateway API; a Plugin can do it"))]
    pub external_auth: Option<Ignored>,
}

/// What a filter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum HttpFilterKind {
    /// Edits header fields of requests.
    RequestHeaderModifier,
    /// Edits header fields of responses.
    ResponseHeaderModifier,
    /// Sends copies of requests to another backend and ignores the answers.
    RequestMirror,
    /// Answers with a redirect.
    RequestRedirect,
    /// Changes host or path of what the backend gets.
    #[serde(rename = "URLRewrite")]
    UrlRewrite,
    /// Lets browsers of other origins read responses.
    #[serde(rename = "CORS")]
    Cors,
    /// Runs a Plugin.
    ExtensionRef,
    /// Asks a server. Not supported yet.
    ExternalAuth,
}

/// Edits of header fields: set, then add, then remove.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderModifier {
    /// Replaces fields.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub set: Vec<HeaderField>,
    /// Adds to fields.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub add: Vec<HeaderField>,
    /// Removes fields.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub remove: Vec<At<String>>,
}

/// A header field.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HeaderField {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<FieldName>,
    /// Its value.
    #[schemars(length(min = 1, max = 4096))]
    pub value: At<String>,
}

/// Where copies of requests go.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestMirror {
    /// The backend.
    pub backend_ref: MirrorBackendRef,
    /// How many percent of the requests are copied; all if neither this nor `fraction` is given.
    #[schemars(range(min = 0, max = 100))]
    pub percent: Option<At<u32>>,
    /// The share of requests that are copied.
    pub fraction: Option<At<Fraction>>,
}

/// A backend that gets copies.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MirrorBackendRef {
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
}

/// A share: so many of so many.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fraction {
    /// So many.
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub numerator: At<u32>,
    /// Of so many.
    #[schemars(range(min = 1, max = 2_147_483_647), extend("default" = 100))]
    pub denominator: Option<At<u32>>,
}

/// A redirect; what it does not name stays as the request has it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestRedirect {
    /// Another scheme.
    pub scheme: Option<At<RedirectScheme>>,
    /// Another host.
    #[schemars(length(min = 1))]
    pub hostname: Option<At<PreciseHostname>>,
    /// Another path.
    pub path: Option<At<PathModifier>>,
    /// Another port; otherwise that of the scheme if one is given, or the listener's.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
    /// The status.
    #[schemars(extend("enum" = [301, 302, 303, 307, 308], "default" = 302))]
    pub status_code: Option<At<u16>>,
}

/// A scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum RedirectScheme {
    Http,
    Https,
}

/// Another path; the query stays.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathModifier {
    /// What is replaced.
    #[serde(rename = "type")]
    pub kind: At<PathModifierKind>,
    /// For `ReplaceFullPath`: the new path.
    #[schemars(length(max = 1024))]
    pub replace_full_path: Option<At<String>>,
    /// For `ReplacePrefixMatch`: what stands instead of the prefix that matched.
    #[schemars(length(max = 1024))]
    pub replace_prefix_match: Option<At<String>>,
}

/// What of a path is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PathModifierKind {
    /// All of it.
    ReplaceFullPath,
    /// The prefix that matched.
    ReplacePrefixMatch,
}

/// Another host or path for the backend.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UrlRewrite {
    /// Another host.
    #[schemars(length(min = 1))]
    pub hostname: Option<At<PreciseHostname>>,
    /// Another path.
    pub path: Option<At<PathModifier>>,
}

/// Cross-origin resource sharing, as the Fetch standard defines it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CorsFilter {
    /// Origins that may read responses: `*`, `https://a.test`, `https://*.a.test`.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub allow_origins: Vec<At<String>>,
    /// Whether requests may carry credentials.
    #[schemars(extend("default" = false))]
    pub allow_credentials: Option<bool>,
    /// Methods beside the simple ones; `*` is all.
    #[serde(default)]
    #[schemars(length(max = 9))]
    pub allow_methods: Vec<At<String>>,
    /// Request fields beside the simple ones; `*` is all.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub allow_headers: Vec<At<FieldName>>,
    /// Response fields that scripts may read; `*` is all.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub expose_headers: Vec<At<FieldName>>,
    /// How many seconds a preflight may be remembered.
    #[schemars(range(min = 1, max = 2_147_483_647), extend("default" = 5))]
    pub max_age: Option<u32>,
}

/// A Plugin of the route's namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtensionRef {
    /// `tidegate.dev`.
    pub group: At<Group>,
    /// `Plugin`.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
}

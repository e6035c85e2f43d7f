//! The rules of HTTPRoute's filters (Gateway API: `HTTPRouteFilter` and what is in it).

use http::HeaderName;
use http::HeaderValue;

use super::Findings;
use super::paths;
use super::route::is_service;
use super::route::missing_port;
use crate::kinds::http_filter::CorsFilter;
use crate::kinds::http_filter::HeaderModifier;
use crate::kinds::http_filter::HttpFilter;
use crate::kinds::http_filter::HttpFilterKind;
use crate::kinds::http_filter::PathModifier;
use crate::kinds::http_filter::PathModifierKind;
use crate::kinds::http_filter::RequestMirror;
use crate::kinds::http_route::HttpRule;
use crate::kinds::http_route::PathMatchKind;
use crate::place::At;
use crate::place::Span;

/// Fields that belong to the connection or the framing: the gateway writes them itself.
const NOT_EDITABLE: [&str; 10] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "expect",
];

/// The filters of a rule, and what they allow beside themselves.
pub(super) fn check_rule_filters(rule: &HttpRule, findings: &mut Findings) {
    check_list(&rule.filters, findings);
    let redirect = find(&rule.filters, HttpFilterKind::RequestRedirect);
    let rewrite = find(&rule.filters, HttpFilterKind::UrlRewrite);
    if let (Some(redirect), Some(_)) = (redirect, rewrite) {
        let message = "a rule has RequestRedirect or URLRewrite, not both";
        findings.error(redirect.kind.span, message);
    }
    if let (Some(redirect), [first, ..]) = (redirect, rule.backend_refs.as_slice()) {
        let message = "a rule that redirects has no backendRefs";
        findings.with_hint(
            first.name.span,
            message,
            format!(
                "remove them, or the RequestRedirect filter (line {} of the resource)",
                redirect.kind.span.line + 1
            ),
        );
    }
    let backend_filters = rule
        .backend_refs
        .iter()
        .flat_map(|backend| &backend.filters);
    for filter in rule.filters.iter().chain(backend_filters) {
        for path in replaced_paths(filter) {
            if path.kind.value == PathModifierKind::ReplacePrefixMatch && !has_one_prefix(rule) {
                findings.with_hint(
                    path.kind.span,
                    "ReplacePrefixMatch needs a rule with exactly one match, of type PathPrefix",
                    "the prefix that matched is what is replaced",
                );
            }
        }
    }
}

fn has_one_prefix(rule: &HttpRule) -> bool {
    match rule.matches.as_slice() {
        [one] => one
            .path
            .as_ref()
            .is_none_or(|path| paths::kind_of(path) == PathMatchKind::PathPrefix),
        // No match at all is the API's default: the prefix `/`.
        [] => true,
        _ => false,
    }
}

/// Filters of a backendRef: header modifiers only.
pub(super) fn check_backend_filters(filters: &[HttpFilter], findings: &mut Findings) {
    check_list(filters, findings);
    for filter in filters {
        match filter.kind.value {
            HttpFilterKind::RequestHeaderModifier
            | HttpFilterKind::ResponseHeaderModifier
            | HttpFilterKind::ExternalAuth => {}
            HttpFilterKind::RequestMirror
            | HttpFilterKind::RequestRedirect
            | HttpFilterKind::UrlRewrite
            | HttpFilterKind::Cors
            | HttpFilterKind::ExtensionRef => findings.with_hint(
                filter.kind.span,
                format!("{} at a backendRef is not supported yet", name(filter)),
                "put it into the rule's filters",
            ),
        }
    }
}

fn check_list(filters: &[HttpFilter], findings: &mut Findings) {
    let once = filters.iter().filter(|filter| {
        !matches!(
            filter.kind.value,
            HttpFilterKind::RequestMirror | HttpFilterKind::ExtensionRef
        )
    });
    super::repeated(once.map(|filter| (name(filter), filter)), |filter| {
        let message = format!("a second {} in one list", name(filter));
        findings.with_hint(filter.kind.span, message, "put both into one filter");
    });
    for filter in filters {
        check_filter(filter, findings);
    }
}

fn check_filter(filter: &HttpFilter, findings: &mut Findings) {
    if filter.kind.value == HttpFilterKind::ExternalAuth {
        return findings.with_hint(
            filter.kind.span,
            "ExternalAuth is not supported yet: it is experimental in the Gateway API",
            "a Plugin can do it",
        );
    }
    let fields = fields(filter);
    for (kind, field, span) in fields.into_iter().flatten() {
        if kind != filter.kind.value {
            let message = format!(
                "`{field}` does not belong to a filter of type {}",
                name(filter)
            );
            findings.error(span, message);
        }
    }
    if !fields
        .iter()
        .flatten()
        .any(|(kind, ..)| *kind == filter.kind.value)
    {
        let message = format!(
            "a filter of type {} needs `{}`",
            name(filter),
            field_of(filter.kind.value)
        );
        findings.error(filter.kind.span, message);
    }
    if let Some(edits) = &filter.request_header_modifier {
        check_headers(edits, findings);
    }
    if let Some(edits) = &filter.response_header_modifier {
        check_headers(edits, findings);
    }
    if let Some(mirror) = &filter.request_mirror {
        check_mirror(mirror, findings);
    }
    if let Some(cors) = &filter.cors {
        check_cors(cors, findings);
    }
    for path in replaced_paths(filter) {
        check_path(path, findings);
    }
}

type Field = (HttpFilterKind, &'static str, Span);

fn fields(filter: &HttpFilter) -> [Option<Field>; 7] {
    fn one<T>(kind: HttpFilterKind, field: Option<&At<T>>) -> Option<Field> {
        field.map(|field| (kind, field_of(kind), field.span))
    }
    [
        one(
            HttpFilterKind::RequestHeaderModifier,
            filter.request_header_modifier.as_ref(),
        ),
        one(
            HttpFilterKind::ResponseHeaderModifier,
            filter.response_header_modifier.as_ref(),
        ),
        one(
            HttpFilterKind::RequestMirror,
            filter.request_mirror.as_ref(),
        ),
        one(
            HttpFilterKind::RequestRedirect,
            filter.request_redirect.as_ref(),
        ),
        one(HttpFilterKind::UrlRewrite, filter.url_rewrite.as_ref()),
        one(HttpFilterKind::Cors, filter.cors.as_ref()),
        one(HttpFilterKind::ExtensionRef, filter.extension_ref.as_ref()),
    ]
}

const fn field_of(kind: HttpFilterKind) -> &'static str {
    match kind {
        HttpFilterKind::RequestHeaderModifier => "requestHeaderModifier",
        HttpFilterKind::ResponseHeaderModifier => "responseHeaderModifier",
        HttpFilterKind::RequestMirror => "requestMirror",
        HttpFilterKind::RequestRedirect => "requestRedirect",
        HttpFilterKind::UrlRewrite => "urlRewrite",
        HttpFilterKind::Cors => "cors",
        HttpFilterKind::ExtensionRef => "extensionRef",
        HttpFilterKind::ExternalAuth => "externalAuth",
    }
}

const fn name(filter: &HttpFilter) -> &'static str {
    match filter.kind.value {
        HttpFilterKind::RequestHeaderModifier => "RequestHeaderModifier",
        HttpFilterKind::ResponseHeaderModifier => "ResponseHeaderModifier",
        HttpFilterKind::RequestMirror => "RequestMirror",
        HttpFilterKind::RequestRedirect => "RequestRedirect",
        HttpFilterKind::UrlRewrite => "URLRewrite",
        HttpFilterKind::Cors => "CORS",
        HttpFilterKind::ExtensionRef => "ExtensionRef",
        HttpFilterKind::ExternalAuth => "ExternalAuth",
    }
}

fn find(filters: &[HttpFilter], kind: HttpFilterKind) -> Option<&HttpFilter> {
    filters.iter().find(|filter| filter.kind.value == kind)
}

fn replaced_paths(filter: &HttpFilter) -> impl Iterator<Item = &At<PathModifier>> {
    let redirect = filter.request_redirect.as_ref();
    let rewrite = filter.url_rewrite.as_ref();
    redirect
        .and_then(|redirect| redirect.path.as_ref())
        .into_iter()
        .chain(rewrite.and_then(|rewrite| rewrite.path.as_ref()))
}

fn check_path(path: &At<PathModifier>, findings: &mut Findings) {
    let (wanted, wanted_name, other, other_name) = match path.kind.value {
        PathModifierKind::ReplaceFullPath => (
            &path.replace_full_path,
            "replaceFullPath",
            &path.replace_prefix_match,
            "replacePrefixMatch",
        ),
        PathModifierKind::ReplacePrefixMatch => (
            &path.replace_prefix_match,
            "replacePrefixMatch",
            &path.replace_full_path,
            "replaceFullPath",
        ),
    };
    if wanted.is_none() {
        findings.error(path.kind.span, format!("this type needs `{wanted_name}`"));
    }
    if let Some(other) = other {
        let message = format!("`{other_name}` does not belong to this type of path");
        findings.error(other.span, message);
    }
    let is_full = path.kind.value == PathModifierKind::ReplaceFullPath;
    if let Some(value) = wanted {
        paths::check_replacement(value, is_full, findings);
    }
}

fn check_headers(edits: &HeaderModifier, findings: &mut Findings) {
    for list in [&edits.set, &edits.add] {
        let names = list
            .iter()
            .map(|field| (field.name.to_ascii_lowercase(), field));
        super::repeated(names, |field| {
            let message = format!("the field `{}` comes twice in one list", *field.name);
            findings.error(field.name.span, message);
        });
        for field in list {
            check_name(&field.name, field.name.span, findings);
            if HeaderValue::from_str(&field.value).is_err() {
                let message = format!("{:?} cannot be the value of a field", field.value.value);
                findings.error(field.value.span, message);
            }
        }
    }
    for name in &edits.remove {
        check_name(name, name.span, findings);
    }
}

fn check_name(name: &str, span: Span, findings: &mut Findings) {
    if HeaderName::try_from(name).is_err() {
        return findings.error(span, format!("{name:?} is not the name of a field"));
    }
    let lower = name.to_ascii_lowercase();
    if lower == "host" {
        findings.with_hint(
            span,
            "the field `host` cannot be edited",
            "use URLRewrite with `hostname`",
        );
    } else if NOT_EDITABLE.contains(&lower.as_str()) {
        let message = format!("the field `{lower}` cannot be edited: the gateway writes it");
        findings.error(span, message);
    }
}

fn check_mirror(mirror: &RequestMirror, findings: &mut Findings) {
    if let (Some(_), Some(fraction)) = (&mirror.percent, &mirror.fraction) {
        findings.error(fraction.span, "either `percent` or `fraction`, not both");
    }
    if let Some(fraction) = &mirror.fraction {
        let denominator = fraction.denominator.as_ref().map_or(100, |one| one.value);
        if fraction.numerator.value > denominator {
            let message = "the numerator is larger than the denominator";
            findings.error(fraction.numerator.span, message);
        }
    }
    let backend = &mirror.backend_ref;
    if backend.port.is_none() && is_service(backend.group.as_deref(), backend.kind.as_deref()) {
        missing_port(&backend.name, findings);
    }
}

fn check_cors(cors: &CorsFilter, findings: &mut Findings) {
    for origin in &cors.allow_origins {
        if !is_origin(origin) {
            let message = format!("{:?} is not an origin", origin.value);
            let hint = "such as `https://shop.test`, `https://*.shop.test`, or `*` for all";
            findings.with_hint(origin.span, message, hint);
        }
    }
    star_alone(
        cors.allow_origins
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowOrigins",
        findings,
    );
    star_alone(
        cors.allow_methods
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowMethods",
        findings,
    );
    star_alone(
        cors.allow_headers
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "allowHeaders",
        findings,
    );
    star_alone(
        cors.expose_headers
            .iter()
            .map(|one| (one.as_str(), one.span)),
        "exposeHeaders",
        findings,
    );
    for method in &cors.allow_methods {
        let is_known = matches!(
            method.as_str(),
            "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "CONNECT" | "OPTIONS" | "TRACE" | "PATCH"
        );
        if !is_known && **method != "*" {
            let message = format!("{:?} is not a method", method.value);
            findings.with_hint(
                method.span,
                message,
                "methods are upper case, such as `GET`",
            );
        }
    }
}

fn star_alone<'a>(
    list: impl Iterator<Item = (&'a str, Span)>,
    field: &str,
    findings: &mut Findings,
) {
    let list: Vec<(&str, Span)> = list.collect();
    if let Some((_, span)) = list.iter().find(|(text, _)| *text == "*")
        && list.len() > 1
    {
        let message = format!("`*` stands alone in `{field}`: it means all");
        findings.error(*span, message);
    }
}

/// Whether this is `*`, or scheme and host (its first label may be `*`) with an optional port.
fn is_origin(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return false;
    };
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    };
    let bare = host.strip_prefix("*.").unwrap_or(host);
    let is_host = !bare.is_empty()
        && bare
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    is_scheme && is_host && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

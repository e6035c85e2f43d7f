//! The rules of HTTPRoute's filters (Gateway API: `HTTPRouteFilter` and what is in it).

use super::Findings;
use super::filter_values::check_cors;
use super::filter_values::check_headers;
use super::filter_values::check_mirror;
use super::paths;
use crate::kinds::http_filter::HttpFilter;
use crate::kinds::http_filter::HttpFilterKind;
use crate::kinds::http_filter::PathModifier;
use crate::kinds::http_filter::PathModifierKind;
use crate::kinds::http_route::HttpRule;
use crate::kinds::http_route::PathMatchKind;
use crate::place::At;
use crate::place::Span;

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

/// What one list of filters must be, wherever it stands.
pub(super) fn check_list(filters: &[HttpFilter], findings: &mut Findings) {
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
            filter.request_header_modifier.as_deref(),
        ),
        one(
            HttpFilterKind::ResponseHeaderModifier,
            filter.response_header_modifier.as_deref(),
        ),
        one(
            HttpFilterKind::RequestMirror,
            filter.request_mirror.as_deref(),
        ),
        one(
            HttpFilterKind::RequestRedirect,
            filter.request_redirect.as_deref(),
        ),
        one(HttpFilterKind::UrlRewrite, filter.url_rewrite.as_deref()),
        one(HttpFilterKind::Cors, filter.cors.as_deref()),
        one(
            HttpFilterKind::ExtensionRef,
            filter.extension_ref.as_deref(),
        ),
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

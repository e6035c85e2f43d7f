//! The rules of GRPCRoute, TLSRoute and TCPRoute (Gateway API: `GRPCRouteSpec`, `TLSRouteSpec`,
//! `TCPRouteSpec`).

use std::sync::LazyLock;

use regex::Regex;

use super::Findings;
use super::filters;
use super::paths;
use super::route::check_claims;
use super::route::check_count;
use super::route::check_names;
use super::route::check_port;
use super::route::check_value;
use crate::kinds::grpc_route::GrpcMethodMatch;
use crate::kinds::grpc_route::GrpcRoute;
use crate::kinds::grpc_route::GrpcRule;
use crate::kinds::http_filter::HttpFilter;
use crate::kinds::http_route::ValueMatchKind;
use crate::kinds::l4_route::L4Rule;
use crate::kinds::l4_route::TcpRoute;
use crate::kinds::l4_route::TlsRoute;
use crate::place::At;

pub(super) fn check_grpc(route: &GrpcRoute, findings: &mut Findings) {
    let spec = &route.spec;
    check_claims(&spec.parent_refs, &spec.hostnames, findings);
    check_names(spec.rules.iter().map(|rule| rule.name.as_ref()), findings);
    let matches = spec.rules.iter().flat_map(|rule| &rule.matches);
    check_count(matches.map(|one| one.span), findings);
    for rule in &spec.rules {
        check_rule(rule, findings);
    }
}

fn check_rule(rule: &GrpcRule, findings: &mut Findings) {
    for one in &rule.matches {
        if let Some(method) = &one.method {
            check_method(method, findings);
        }
        for field in &one.headers {
            check_value(field, findings);
        }
    }
    let of_rule: Vec<HttpFilter> = rule.filters.iter().map(HttpFilter::from).collect();
    filters::check_list(&of_rule, findings);
    for backend in &rule.backend_refs {
        let (group, kind) = (backend.group.as_deref(), backend.kind.as_deref());
        check_port((group, kind, &backend.name), backend.port, findings);
        let of_backend: Vec<HttpFilter> = backend.filters.iter().map(HttpFilter::from).collect();
        filters::check_backend_filters(&of_backend, findings);
    }
}

/// A service or method must be given, and be one (Gateway API: `GRPCMethodMatch`).
fn check_method(method: &At<GrpcMethodMatch>, findings: &mut Findings) {
    static SERVICE: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?i)^\.?[a-z_][a-z_0-9]*(\.[a-z_][a-z_0-9]*)*$").ok());
    static METHOD: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[A-Za-z_][A-Za-z_0-9]*$").ok());
    let parts = [
        (given(&method.service), "service", &SERVICE),
        (given(&method.method), "method", &METHOD),
    ];
    if parts.iter().all(|(part, ..)| part.is_none()) {
        findings.with_hint(
            method.span,
            "a match of methods needs `service`, `method` or both",
            "leave out `method` to match all calls",
        );
    }
    let is_pattern = method
        .kind
        .as_ref()
        .is_some_and(|kind| kind.value == ValueMatchKind::RegularExpression);
    let before = findings.list.len();
    for (part, what, wanted) in parts {
        let Some(part) = part else {
            continue;
        };
        if is_pattern {
            paths::check_pattern(part, findings);
        } else if wanted.as_ref().is_some_and(|wanted| !wanted.is_match(part)) {
            let message = format!("{:?} is not the name of a {what}", part.value);
            let hint = match what {
                "service" => "such as `shop.v1.Cart`; for patterns `type: RegularExpression`",
                _ => "such as `Add`; for patterns `type: RegularExpression`",
            };
            findings.with_hint(part.span, message, hint);
        }
    }
    // Each may be small enough, and both together too large.
    if let (true, Some(pattern)) = (findings.list.len() == before, call_pattern(method)) {
        let whole = At {
            value: pattern,
            span: method.span,
        };
        paths::check_pattern(&whole, findings);
    }
}

/// A part that is given; an empty one is not.
fn given(part: &Option<At<String>>) -> Option<&At<String>> {
    part.as_ref().filter(|one| !one.value.is_empty())
}

/// The pattern of the paths of calls (gRPC over HTTP2, "Requests": `/service/method`), if it takes
/// one to find them.
pub(crate) fn call_pattern(match_of: &GrpcMethodMatch) -> Option<String> {
    const ANY: &str = "[^/]+";
    let is_pattern = match_of
        .kind
        .as_ref()
        .is_some_and(|kind| kind.value == ValueMatchKind::RegularExpression);
    let service = given(&match_of.service).map(|one| one.value.as_str());
    let method = given(&match_of.method).map(|one| one.value.as_str());
    match (service, method) {
        (None, None) => None,
        (Some(_), _) if !is_pattern => None,
        // Names have no characters that mean something in a pattern.
        (_, Some(method)) if !is_pattern => Some(format!("/{ANY}/{method}")),
        (service, method) => {
            let (service, method) = (service.unwrap_or(ANY), method.unwrap_or(ANY));
            Some(format!("/(?:{service})/(?:{method})"))
        }
    }
}

pub(super) fn check_tls(route: &TlsRoute, findings: &mut Findings) {
    check_claims(&route.spec.parent_refs, &route.spec.hostnames, findings);
    check_l4_rules(&route.spec.rules, findings);
}

pub(super) fn check_tcp(route: &TcpRoute, findings: &mut Findings) {
    check_claims(&route.spec.parent_refs, &[], findings);
    check_l4_rules(&route.spec.rules, findings);
}

fn check_l4_rules(rules: &[L4Rule], findings: &mut Findings) {
    for backend in rules.iter().flat_map(|rule| &rule.backend_refs) {
        let (group, kind) = (backend.group.as_deref(), backend.kind.as_deref());
        check_port((group, kind, &backend.name), backend.port, findings);
    }
}

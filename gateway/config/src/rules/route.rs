//! The rules of HTTPRoute, its filters aside (Gateway API: `HTTPRouteSpec`, `HTTPRouteRule`).

use foldhash::HashMap;

use super::Findings;
use super::filters;
use super::gateway::check_host;
use super::paths;
use super::repeated;
use crate::duration;
use crate::kinds::http_route::FieldMatch;
use crate::kinds::http_route::HttpMatch;
use crate::kinds::http_route::HttpRoute;
use crate::kinds::http_route::HttpRule;
use crate::kinds::http_route::HttpTimeouts;
use crate::kinds::http_route::ParentRef;
use crate::kinds::http_route::ValueMatchKind;
use crate::kinds::text::Group;
use crate::kinds::text::Hostname;
use crate::kinds::text::KindName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::place::At;
use crate::place::Span;

/// Most matches in all rules of a route (Gateway API: `HTTPRouteSpec.rules`, `GRPCRouteSpec.rules`).
const MAX_MATCHES: usize = 128;

pub(super) fn check(route: &HttpRoute, findings: &mut Findings) {
    let spec = &route.spec;
    check_claims(&spec.parent_refs, &spec.hostnames, findings);
    check_names(spec.rules.iter().map(|rule| rule.name.as_ref()), findings);
    let matches = spec.rules.iter().flat_map(|rule| &rule.matches);
    check_count(matches.map(|one| one.span), findings);
    for rule in &spec.rules {
        check_rule(rule, findings);
    }
}

/// What a route of any kind attaches to, and by which hosts.
pub(super) fn check_claims(
    parents: &[ParentRef],
    hostnames: &[At<Hostname>],
    findings: &mut Findings,
) {
    check_parents(parents, findings);
    for hostname in hostnames {
        check_host(hostname, hostname.span, findings);
    }
}

/// Rules have names of their own.
pub(super) fn check_names<'r>(
    names: impl Iterator<Item = Option<&'r At<SectionName>>>,
    findings: &mut Findings,
) {
    let names = names.flatten().map(|name| (name.as_str(), name));
    repeated(names, |name| {
        findings.error(
            name.span,
            format!("the rule name `{}` is used twice", **name),
        );
    });
}

/// The places of all matches of a route: there are not too many.
pub(super) fn check_count(mut matches: impl Iterator<Item = Span>, findings: &mut Findings) {
    if let Some(first_too_many) = matches.nth(MAX_MATCHES) {
        let message = format!("a route has at most {MAX_MATCHES} matches in all its rules");
        findings.with_hint(first_too_many, message, "split the route in two");
    }
}

/// References to one parent must each name another section or port.
fn check_parents(parents: &[ParentRef], findings: &mut Findings) {
    let mut groups: HashMap<_, Vec<&ParentRef>> = HashMap::default();
    for parent in parents {
        let part = |text: Option<&str>| text.map(str::to_owned);
        let key = (
            part(parent.group.as_ref().map(|group| group.as_str())),
            part(parent.kind.as_ref().map(|kind| kind.as_str())),
            part(
                parent
                    .namespace
                    .as_ref()
                    .map(|namespace| namespace.as_str()),
            ),
            parent.name.as_str(),
        );
        groups.entry(key).or_default().push(parent);
    }
    for group in groups.values().filter(|group| group.len() > 1) {
        let section = |parent: &ParentRef| {
            let section = parent.section_name.as_ref().map(|name| name.to_string());
            (section, parent.port.as_ref().map(|port| port.value))
        };
        let unnamed = group
            .iter()
            .find(|parent| parent.section_name.is_none() && parent.port.is_none());
        if let Some(unnamed) = unnamed {
            let message = format!(
                "several references to `{}`: each needs a sectionName or port",
                *unnamed.name
            );
            findings.error(unnamed.name.span, message);
            continue;
        }
        repeated(
            group.iter().map(|parent| (section(parent), *parent)),
            |parent| {
                findings.error(
                    parent.name.span,
                    format!("the same listener of `{}` is named twice", *parent.name),
                );
            },
        );
    }
}

fn check_rule(rule: &HttpRule, findings: &mut Findings) {
    for one in &rule.matches {
        check_match(one, findings);
    }
    filters::check_rule_filters(rule, findings);
    for backend in &rule.backend_refs {
        let (group, kind) = (backend.group.as_deref(), backend.kind.as_deref());
        check_port((group, kind, &backend.name), backend.port, findings);
        filters::check_backend_filters(&backend.filters, findings);
    }
    if let Some(timeouts) = &rule.timeouts {
        check_timeouts(timeouts, findings);
    }
}

/// A reference to a Service, by group and kind with their defaults, needs a port.
pub(super) fn check_port(
    (group, kind, name): (Option<&Group>, Option<&KindName>, &At<ObjectName>),
    port: Option<At<u16>>,
    findings: &mut Findings,
) {
    let is_service = group.is_none_or(|group| group.is_empty())
        && kind.is_none_or(|kind| kind.as_str() == "Service");
    if is_service && port.is_none() {
        findings.with_hint(
            name.span,
            format!("the reference to Service `{}` has no port", **name),
            "add `port:`, or `group: tidegate.dev` and `kind: Backend` if it is a Backend",
        );
    }
}

fn check_match(one: &HttpMatch, findings: &mut Findings) {
    if let Some(path) = &one.path {
        paths::check_match(path, findings);
    }
    for field in one.headers.iter().chain(&one.query_params) {
        check_value(field, findings);
    }
}

pub(super) fn check_value(field: &FieldMatch, findings: &mut Findings) {
    let is_pattern = field
        .kind
        .as_ref()
        .is_some_and(|kind| kind.value == ValueMatchKind::RegularExpression);
    if is_pattern {
        paths::check_pattern(&field.value, findings);
    }
}

fn check_timeouts(timeouts: &HttpTimeouts, findings: &mut Findings) {
    let (Some(request), Some(backend)) = (&timeouts.request, &timeouts.backend_request) else {
        return;
    };
    let (Ok(whole), Ok(attempt)) = (duration::parse(request), duration::parse(backend)) else {
        return;
    };
    if !whole.is_zero() && attempt > whole {
        let message = format!(
            "`backendRequest` ({}) is longer than `request` ({})",
            **backend, **request
        );
        findings.error(backend.span, message);
    }
}

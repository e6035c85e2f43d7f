//! HTTPRoutes and GRPCRoutes as entries of the route tables of the listeners that they attach to.

use foldhash::HashMap;
use std::borrow::Cow;
use std::sync::Arc;

use tidegate_core::filter::Filter;
use tidegate_core::route::Entry;
use tidegate_core::route::RequestMatch;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::route::Rule;
use tidegate_core::route::RuleId;
use tidegate_core::route::WeightedBackend;

use super::Patterns;
use super::attach;
use super::attach::Attachment;
use super::attach::RouteHead;
use super::backends::Reference;
use super::backends::Use;
use super::filters::filters;
use super::gateways::Gateways;
use super::matches::calls;
use super::matches::matches;
use super::outcome::Outcome;
use super::outcome::Tools;
use super::outcome::addresses;
use super::outcome::break_loop;
use super::outcome::by_certificate;
use super::policies;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::PluginType;
use crate::kinds::Body;
use crate::kinds::grpc_route::GrpcRule;
use crate::kinds::http_route::HttpBackendRef;
use crate::kinds::http_route::HttpRule;
use crate::resource::ResourceId;

/// One rule, whichever kind of route it is of.
struct Part<'r> {
    rule: Cow<'r, HttpRule>,
    matches: Vec<RequestMatch>,
}

/// Compiles all HTTPRoutes and GRPCRoutes into the listeners that they attach to, in the order of
/// their names: files have no age (Gateway API: `HTTPRouteRule.matches`).
pub(crate) fn compile<'a>(
    tools: &mut Tools<'_, 'a>,
    gateways: &mut Gateways<'a>,
    report: &mut Report,
) {
    let mut next_rule = 0;
    let (http, grpc) = (tools.world.all("HTTPRoute"), tools.world.all("GRPCRoute"));
    let mut all: Vec<&Candidate> = http.iter().chain(grpc).copied().collect();
    all.sort_by_key(|one| (one.namespace(), one.name()));
    let mut attached = attach_all(&all, tools.world, gateways, report);
    for candidate in all {
        let Some((head, parts, protocol)) = taken_apart(candidate, tools.patterns) else {
            continue;
        };
        let attachments = attached.remove(candidate.id()).unwrap_or_default();
        let mut outcome = Outcome {
            own: addresses(gateways, &attachments),
            unresolved: None,
            protocol,
            client_certificate: None,
        };
        let mut groups = by_certificate(gateways, &attachments);
        if groups.is_empty() {
            // What it refers to is looked at all the same.
            groups.insert(None, Vec::new());
        }
        let mut scratch = Report::default();
        for (index, part) in parts.into_iter().enumerate() {
            for (group, (certificate, attachments)) in groups.iter().enumerate() {
                // What is wrong with the rule is said once.
                let said = if group == 0 {
                    &mut *report
                } else {
                    &mut scratch
                };
                outcome.client_certificate = *certificate;
                let id = RuleId(next_rule);
                next_rule += 1;
                let given = (index, &*part.rule);
                let rule = rule(id, given, candidate, tools, &mut outcome, said);
                enter(gateways, attachments, &part.matches, &Arc::new(rule));
            }
        }
        for (listener, _) in &attachments {
            if let Some(plan) = gateways.listeners.get_mut(*listener) {
                plan.attached += 1;
            }
        }
        let unresolved = outcome.unresolved.as_ref();
        attach::report_references(candidate, head, gateways, unresolved, report);
    }
}

/// Attaches all of them, the older ones first: of two that cannot be at one listener together, the
/// older one is.
fn attach_all<'c>(
    all: &[&'c Candidate],
    world: &World<'_>,
    gateways: &mut Gateways<'_>,
    report: &mut Report,
) -> HashMap<&'c ResourceId, Vec<Attachment>> {
    let mut by_age = all.to_vec();
    by_age.sort_by_key(|one| one.is_new());
    let mut attached = HashMap::default();
    for candidate in by_age {
        let Some(head) = head(candidate) else {
            continue;
        };
        let attachments = attach::attach(world, gateways, candidate, head, report);
        for (listener, hosts) in &attachments {
            if let Some(plan) = gateways.listeners.get_mut(*listener) {
                plan.taken.push((candidate.id().clone(), hosts.clone()));
            }
        }
        attached.insert(candidate.id(), attachments);
    }
    attached
}

/// What a route attaches by.
fn head(candidate: &Candidate) -> Option<RouteHead<'_>> {
    let (parents, hostnames) = match candidate.body() {
        Body::HttpRoute(route) => (&route.spec.parent_refs, &route.spec.hostnames),
        Body::GrpcRoute(route) => (&route.spec.parent_refs, &route.spec.hostnames),
        _ => return None,
    };
    Some(RouteHead { parents, hostnames })
}

/// A route as its parts, and what its backends are for.
fn taken_apart<'c>(
    candidate: &'c Candidate,
    patterns: &mut Patterns,
) -> Option<(RouteHead<'c>, Vec<Part<'c>>, Use)> {
    let (parts, protocol) = match candidate.body() {
        Body::HttpRoute(route) => (http_parts(&route.spec.rules, patterns), Use::Http),
        Body::GrpcRoute(route) => (grpc_parts(&route.spec.rules, patterns), Use::Grpc),
        _ => return None,
    };
    Some((head(candidate)?, parts, protocol))
}

/// The rules of an HTTPRoute; without any, all requests have nowhere to go (the API's default).
fn http_parts<'r>(rules: &'r [HttpRule], patterns: &mut Patterns) -> Vec<Part<'r>> {
    let part = |rule: Cow<'r, HttpRule>, patterns: &mut Patterns| Part {
        matches: matches(&rule, patterns),
        rule,
    };
    if rules.is_empty() {
        return vec![part(Cow::Owned(HttpRule::default()), patterns)];
    }
    let rules = rules.iter();
    rules
        .map(|rule| part(Cow::Borrowed(rule), patterns))
        .collect()
}

/// The same of a GRPCRoute.
fn grpc_parts<'r>(rules: &[GrpcRule], patterns: &mut Patterns) -> Vec<Part<'r>> {
    let part = |rule: &GrpcRule, patterns: &mut Patterns| Part {
        rule: Cow::Owned(HttpRule::from(rule)),
        matches: calls(rule, patterns),
    };
    if rules.is_empty() {
        return vec![part(&GrpcRule::default(), patterns)];
    }
    rules.iter().map(|rule| part(rule, patterns)).collect()
}

fn enter(
    gateways: &mut Gateways<'_>,
    attachments: &[Attachment],
    matches: &[RequestMatch],
    rule: &Arc<Rule>,
) {
    for (listener, hosts) in attachments {
        if let Some(plan) = gateways.listeners.get_mut(*listener) {
            plan.entries.push(Entry {
                hosts: hosts.clone(),
                matches: matches.to_vec(),
                rule: Arc::clone(rule),
            });
        }
    }
}

fn rule(
    id: RuleId,
    (index, given): (usize, &HttpRule),
    candidate: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) -> Rule {
    let section = given.name.as_ref().map(|name| name.as_str());
    let name = match section {
        Some(section) => format!("{}/{section}", candidate.full_name()),
        None => format!("{}/{index}", candidate.full_name()),
    };
    let targeted = tools
        .plugins
        .of(candidate.id().kind, candidate, section, PluginType::Http);
    let mut all: Vec<Filter> = targeted.into_iter().map(Filter::Plugin).collect();
    let (mut timeouts, buffered_body_bytes) = tools.policies.of_rule(candidate, section);
    let mut backends = Vec::new();
    // Of a route that is refused only the matches count: its requests are answered with 500.
    if candidate.state != State::Salvaged {
        all.extend(filters(&given.filters, candidate, tools, outcome, report));
        for backend in &given.backend_refs {
            let mut weighted = weighted(backend, candidate, tools, outcome, report);
            if !given
                .filters
                .iter()
                .any(|filter| filter.url_rewrite.is_some())
            {
                break_loop(
                    &mut weighted,
                    &backend.name,
                    candidate,
                    tools,
                    outcome,
                    report,
                );
            }
            backends.push(weighted);
        }
    }
    if let Some(given) = &given.timeouts {
        timeouts = RouteTimeouts {
            request: policies::limit(given.request.as_ref(), timeouts.request),
            backend_request: policies::limit(
                given.backend_request.as_ref(),
                timeouts.backend_request,
            ),
            ..timeouts
        };
    }
    Rule {
        id,
        name: name.into(),
        filters: all,
        backends,
        timeouts,
        buffered_body_bytes,
        upgrades: tools.policies.upgrades(candidate, section),
    }
}

fn weighted(
    given: &HttpBackendRef,
    candidate: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) -> WeightedBackend {
    let reference = Reference {
        group: given.group.as_ref(),
        kind: given.kind.as_ref(),
        namespace: given.namespace.as_ref(),
        name: &given.name,
        port: given.port.as_ref(),
    };
    let resolved = tools
        .backends
        .resolve(candidate, reference, outcome.sought());
    WeightedBackend {
        weight: given.weight.as_ref().map_or(1, |weight| weight.value),
        backend: outcome.backend(resolved, candidate, report),
        filters: filters(&given.filters, candidate, tools, outcome, report),
    }
}

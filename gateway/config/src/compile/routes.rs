//! HTTPRoutes as entries of the route tables of the listeners that they attach to.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::backend::BackendId;
use tidegate_core::filter::Filter;
use tidegate_core::route::Entry;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::route::Rule;
use tidegate_core::route::RuleId;
use tidegate_core::route::WeightedBackend;

use super::Patterns;
use super::attach;
use super::attach::Attachment;
use super::backends::BackendTable;
use super::backends::Reference;
use super::filters::filters;
use super::gateways::Gateways;
use super::gateways::Standing;
use super::matches::matches;
use super::plugins::PluginTable;
use super::policies;
use super::policies::Policies;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::draft::Condition;
use crate::kinds::Body;
use crate::kinds::http_route::HttpBackendRef;
use crate::kinds::http_route::HttpRoute;
use crate::kinds::http_route::HttpRule;

/// What routes are compiled with.
pub(crate) struct Tools<'t, 'a> {
    pub(crate) world: &'a World<'a>,
    pub(crate) policies: &'t Policies<'a>,
    pub(crate) backends: &'t mut BackendTable<'a>,
    pub(crate) plugins: &'t mut PluginTable<'a>,
    pub(crate) patterns: &'t mut Patterns,
}

/// What the references of a route came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// The first reason why one leads nowhere.
    unresolved: Option<(&'static str, String)>,
    /// The addresses that its requests come in at.
    own: Vec<SocketAddr>,
}

impl Outcome {
    pub(crate) fn refuse(&mut self, from: &Candidate, refusal: Refusal, report: &mut Report) {
        self.unresolved
            .get_or_insert_with(|| (refusal.reason, refusal.message.clone()));
        report.error(from, refusal);
    }

    /// A backend, or nothing if the reference leads nowhere.
    pub(crate) fn backend(
        &mut self,
        resolved: Result<Option<BackendId>, Refusal>,
        from: &Candidate,
        report: &mut Report,
    ) -> Option<BackendId> {
        match resolved {
            Ok(Some(id)) => Some(id),
            Ok(None) => {
                self.unresolved
                    .get_or_insert_with(|| ("BackendNotFound", "a backend is refused".to_owned()));
                None
            }
            Err(refusal) => {
                self.refuse(from, refusal, report);
                None
            }
        }
    }
}

/// Compiles all HTTPRoutes into the listeners that they attach to, in the order of their names: files
/// have no age (Gateway API: `HTTPRouteRule.matches`).
pub(crate) fn compile<'a>(
    mut tools: Tools<'_, 'a>,
    gateways: &mut Gateways<'a>,
    report: &mut Report,
) {
    let mut next_rule = 0;
    for candidate in tools.world.all("HTTPRoute") {
        let Body::HttpRoute(route) = candidate.body() else {
            continue;
        };
        let attachments = attach::attach(tools.world, gateways, candidate, route, report);
        let mut outcome = Outcome {
            own: addresses(gateways, &attachments),
            unresolved: None,
        };
        for (index, given) in route.spec.rules.iter().enumerate() {
            let id = RuleId(next_rule);
            next_rule += 1;
            let matches = matches(given, tools.patterns);
            let rule = rule(
                id,
                index,
                given,
                candidate,
                &mut tools,
                &mut outcome,
                report,
            );
            enter(gateways, &attachments, matches, Arc::new(rule));
        }
        if route.spec.rules.is_empty() {
            let id = RuleId(next_rule);
            next_rule += 1;
            let given = everything();
            let matches = matches(&given, tools.patterns);
            let rule = rule(id, 0, &given, candidate, &mut tools, &mut outcome, report);
            enter(gateways, &attachments, matches, Arc::new(rule));
        }
        for (listener, _) in &attachments {
            if let Some(plan) = gateways.listeners.get_mut(*listener) {
                plan.attached += 1;
            }
        }
        conditions(candidate, route, gateways, &outcome, report);
    }
}

fn addresses(gateways: &Gateways<'_>, attachments: &[Attachment]) -> Vec<SocketAddr> {
    let listeners = attachments
        .iter()
        .filter_map(|(index, _)| gateways.listeners.get(*index));
    listeners
        .flat_map(|one| one.addresses.iter().copied())
        .collect()
}

/// The rule of a route without rules: all requests, and nowhere to go (the API's default).
fn everything() -> HttpRule {
    HttpRule {
        name: None,
        matches: Vec::new(),
        filters: Vec::new(),
        backend_refs: Vec::new(),
        timeouts: None,
        retry: None,
        session_persistence: None,
    }
}

fn enter(
    gateways: &mut Gateways<'_>,
    attachments: &[Attachment],
    matches: Vec<tidegate_core::route::RequestMatch>,
    rule: Arc<Rule>,
) {
    let mut matches = Some(matches);
    for (place, (listener, hosts)) in attachments.iter().enumerate() {
        let is_last = place + 1 == attachments.len();
        let matches = if is_last {
            matches.take()
        } else {
            matches.clone()
        };
        if let Some(plan) = gateways.listeners.get_mut(*listener) {
            plan.entries.push(Entry {
                hosts: hosts.clone(),
                matches: matches.unwrap_or_default(),
                rule: Arc::clone(&rule),
            });
        }
    }
}

fn rule(
    id: RuleId,
    index: usize,
    given: &HttpRule,
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
    let targeted = tools.plugins.of("HTTPRoute", candidate, section);
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
                break_loop(&mut weighted, backend, candidate, tools, outcome, report);
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
    let resolved = tools.backends.resolve(candidate, reference);
    WeightedBackend {
        weight: given.weight.as_ref().map_or(1, |weight| weight.value),
        backend: outcome.backend(resolved, candidate, report),
        filters: filters(&given.filters, candidate, tools, outcome, report),
    }
}

/// A request that comes back as it went would meet the same rule again, and again.
fn break_loop(
    weighted: &mut WeightedBackend,
    given: &HttpBackendRef,
    candidate: &Candidate,
    tools: &mut Tools<'_, '_>,
    outcome: &mut Outcome,
    report: &mut Report,
) {
    let Some(id) = weighted.backend else {
        return;
    };
    let own = outcome.own.iter().copied();
    let Some(own) = own
        .into_iter()
        .find(|own| tools.backends.leads_to(id, *own))
    else {
        return;
    };
    weighted.backend = None;
    let refusal = Refusal {
        span: given.name.span,
        reason: "BackendNotFound",
        message: format!(
            "`{}` leads back to {own}, where the route's requests come in",
            *given.name
        ),
        hint: Some("name another endpoint or listen on another port".to_owned()),
    };
    outcome.refuse(candidate, refusal, report);
}

/// `ResolvedRefs` for each parent (Gateway API: `RouteConditionResolvedRefs`).
fn conditions(
    candidate: &Candidate,
    route: &HttpRoute,
    gateways: &Gateways<'_>,
    outcome: &Outcome,
    report: &mut Report,
) {
    let ours = route.spec.parent_refs.iter().filter(|parent| {
        let namespace = parent.namespace.as_ref();
        let namespace = namespace.map_or(candidate.namespace(), |one| one.as_str());
        let found = gateways.get(namespace, &parent.name);
        found.is_some_and(|gateway| gateway.standing != Standing::Foreign)
    });
    for parent in ours {
        let about = Some(attach::about(candidate, parent));
        let condition = match &outcome.unresolved {
            None => Condition {
                kind: "ResolvedRefs",
                status: true,
                reason: "ResolvedRefs",
                message: String::new(),
                about,
            },
            Some((reason, message)) => Condition {
                kind: "ResolvedRefs",
                status: false,
                reason,
                message: message.clone(),
                about,
            },
        };
        report.condition(candidate, condition);
    }
}

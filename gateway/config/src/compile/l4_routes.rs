//! TCPRoutes and TLSRoutes as what becomes of the connections of listeners.

use std::collections::btree_map::Entry;
use std::sync::Arc;

use tidegate_core::host::HostPattern;
use tidegate_core::route::WeightedBackend;

use super::attach;
use super::attach::Attachment;
use super::attach::RouteHead;
use super::backends::Reference;
use super::backends::Use;
use super::gateways::Gateways;
use super::listeners::Connections;
use super::outcome::Outcome;
use super::outcome::Tools;
use super::outcome::addresses;
use super::outcome::break_loop;
use super::outcome::by_certificate;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use crate::draft::PluginType;
use crate::kinds::Body;
use crate::kinds::l4_route::BackendRef;
use crate::kinds::l4_route::L4Rule;
use crate::place::Span;

/// Compiles all TCPRoutes and TLSRoutes into the listeners that they attach to, in the order of their
/// names: where two claim the same, the first has it.
pub(crate) fn compile<'a>(
    tools: &mut Tools<'_, 'a>,
    gateways: &mut Gateways<'a>,
    report: &mut Report,
) {
    for kind in ["TLSRoute", "TCPRoute"] {
        for candidate in tools.world.all(kind) {
            match candidate.body() {
                Body::TlsRoute(route) => {
                    let head = RouteHead {
                        parents: &route.spec.parent_refs,
                        hostnames: &route.spec.hostnames,
                    };
                    one(tools, gateways, candidate, head, &route.spec.rules, report);
                }
                Body::TcpRoute(route) => {
                    let head = RouteHead {
                        parents: &route.spec.parent_refs,
                        hostnames: &[],
                    };
                    one(tools, gateways, candidate, head, &route.spec.rules, report);
                }
                _ => {}
            }
        }
    }
}

/// The API allows one rule; one that is salvaged has none, and its connections are closed.
fn one(
    tools: &mut Tools<'_, '_>,
    gateways: &mut Gateways<'_>,
    candidate: &Candidate,
    head: RouteHead<'_>,
    rules: &[L4Rule],
    report: &mut Report,
) {
    let attachments = attach::attach(tools.world, gateways, candidate, head, report);
    let mut outcome = Outcome {
        unresolved: None,
        own: addresses(gateways, &attachments),
        protocol: Use::Tcp,
        client_certificate: None,
    };
    let rule = rules.first();
    let section = rule.and_then(|rule| rule.name.as_ref());
    let section = section.map(|name| name.as_str());
    let mut scratch = Report::default();
    let mut groups = by_certificate(gateways, &attachments);
    if groups.is_empty() {
        // What it refers to is looked at all the same.
        groups.insert(None, Vec::new());
    }
    for (index, (certificate, attachments)) in groups.into_iter().enumerate() {
        // What is wrong with the rule is said once.
        let said = if index == 0 {
            &mut *report
        } else {
            &mut scratch
        };
        outcome.client_certificate = certificate;
        let connections = Arc::new(Connections {
            name: candidate.full_name(),
            plugins: tools
                .plugins
                .of(candidate.id().kind, candidate, section, PluginType::Network),
            backends: backends(tools, candidate, rule, &mut outcome, said),
            idle: tools.policies.tcp_idle(candidate, section),
        });
        for attachment in attachments {
            enter(gateways, candidate, attachment, &connections, report);
        }
    }
    let unresolved = outcome.unresolved.as_ref();
    attach::report_references(candidate, head, gateways, unresolved, report);
}

/// Gives a listener's names to a route, as far as no other has them.
fn enter(
    gateways: &mut Gateways<'_>,
    candidate: &Candidate,
    (listener, hosts): Attachment,
    connections: &Arc<Connections>,
    report: &mut Report,
) {
    let gateway = gateways.of_listener(listener);
    let gateway = gateway.map_or_else(String::new, |plan| plan.candidate.full_name());
    let Some(plan) = gateways.listeners.get_mut(listener) else {
        return;
    };
    plan.attached += 1;
    for host in hosts {
        let first = match plan.connections.entry(host.clone()) {
            Entry::Vacant(place) => {
                place.insert(Arc::clone(connections));
                continue;
            }
            Entry::Occupied(first) => first,
        };
        let name = match host {
            HostPattern::Any => "all connections".to_owned(),
            host => format!("the name `{host}`"),
        };
        let refusal = Refusal {
            span: Span::NONE,
            reason: "Conflicted",
            message: format!(
                "{name} of the listener `{gateway}/{}` {} the route `{}` already",
                *plan.listener.name,
                if name.starts_with("all") {
                    "go to"
                } else {
                    "goes to"
                },
                first.get().name
            ),
            hint: Some("attach one of them elsewhere; the first by name counts".to_owned()),
        };
        report.error(candidate, refusal);
    }
}

fn backends(
    tools: &mut Tools<'_, '_>,
    candidate: &Candidate,
    rule: Option<&L4Rule>,
    outcome: &mut Outcome,
    report: &mut Report,
) -> Vec<WeightedBackend> {
    // Connections of a route that is refused are closed.
    if candidate.state == State::Salvaged {
        return Vec::new();
    }
    let given = rule.into_iter().flat_map(|rule| &rule.backend_refs);
    given
        .map(|one| backend(tools, candidate, one, outcome, report))
        .collect()
}

fn backend(
    tools: &mut Tools<'_, '_>,
    candidate: &Candidate,
    given: &BackendRef,
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
    let sought = outcome.sought();
    let resolved = tools.backends.resolve(candidate, reference, sought);
    let mut weighted = WeightedBackend {
        weight: given.weight.as_ref().map_or(1, |weight| weight.value),
        backend: outcome.backend(resolved, candidate, report),
        filters: Vec::new(),
    };
    break_loop(
        &mut weighted,
        &given.name,
        candidate,
        tools,
        outcome,
        report,
    );
    weighted
}

//! Which listeners a route attaches to, and for which hosts (Gateway API: `ParentReference`,
//! `AllowedRoutes`, `HTTPRouteSpec.hostnames`).

use std::collections::BTreeMap;

use tidegate_core::host::HostPattern;

use super::attach_refusals::check_kind;
use super::attach_refusals::conflicted;
use super::attach_refusals::no_shared_host;
use super::attach_refusals::not_allowed;
use super::gateway_parts::fitting;
use super::gateways::GatewayPlan;
use super::gateways::Gateways;
use super::gateways::Standing;
use super::listeners::ListenerPlan;
use super::namespaces::allows;
use super::references::not_found;
use super::report::Refusal;
use super::report::Report;
use super::tls::Trouble;
use super::tls::resolved;
use super::world::Candidate;
use super::world::World;
use crate::draft::Condition;
use crate::kinds::http_route::ParentRef;
use crate::kinds::text::Hostname;
use crate::place::At;
use crate::place::Span;
use crate::resource::ResourceId;
use crate::suggest::did_you_mean;

/// A listener that a route attaches to, by its place among all, and the hosts they share.
pub(crate) type Attachment = (usize, Vec<HostPattern>);

/// What routes of all kinds begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RouteHead<'r> {
    pub(crate) parents: &'r [ParentRef],
    pub(crate) hostnames: &'r [At<Hostname>],
}

/// Attaches a route to what it names; reports what it cannot attach to.
pub(crate) fn attach(
    world: &World<'_>,
    gateways: &Gateways<'_>,
    candidate: &Candidate,
    route: RouteHead<'_>,
    report: &mut Report,
) -> Vec<Attachment> {
    let hosts: Vec<HostPattern> = route
        .hostnames
        .iter()
        .filter_map(|host| HostPattern::parse(host).ok())
        .collect();
    let mut attachments: BTreeMap<usize, Vec<HostPattern>> = BTreeMap::new();
    for parent in route.parents {
        let result = attach_to(world, gateways, candidate, route, &hosts, parent);
        let about = about(candidate, parent);
        let condition = match result {
            Ok(None) => continue,
            Ok(Some(found)) => {
                for (listener, hosts) in found.attachments {
                    attachments.entry(listener).or_default().extend(hosts);
                }
                if let Some(refusal) = found.left_out {
                    report.error(candidate, refusal);
                }
                accepted(about)
            }
            Err(refusal) => {
                let condition = Condition {
                    kind: "Accepted",
                    status: false,
                    reason: refusal.reason,
                    message: refusal.message.clone(),
                    about: Some(about),
                };
                report.error(candidate, refusal);
                condition
            }
        };
        report.condition(candidate, condition);
    }
    if route.parents.is_empty() {
        let refusal = Refusal {
            span: Span::NONE,
            reason: "NoMatchingParent",
            message: "the route names no parent, so it is not used".to_owned(),
            hint: Some("add `parentRefs` with the name of a Gateway".to_owned()),
        };
        report.warning(candidate, refusal);
    }
    let attached = attachments.into_iter();
    attached
        .map(|(listener, mut hosts)| {
            hosts.sort_unstable();
            hosts.dedup();
            (listener, hosts)
        })
        .collect()
}

fn accepted(about: String) -> Condition {
    Condition {
        kind: "Accepted",
        status: true,
        reason: "Accepted",
        message: String::new(),
        about: Some(about),
    }
}

/// What a condition calls a parent: `namespace/name`, its section and port if they are named.
pub(crate) fn about(candidate: &Candidate, parent: &ParentRef) -> String {
    let namespace = parent
        .namespace
        .as_ref()
        .map_or(candidate.namespace(), |namespace| namespace.as_str());
    let mut about = format!("{namespace}/{}", *parent.name);
    if let Some(section) = &parent.section_name {
        about = format!("{about}/{}", **section);
    }
    if let Some(port) = &parent.port {
        about = format!("{about}:{}", **port);
    }
    about
}

/// What attaching to one parent came to.
struct Attached {
    attachments: Vec<Attachment>,
    /// Why some listeners that it names are not among them.
    left_out: Option<Refusal>,
}

/// `Ok(None)`: the parent is refused or not ours, which is said elsewhere.
fn attach_to(
    world: &World<'_>,
    gateways: &Gateways<'_>,
    candidate: &Candidate,
    route: RouteHead<'_>,
    hosts: &[HostPattern],
    parent: &ParentRef,
) -> Result<Option<Attached>, Refusal> {
    check_kind(parent)?;
    let namespace = parent
        .namespace
        .as_ref()
        .map_or(candidate.namespace(), |namespace| namespace.as_str());
    let gateway = gateways.get(namespace, &parent.name).ok_or_else(|| {
        not_found(
            world,
            "NoMatchingParent",
            "Gateway",
            namespace,
            &parent.name,
        )
    })?;
    if gateway.standing != Standing::Ours {
        return Ok(None);
    }
    let named = named_listeners(gateways, gateway, parent)?;
    let kind = candidate.id().kind;
    let is_allowed = |(_, listener): &(usize, &ListenerPlan<'_>)| {
        listener.kinds.takes(kind) && allows(world, gateway, listener, candidate)
    };
    let fits =
        |(_, listener): &(usize, &ListenerPlan<'_>)| fitting(listener.protocol).contains(&kind);
    let is_fitting = named.iter().any(fits);
    let allowed: Vec<(usize, &ListenerPlan<'_>)> = named.into_iter().filter(is_allowed).collect();
    if allowed.is_empty() {
        return Err(not_allowed(gateway, candidate, parent, is_fitting));
    }
    let mut attachments = Vec::new();
    let mut left_out = None;
    for (index, listener) in &allowed {
        let hosts = shared_hosts(&listener.host, hosts);
        if hosts.is_empty() {
            continue;
        }
        match rival(listener, kind, &hosts) {
            Some(rival) => {
                left_out.get_or_insert_with(|| conflicted(listener, rival, route, parent));
            }
            None => attachments.push((*index, hosts)),
        }
    }
    match left_out {
        Some(refusal) if attachments.is_empty() => Err(refusal),
        None if attachments.is_empty() => Err(no_shared_host(gateway, &allowed, route, parent)),
        left_out => Ok(Some(Attached {
            attachments,
            left_out,
        })),
    }
}

/// The route of another kind that has one of these hosts at a listener (Gateway API:
/// `GRPCRouteSpec.hostnames`, where HTTPRoutes and GRPCRoutes share no host).
fn rival<'l>(
    listener: &'l ListenerPlan<'_>,
    kind: &str,
    hosts: &[HostPattern],
) -> Option<&'l ResourceId> {
    let mut others = listener.taken.iter().filter(|(of, _)| of.kind != kind);
    let shares = |other: &HostPattern| hosts.iter().any(|one| one.intersect(other).is_some());
    let (of, _) = others.find(|(_, theirs)| theirs.iter().any(shares))?;
    Some(of)
}

/// The listeners that a reference names by section and port.
fn named_listeners<'g, 'a>(
    gateways: &'g Gateways<'a>,
    gateway: &GatewayPlan<'a>,
    parent: &ParentRef,
) -> Result<Vec<(usize, &'g ListenerPlan<'a>)>, Refusal> {
    let all = || {
        let listeners = gateways.listeners.iter().enumerate();
        listeners
            .skip(gateway.listeners.start)
            .take(gateway.listeners.len())
    };
    let named: Vec<_> = all()
        .filter(|(_, one)| {
            parent
                .section_name
                .as_ref()
                .is_none_or(|name| name.value == one.listener.name.value)
        })
        .collect();
    if let (true, Some(section)) = (named.is_empty(), &parent.section_name) {
        let names = all().map(|(_, one)| one.listener.name.as_str());
        return Err(Refusal {
            span: section.span,
            reason: "NoMatchingParent",
            message: format!(
                "Gateway `{}` has no listener `{}`",
                gateway.candidate.full_name(),
                **section
            ),
            hint: did_you_mean(section, names),
        });
    }
    let on_port: Vec<_> = named
        .into_iter()
        .filter(|(_, one)| {
            let port = parent.port.as_ref();
            port.is_none_or(|port| port.value == one.listener.port.value)
        })
        .collect();
    match &parent.port {
        Some(port) if on_port.is_empty() => {
            let ports: Vec<String> = all()
                .map(|(_, one)| one.listener.port.to_string())
                .collect();
            Err(Refusal {
                span: port.span,
                reason: "NoMatchingParent",
                message: format!(
                    "Gateway `{}` has no such listener on port {}",
                    gateway.candidate.full_name(),
                    port.value
                ),
                hint: Some(format!("its listeners have: {}", ports.join(", "))),
            })
        }
        _ => Ok(on_port),
    }
}

/// `ResolvedRefs` for each parent that is ours (Gateway API: `RouteConditionResolvedRefs`).
pub(super) fn report_references(
    candidate: &Candidate,
    route: RouteHead<'_>,
    gateways: &Gateways<'_>,
    unresolved: Option<&Trouble>,
    report: &mut Report,
) {
    let ours = route.parents.iter().filter(|parent| {
        let namespace = parent.namespace.as_ref();
        let namespace = namespace.map_or(candidate.namespace(), |one| one.as_str());
        let found = gateways.get(namespace, &parent.name);
        found.is_some_and(|gateway| gateway.standing != Standing::Foreign)
    });
    for parent in ours {
        let condition = Condition {
            about: Some(about(candidate, parent)),
            ..resolved(unresolved)
        };
        report.condition(candidate, condition);
    }
}

/// The hosts that a listener and a route share; the listener's if the route names none.
fn shared_hosts(listener: &HostPattern, route: &[HostPattern]) -> Vec<HostPattern> {
    if route.is_empty() {
        return vec![listener.clone()];
    }
    let shared = route.iter().filter_map(|host| listener.intersect(host));
    shared.collect()
}

//! Why a route does not attach, in words.

use super::attach::RouteHead;
use super::gateways::GatewayPlan;
use super::listeners::ListenerPlan;
use super::report::Refusal;
use super::world::Candidate;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::http_route::ParentRef;
use crate::resource::ResourceId;

/// No listener lets the route attach. `is_fitting`: whether some listener speaks what the route is about.
pub(super) fn not_allowed(
    gateway: &GatewayPlan<'_>,
    candidate: &Candidate,
    parent: &ParentRef,
    is_fitting: bool,
) -> Refusal {
    let kind = candidate.id().kind;
    let hint = match kind {
        _ if is_fitting => "see `allowedRoutes` of its listeners",
        "TCPRoute" => {
            "a TCPRoute attaches to listeners for TCP, and for TLS with `mode: Terminate`"
        }
        "TLSRoute" => "a TLSRoute attaches to listeners for TLS",
        _ => "it attaches to listeners for HTTP and HTTPS",
    };
    Refusal {
        span: parent.name.span,
        reason: "NotAllowedByListeners",
        message: format!(
            "no listener of Gateway `{}` allows {kind}s of namespace `{}`",
            gateway.candidate.full_name(),
            candidate.namespace()
        ),
        hint: Some(hint.to_owned()),
    }
}

/// No listener has a host that the route names.
pub(super) fn no_shared_host(
    gateway: &GatewayPlan<'_>,
    allowed: &[(usize, &ListenerPlan<'_>)],
    route: RouteHead<'_>,
    parent: &ParentRef,
) -> Refusal {
    let claimed: Vec<String> = allowed
        .iter()
        .filter_map(|(_, one)| Some(one.listener.hostname.as_ref()?.to_string()))
        .collect();
    Refusal {
        span: route
            .hostnames
            .first()
            .map_or(parent.name.span, |host| host.span),
        reason: "NoMatchingListenerHostname",
        message: format!(
            "no listener of Gateway `{}` has any of the route's hostnames",
            gateway.candidate.full_name()
        ),
        hint: Some(format!("its listeners have: {}", claimed.join(", "))),
    }
}

/// A route of another kind has a host of this one already.
pub(super) fn conflicted(
    listener: &ListenerPlan<'_>,
    rival: &ResourceId,
    route: RouteHead<'_>,
    parent: &ParentRef,
) -> Refusal {
    Refusal {
        span: route
            .hostnames
            .first()
            .map_or(parent.name.span, |host| host.span),
        reason: "Conflicted",
        message: format!(
            "{rival} has a host of this route at the listener `{}`: HTTPRoutes and GRPCRoutes share no \
             host there, and the older one has it, or else the first by namespace and name",
            *listener.listener.name
        ),
        hint: Some("give one of them another host or another listener".to_owned()),
    }
}

/// A parent must be a Gateway.
pub(super) fn check_kind(parent: &ParentRef) -> Result<(), Refusal> {
    let group = parent
        .group
        .as_ref()
        .map_or(GATEWAY_GROUP, |group| group.as_str());
    let kind = parent.kind.as_ref().map_or("Gateway", |kind| kind.as_str());
    if (group, kind) == (GATEWAY_GROUP, "Gateway") {
        return Ok(());
    }
    let by_kind = parent.kind.as_ref().map(|kind| kind.span);
    let by_group = parent.group.as_ref().map(|group| group.span);
    Err(Refusal {
        span: by_kind.or(by_group).unwrap_or(parent.name.span),
        reason: "InvalidKind",
        message: format!("a {kind} of the group {group:?} as parent is not supported yet"),
        hint: Some("the parent of a route is a Gateway".to_owned()),
    })
}

//! Parts of Gateways, each looked at by itself: the class, the addresses, protocols and kinds.

use std::net::IpAddr;
use std::net::Ipv4Addr;

use super::gateways::Standing;
use super::report::Refusal;
use super::report::Report;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::CONTROLLER;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::OWN_CLASS;
use crate::kinds::gateway::Gateway;
use crate::kinds::gateway::Listener;
use crate::kinds::tls::TlsMode;
use crate::rules::ListenerProtocol;
use crate::suggest::did_you_mean;

pub(super) fn standing(
    world: &World<'_>,
    candidate: &Candidate,
    gateway: &Gateway,
    report: &mut Report,
) -> Standing {
    if candidate.state == State::Salvaged {
        return Standing::Refused;
    }
    let name = &gateway.spec.gateway_class_name;
    let class = world.get("GatewayClass", "", name);
    let controller = class.and_then(|class| match class.body() {
        Body::GatewayClass(class) => Some(class.spec.controller_name.value.as_str()),
        _ => None,
    });
    let is_ours = match controller {
        Some(controller) => controller == CONTROLLER,
        None => name.as_str() == OWN_CLASS,
    };
    if is_ours {
        return Standing::Ours;
    }
    let message = match class {
        Some(_) => format!(
            "the class `{}` is not ours: this Gateway is left alone",
            **name
        ),
        None => format!("there is no class `{}`: this Gateway is left alone", **name),
    };
    let known = world.names("GatewayClass", "").chain([OWN_CLASS]);
    let near = did_you_mean(name, known).filter(|_| class.is_none());
    let hint = near.unwrap_or_else(|| format!("the class `{OWN_CLASS}` is ours"));
    let refusal = Refusal {
        span: name.span,
        reason: "NotOurs",
        message,
        hint: Some(hint),
    };
    report.warning(candidate, refusal);
    Standing::Foreign
}

/// All IPv4 addresses if none is named: `::` fails on machines without IPv6.
pub(super) fn addresses(gateway: &Gateway) -> Vec<IpAddr> {
    let given = gateway.spec.addresses.iter();
    let mut addresses: Vec<IpAddr> = given
        .filter_map(|address| address.value.as_ref()?.parse().ok())
        .collect();
    if addresses.is_empty() {
        addresses.push(Ipv4Addr::UNSPECIFIED.into());
    }
    addresses
}

pub(super) fn unsupported_protocol(listener: &Listener) -> Refusal {
    let protocol = listener.protocol.as_str();
    let is_known = protocol.eq_ignore_ascii_case("UDP");
    Refusal {
        span: listener.protocol.span,
        reason: "UnsupportedProtocol",
        message: if is_known {
            format!("the protocol {protocol} is not supported yet")
        } else {
            format!("{protocol:?} is no protocol of listeners")
        },
        hint: Some("use `HTTP`, `HTTPS`, `TLS` or `TCP`".to_owned()),
    }
}

/// Which kinds of routes may attach to a listener.
#[derive(Debug, Clone)]
pub(crate) struct RouteKinds {
    /// Those that fit what it speaks and that it allows.
    taken: Vec<&'static str>,
    /// All kinds that it names are known: of several, one that is not is said, and the others may
    /// attach (Gateway API: `ListenerReasonInvalidRouteKinds`).
    pub(super) all_known: bool,
}

impl RouteKinds {
    /// Whether routes of a kind may attach.
    pub(super) fn takes(&self, kind: &str) -> bool {
        self.taken.contains(&kind)
    }
}

/// The kinds of routes that fit what a listener speaks.
pub(super) const fn fitting(protocol: Option<ListenerProtocol>) -> &'static [&'static str] {
    match protocol {
        Some(ListenerProtocol::Http | ListenerProtocol::Https) => &["HTTPRoute", "GRPCRoute"],
        Some(ListenerProtocol::Tls(TlsMode::Passthrough)) => &["TLSRoute"],
        Some(ListenerProtocol::Tls(TlsMode::Terminate)) => &["TLSRoute", "TCPRoute"],
        Some(ListenerProtocol::Tcp) => &["TCPRoute"],
        None => &[],
    }
}

pub(super) fn route_kinds(
    candidate: &Candidate,
    listener: &Listener,
    protocol: Option<ListenerProtocol>,
    report: &mut Report,
) -> RouteKinds {
    let kinds = listener
        .allowed_routes
        .as_ref()
        .map(|allowed| &allowed.kinds);
    let kinds = kinds.map_or(&[][..], Vec::as_slice);
    let fitting = fitting(protocol);
    let mut found = RouteKinds {
        taken: Vec::new(),
        all_known: true,
    };
    if kinds.is_empty() {
        found.taken = fitting.to_vec();
    }
    for kind in kinds {
        let group = kind
            .group
            .as_ref()
            .map_or(GATEWAY_GROUP, |group| group.as_str());
        let fits = fitting.iter().find(|one| **one == kind.kind.as_str());
        if let (Some(fits), GATEWAY_GROUP) = (fits, group) {
            found.taken.push(fits);
            continue;
        }
        // What nobody speaks takes no routes, which is said already.
        if protocol.is_none() {
            continue;
        }
        found.all_known = false;
        let refusal = Refusal {
            span: kind.kind.span,
            reason: "InvalidRouteKinds",
            message: format!("routes of the kind {} are not supported here", *kind.kind),
            hint: Some(format!(
                "a listener for {} takes {}",
                *listener.protocol,
                fitting.join(" and ")
            )),
        };
        report.error(candidate, refusal);
    }
    found
}

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
    let is_known = matches!(protocol, "HTTPS" | "TLS" | "TCP" | "UDP");
    Refusal {
        span: listener.protocol.span,
        reason: "UnsupportedProtocol",
        message: if is_known {
            format!("the protocol {protocol} is not supported yet")
        } else {
            format!("{protocol:?} is no protocol of listeners")
        },
        hint: Some("use `HTTP`".to_owned()),
    }
}

pub(super) fn takes_http(candidate: &Candidate, listener: &Listener, report: &mut Report) -> bool {
    let kinds = listener
        .allowed_routes
        .as_ref()
        .map(|allowed| &allowed.kinds);
    let kinds = kinds.map_or(&[][..], Vec::as_slice);
    let mut takes = kinds.is_empty();
    for kind in kinds {
        let group = kind
            .group
            .as_ref()
            .map_or(GATEWAY_GROUP, |group| group.as_str());
        if group == GATEWAY_GROUP && kind.kind.as_str() == "HTTPRoute" {
            takes = true;
            continue;
        }
        let refusal = Refusal {
            span: kind.kind.span,
            reason: "InvalidRouteKinds",
            message: format!("routes of the kind {} are not supported here", *kind.kind),
            hint: Some("a listener for HTTP takes HTTPRoutes".to_owned()),
        };
        report.error(candidate, refusal);
    }
    takes
}

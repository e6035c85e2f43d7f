//! The rules of Backend, BackendPolicy, Service and EndpointSlice.

use std::net::IpAddr;
use std::net::SocketAddr;

use tidegate_core::dns::Refused;
use tidegate_core::dns::check_address;

use super::Findings;
use super::policy::check_targets;
use super::repeated;
use crate::kinds::OWN_GROUP;
use crate::kinds::backend::Backend;
use crate::kinds::backend::BackendEndpoint;
use crate::kinds::backend::BackendPolicy;
use crate::kinds::service::AddressType;
use crate::kinds::service::EndpointSlice;
use crate::kinds::service::Service;
use crate::kinds::service::ServiceType;

pub(super) fn check(backend: &Backend, findings: &mut Findings) {
    let spec = &backend.spec;
    match (&spec.endpoints, &spec.endpoints_file) {
        (Some(_), Some(file)) => {
            findings.error(file.span, "either `endpoints` or `endpointsFile`, not both");
        }
        (None, None) => findings.with_hint(
            crate::place::Span::NONE,
            "a Backend needs `endpoints` or `endpointsFile`",
            "such as `endpoints: [{ address: \"127.0.0.1:9001\" }]`",
        ),
        (Some(endpoints), None) => {
            let may_be_local = spec.allow_link_local == Some(true);
            check_endpoints(endpoints, may_be_local, findings);
        }
        (None, Some(_)) => {}
    }
}

/// Endpoints need addresses, each once; in the resource or in a file of their own.
pub(crate) fn check_endpoints(
    endpoints: &[BackendEndpoint],
    may_be_local: bool,
    findings: &mut Findings,
) {
    let mut parsed = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        let address = &endpoint.address;
        match address.parse::<SocketAddr>() {
            Ok(socket) if socket.port() == 0 => {
                findings.error(address.span, "an endpoint has no port 0");
            }
            Ok(socket) if !may_be_local && is_link_local(socket.ip()) => {
                let hint = "if that is meant, say `allowLinkLocal: true`";
                findings.with_hint(address.span, link_local(address), hint);
            }
            Ok(socket) => parsed.push((socket, address)),
            Err(_) => {
                let message = format!("{:?} is not an IP address with a port", address.value);
                let hint = match address.rsplit_once(':') {
                    Some((host, _)) if host.parse::<IpAddr>().is_err() => {
                        "names are not resolved yet: write the address, such as `127.0.0.1:9001`"
                    }
                    _ => "such as `127.0.0.1:9001` or `[::1]:9001`",
                };
                findings.with_hint(address.span, message, hint);
            }
        }
    }
    repeated(parsed, |address| {
        let message = format!("the endpoint `{}` is listed twice", **address);
        findings.with_hint(address.span, message, "give it a larger `weight` instead");
    });
}

/// Whether an address can be reached from this machine only, or hands out its secrets.
fn is_link_local(address: IpAddr) -> bool {
    check_address(address.to_canonical(), false) == Err(Refused::LinkLocal)
}

fn link_local(address: &str) -> String {
    format!("{address} is a link-local address, where clouds serve secrets to machines")
}

pub(super) fn check_policy(policy: &BackendPolicy, findings: &mut Findings) {
    let kinds = [(OWN_GROUP, "Backend"), ("", "Service")];
    check_targets(&policy.spec.target_refs, &kinds, findings);
    for target in &policy.spec.target_refs {
        if let Some(section) = &target.section_name {
            let message = "a part of a Service or Backend cannot be a target";
            findings.with_hint(section.span, message, "remove `sectionName`");
        }
    }
    if let Some(chosen) = &policy.spec.load_balancer {
        let given = [
            chosen.round_robin.is_some(),
            chosen.least_request.is_some(),
            chosen.random.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            findings.error(
                chosen.span,
                "exactly one of `roundRobin`, `leastRequest` and `random`",
            );
        }
    }
}

pub(super) fn check_service(service: &Service, findings: &mut Findings) {
    let spec = &service.spec;
    if let Some(kind) = &spec.kind
        && kind.value == ServiceType::ExternalName
    {
        let message = "ExternalName is not supported";
        findings.with_hint(kind.span, message, "use a Backend");
    }
    let ports = spec.ports.iter().map(|port| {
        let protocol = port.protocol.as_ref().map(|protocol| protocol.value);
        ((port.port.value, protocol), &port.port)
    });
    repeated(ports, |port| {
        findings.error(port.span, format!("the port {} is listed twice", **port));
    });
    if spec.ports.len() > 1 {
        for port in spec.ports.iter().filter(|port| port.name.is_none()) {
            let message = "each of several ports needs a name";
            findings.error(port.port.span, message);
        }
    }
}

pub(super) fn check_slice(slice: &EndpointSlice, findings: &mut Findings) {
    if slice.address_type.value == AddressType::Fqdn {
        let message = "names as endpoints are not supported";
        return findings.with_hint(slice.address_type.span, message, "use `IPv4` or `IPv6`");
    }
    let is_v4 = slice.address_type.value == AddressType::IPv4;
    let addresses = slice.endpoints.iter().flat_map(|one| &one.addresses);
    for address in addresses {
        let parsed = address.parse::<IpAddr>();
        if parsed.as_ref().map(IpAddr::is_ipv4) != Ok(is_v4) {
            let kind = if is_v4 { "IPv4" } else { "IPv6" };
            let message = format!("{:?} is not an {kind} address", address.value);
            findings.error(address.span, message);
        } else if parsed.is_ok_and(is_link_local) {
            let hint = "use a Backend with `allowLinkLocal: true` if that is meant";
            findings.with_hint(address.span, link_local(address), hint);
        }
    }
}

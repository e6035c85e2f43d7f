//! The rules of Backend, BackendPolicy, Service and EndpointSlice.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate_core::dns::NameError;
use tidegate_core::dns::Refused;
use tidegate_core::dns::check_address;
use tidegate_core::dns::check_name;

use super::Findings;
use super::policy::check_duration;
use super::policy::check_pings;
use super::policy::check_targets;
use super::repeated;
use crate::duration;
use crate::kinds::OWN_GROUP;
use crate::kinds::backend::Backend;
use crate::kinds::backend::BackendDns;
use crate::kinds::backend::BackendEndpoint;
use crate::kinds::backend::BackendPolicy;
use crate::kinds::backend::BackendProtocol;
use crate::kinds::service::AddressType;
use crate::kinds::service::EndpointSlice;
use crate::kinds::service::Service;
use crate::kinds::service::ServiceType;
use crate::kinds::text::DurationText;
use crate::place::At;
use crate::place::Span;
use crate::schema::Finding;

pub(super) fn check(backend: &Backend, findings: &mut Findings) {
    let spec = &backend.spec;
    let given = [
        spec.endpoints.as_ref().map(|one| one.span),
        spec.endpoints_file.as_ref().map(|one| one.span),
        spec.dns.as_ref().map(|one| one.span),
    ];
    let mut given = given.into_iter().flatten();
    match (given.next(), given.next()) {
        (None, _) => findings.with_hint(
            Span::NONE,
            "a Backend needs `endpoints`, `endpointsFile` or `dns`",
            "such as `endpoints: [{ address: \"127.0.0.1:9001\" }]`",
        ),
        (Some(_), Some(second)) => findings.error(
            second,
            "exactly one of `endpoints`, `endpointsFile` and `dns`",
        ),
        (Some(_), None) => {}
    }
    if let Some(endpoints) = &spec.endpoints {
        let may_be_local = spec.allow_link_local == Some(true);
        check_endpoints(endpoints, may_be_local, findings);
    }
    if let Some(dns) = &spec.dns {
        check_dns(dns, findings);
    }
    let is_http2 = |protocol: &&At<BackendProtocol>| protocol.value != BackendProtocol::Http1;
    if let (Some(_), Some(header)) = (
        spec.protocol.as_ref().filter(is_http2),
        &spec.proxy_protocol,
    ) {
        findings.with_hint(
            header.span,
            "`proxyProtocol` with HTTP/2 is not supported yet: its connections carry the requests of \
             many clients",
            "leave `protocol` out",
        );
    }
}

/// A name with what is asked about it.
fn check_dns(dns: &At<BackendDns>, findings: &mut Findings) {
    match (&dns.host, &dns.srv, &dns.port) {
        (Some(_), Some(srv), _) => findings.error(srv.span, "either `host` or `srv`, not both"),
        (None, None, _) => findings.with_hint(
            dns.span,
            "there is no name to look up",
            "such as `{ host: api.internal, port: 8080 }`",
        ),
        (Some(host), None, None) => findings.with_hint(
            host.span,
            "the addresses of a host need a `port`",
            "such as `port: 8080`",
        ),
        (None, Some(_), Some(port)) => {
            findings.error(port.span, "SRV records say the ports themselves");
        }
        (Some(_), None, Some(_)) | (None, Some(_), None) => {}
    }
    for name in [&dns.host, &dns.srv].into_iter().flatten() {
        if let Err(err) = check_name(name) {
            let message = format!("{:?} cannot be looked up: {err}", name.value);
            let hint = match err {
                NameError::Address => Some("write addresses in `endpoints`".to_owned()),
                _ => None,
            };
            findings.push(Finding {
                hint,
                ..Finding::new(name.span, message)
            });
        }
    }
    let second = Duration::from_secs(1);
    let (hour, day) = (second * 3_600, second * 86_400);
    check_duration("minTtl", dns.min_ttl.as_ref(), second, hour, findings);
    check_duration("maxTtl", dns.max_ttl.as_ref(), second, day, findings);
    let time = |given: &Option<At<DurationText>>| duration::parse(given.as_ref()?).ok();
    if let (Some(least), Some(most), Some(given)) =
        (time(&dns.min_ttl), time(&dns.max_ttl), &dns.max_ttl)
        && least > most
    {
        findings.error(given.span, "`maxTtl` is shorter than `minTtl`");
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
                        "names are looked up with `dns: { host: NAME, port: PORT }` instead of `endpoints`"
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
pub(super) fn is_link_local(address: IpAddr) -> bool {
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
    check_pings(policy.spec.http2_pings.as_ref(), findings);
    if let Some(header) = &policy.spec.proxy_protocol
        && policy
            .spec
            .target_refs
            .iter()
            .any(|one| one.kind.as_str() == "Backend")
    {
        let hint = "write it in the Backend, or name Services alone";
        findings.with_hint(header.span, "a Backend says `proxyProtocol` itself", hint);
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

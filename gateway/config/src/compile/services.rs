//! Where the ports of Services lead: EndpointSlices.

use foldhash::HashMap;
use std::net::IpAddr;
use std::net::SocketAddr;

use tidegate_core::backend::Endpoint;

use super::report::Refusal;
use super::world::Candidate;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::service::EndpointSlice;
use crate::kinds::service::IpProtocol;
use crate::kinds::service::ServicePort;
use crate::kinds::service::SliceConditions;
use crate::place::At;

/// The label by which a slice names its Service (Kubernetes).
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// The slices of each Service.
#[derive(Debug)]
pub(crate) struct ServicePorts<'a> {
    slices: HashMap<(&'a str, &'a str), Vec<&'a EndpointSlice>>,
    /// Slices that are gone, for Services that are gone.
    gone: HashMap<(&'a str, &'a str), Vec<&'a Candidate>>,
}

impl<'a> ServicePorts<'a> {
    pub(crate) fn new(world: &World<'a>) -> Self {
        let mut slices: HashMap<_, Vec<_>> = HashMap::default();
        for candidate in world.all("EndpointSlice") {
            if let (Some(service), Body::EndpointSlice(slice)) =
                (service_of(candidate), candidate.body())
            {
                let key = (candidate.namespace(), service);
                slices.entry(key).or_default().push(&**slice);
            }
        }
        let mut gone: HashMap<_, Vec<_>> = HashMap::default();
        for candidate in world.gone("EndpointSlice") {
            if let Some(service) = service_of(candidate) {
                let key = (candidate.namespace(), service);
                gone.entry(key).or_default().push(candidate);
            }
        }
        Self { slices, gone }
    }

    /// The endpoints of a Service's port.
    pub(crate) fn endpoints(&self, service: &Candidate, port: &ServicePort) -> Vec<Endpoint> {
        let Body::Service(declared) = service.body() else {
            return Vec::new();
        };
        let everybody = declared.spec.publish_not_ready_addresses == Some(true);
        collect(&self.slices_of(service), port, everybody)
    }

    /// The slices of a Service; for one that is gone, those that are gone with it.
    fn slices_of(&self, service: &Candidate) -> Vec<&'a EndpointSlice> {
        let key = (service.namespace(), service.name());
        let gone = self.gone.get(&key).into_iter().flatten().filter_map(|one| {
            if !service.used.get() {
                return None;
            }
            one.used.set(true);
            match one.body() {
                Body::EndpointSlice(slice) => Some(&**slice),
                _ => None,
            }
        });
        self.slices
            .get(&key)
            .into_iter()
            .flatten()
            .copied()
            .chain(gone)
            .collect()
    }
}

/// The port of a Service that a reference names.
pub(crate) fn port_of<'s>(
    service: &'s Candidate,
    port: &At<u16>,
) -> Result<&'s ServicePort, Refusal> {
    let declared = match service.body() {
        Body::Service(declared) => declared.spec.ports.as_slice(),
        _ => &[],
    };
    let found = declared
        .iter()
        .find(|one| one.port.value == port.value && is_tcp(one))
        .or_else(|| declared.iter().find(|one| one.port.value == port.value));
    let Some(found) = found else {
        let known: Vec<String> = declared.iter().map(|one| one.port.to_string()).collect();
        return Err(Refusal {
            span: port.span,
            reason: "BackendNotFound",
            message: format!(
                "Service `{}` has no port {}",
                service.full_name(),
                port.value
            ),
            hint: Some(format!("it has: {}", known.join(", "))),
        });
    };
    if !is_tcp(found) {
        return Err(Refusal {
            span: port.span,
            reason: "UnsupportedProtocol",
            message: format!(
                "port {} of Service `{}` speaks UDP or SCTP, which is not supported yet",
                port.value,
                service.full_name()
            ),
            hint: None,
        });
    }
    Ok(found)
}

/// What is spoken at a Service's port (Kubernetes: `ServicePort.appProtocol`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AppProtocol {
    /// It is not said.
    Unsaid,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// HTTP inside TLS.
    Https,
    /// Something that is not known here.
    Unknown,
}

pub(crate) fn app_protocol(port: &ServicePort) -> AppProtocol {
    let Some(given) = &port.app_protocol else {
        return AppProtocol::Unsaid;
    };
    match given.to_ascii_lowercase().as_str() {
        "http" | "kubernetes.io/ws" => AppProtocol::Http1,
        "kubernetes.io/h2c" | "grpc" => AppProtocol::Http2,
        "https" | "kubernetes.io/wss" => AppProtocol::Https,
        _ => AppProtocol::Unknown,
    }
}

fn service_of(candidate: &Candidate) -> Option<&str> {
    let labels = &candidate.version.content.labels;
    labels.get(SERVICE_LABEL).map(String::as_str)
}

fn is_tcp(port: &ServicePort) -> bool {
    port.protocol
        .as_ref()
        .is_none_or(|protocol| protocol.value == IpProtocol::Tcp)
}

/// Endpoints that are ready; if there are none, those that still serve while they end (Kubernetes:
/// `EndpointConditions`).
fn collect(slices: &[&EndpointSlice], port: &ServicePort, everybody: bool) -> Vec<Endpoint> {
    let mut ready = Vec::new();
    let mut ending = Vec::new();
    for slice in slices {
        let wanted = port.name.as_ref().map_or("", |name| name.as_str());
        let number = slice
            .ports
            .iter()
            .find(|one| one.name.as_ref().map_or("", |name| name.as_str()) == wanted)
            .and_then(|one| one.port.as_ref());
        let Some(number) = number else {
            continue;
        };
        for endpoint in &slice.endpoints {
            let address = endpoint.addresses.first();
            let Some(address) = address.and_then(|one| one.parse::<IpAddr>().ok()) else {
                continue;
            };
            let endpoint_of = Endpoint::from(SocketAddr::new(address, number.value));
            let conditions = endpoint.conditions.unwrap_or_default();
            if everybody || is_ready(conditions) {
                ready.push(endpoint_of);
            } else if conditions.serving == Some(true) && conditions.terminating == Some(true) {
                ending.push(endpoint_of);
            }
        }
    }
    let mut chosen = if ready.is_empty() { ending } else { ready };
    let mut seen = foldhash::HashSet::default();
    chosen.retain(|endpoint| seen.insert(endpoint.address));
    chosen
}

fn is_ready(conditions: SliceConditions) -> bool {
    conditions.ready.unwrap_or(true) && conditions.terminating != Some(true)
}

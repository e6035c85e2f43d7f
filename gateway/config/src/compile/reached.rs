//! How a Backend or a port of a Service is reached, and the data plane's backend that it becomes.

use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendId;
use tidegate_core::backend::BackendName;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::dns;
use tidegate_core::dns::DnsRecords;
use tidegate_core::dns::DnsSource;
use tidegate_core::tcp::ProxyProtocol;
use tidegate_core::tls::Origination;

use super::backend_tls::Demand;
use super::backends::BackendTable;
use super::backends::Sought;
use super::backends::Use;
use super::report::Refusal;
use super::services::AppProtocol;
use super::services::ServicePorts;
use super::services::app_protocol;
use super::services::port_of;
use super::world::Candidate;
use super::world::State;
use crate::duration;
use crate::kinds::Body;
use crate::kinds::backend as kinds;
use crate::kinds::backend::BackendDns;
use crate::kinds::backend::BackendEndpoint;
use crate::kinds::backend::BackendSpec;
use crate::kinds::service::ServicePort;
use crate::place::At;
use crate::place::Span;

/// A backend before it is known how it is reached.
struct Plan<'p> {
    kind: &'static str,
    candidate: &'p Candidate,
    name: String,
    /// The name of a Service's port.
    section: Option<&'p str>,
    is_http2: bool,
    /// Whether HTTP/2 is asked of it by those who call it, and not by itself.
    is_variant: bool,
    proxy_protocol: Option<ProxyProtocol>,
}

impl Plan<'_> {
    /// Connections that carry the requests of many clients cannot begin with one client's address.
    fn check_shared(&self, span: Span) -> Result<(), Refusal> {
        if !self.is_http2 || self.proxy_protocol.is_none() {
            return Ok(());
        }
        let (kind, name) = (self.kind, &self.name);
        Err(Refusal {
            span,
            reason: "UnsupportedProtocol",
            message: format!(
                "{kind} `{name}` is told the client by `proxyProtocol`, which is not supported yet with \
                 HTTP/2: its connections carry the requests of many clients"
            ),
            hint: Some("use HTTP/1.1 there, or remove `proxyProtocol`".to_owned()),
        })
    }
}

fn version(given: kinds::ProxyProtocol) -> ProxyProtocol {
    match given {
        kinds::ProxyProtocol::V1 => ProxyProtocol::V1,
        kinds::ProxyProtocol::V2 => ProxyProtocol::V2,
    }
}

/// Where endpoints are.
#[derive(Default)]
struct Found {
    endpoints: Vec<Endpoint>,
    dns: Option<Arc<DnsSource>>,
}

impl Found {
    /// What requests that name no host are sent with.
    fn authority(&self) -> Option<HeaderValue> {
        if let Some(first) = self.endpoints.first() {
            return HeaderValue::from_str(&first.address.to_string()).ok();
        }
        let source = self.dns.as_ref()?;
        let name = source.names.first()?.trim_end_matches('.');
        let text = match source.records {
            DnsRecords::Addresses { port } => format!("{name}:{port}"),
            DnsRecords::Services => name.to_owned(),
        };
        HeaderValue::from_str(&text).ok()
    }
}

impl<'a> BackendTable<'a> {
    /// A Backend in the snapshot.
    pub(super) fn backend(
        &mut self,
        candidate: &'a Candidate,
        sought: Sought,
    ) -> Option<BackendId> {
        self.reached(candidate, sought, Span::NONE).ok().flatten()
    }

    /// The same for a reference at a place.
    ///
    /// # Errors
    ///
    /// It cannot be used in this way.
    pub(super) fn reached(
        &mut self,
        candidate: &'a Candidate,
        sought: Sought,
        span: Span,
    ) -> Result<Option<BackendId>, Refusal> {
        let Body::Backend(backend) = candidate.body() else {
            return Ok(None);
        };
        if candidate.state == State::Salvaged {
            return Ok(None);
        }
        let spec = &backend.spec;
        let protocol = spec.protocol.as_ref().map(|protocol| protocol.value);
        let is_grpc = protocol.is_none() && sought.protocol == Use::Grpc;
        let plan = Plan {
            kind: "Backend",
            candidate,
            name: candidate.full_name(),
            section: None,
            is_http2: is_grpc || protocol.is_some_and(|one| one != kinds::BackendProtocol::Http1),
            is_variant: is_grpc,
            proxy_protocol: spec.proxy_protocol.as_ref().map(|one| version(**one)),
        };
        plan.check_shared(span)?;
        let listed = match (&spec.endpoints, &candidate.version.endpoints) {
            (Some(listed), _) => listed.value.as_slice(),
            (None, Some(file)) => file.endpoints.as_slice(),
            (None, None) => &[],
        };
        let found = Found {
            dns: spec.dns.as_ref().and_then(|dns| source(dns, spec)),
            endpoints: endpoints(listed),
        };
        Ok(Some(self.insert(plan, sought, |_| found)))
    }

    /// A port of a Service in the snapshot.
    pub(super) fn port(
        &mut self,
        service: &'a Candidate,
        port: &At<u16>,
        sought: Sought,
    ) -> Result<BackendId, Refusal> {
        let declared = port_of(service, port)?;
        let spoken = app_protocol(declared);
        let section = declared.name.as_ref().map(|name| name.as_str());
        if sought.protocol != Use::Tcp {
            self.check_protocol(service, declared, section, port)?;
        }
        let is_grpc = sought.protocol == Use::Grpc
            && matches!(spoken, AppProtocol::Unsaid | AppProtocol::Unknown);
        let plan = Plan {
            kind: "Service",
            candidate: service,
            name: format!("{}:{}", service.full_name(), port.value),
            section,
            is_http2: is_grpc || spoken == AppProtocol::Http2,
            is_variant: is_grpc,
            proxy_protocol: self.policies.proxy_protocol(service).map(version),
        };
        plan.check_shared(port.span)?;
        Ok(self.insert(plan, sought, |services| Found {
            endpoints: services.endpoints(service, declared),
            dns: None,
        }))
    }

    /// What is spoken at a port must be something that requests can be sent to.
    fn check_protocol(
        &mut self,
        service: &'a Candidate,
        declared: &ServicePort,
        section: Option<&str>,
        port: &At<u16>,
    ) -> Result<(), Refusal> {
        let Some(given) = &declared.app_protocol else {
            return Ok(());
        };
        let named = format!("port {} of Service `{}`", port.value, service.full_name());
        match app_protocol(declared) {
            AppProtocol::Https if self.tls.of("Service", service, section).is_none() => {
                Err(Refusal {
                    span: port.span,
                    reason: "UnsupportedProtocol",
                    message: format!(
                        "{named} speaks {}, and no BackendTLSPolicy says how",
                        **given
                    ),
                    hint: Some("add a BackendTLSPolicy for the Service".to_owned()),
                })
            }
            AppProtocol::Unknown => {
                let refusal = Refusal {
                    span: given.span,
                    reason: "UnsupportedProtocol",
                    message: format!("{:?} is not known: {named} is taken for HTTP", given.value),
                    hint: Some(
                        "`http`, `kubernetes.io/h2c`, `kubernetes.io/ws` and `kubernetes.io/wss` are"
                            .to_owned(),
                    ),
                };
                let is_said = self
                    .warnings
                    .iter()
                    .any(|(of, known)| of.id() == service.id() && known.span == refusal.span);
                if !is_said {
                    self.warnings.push((service, refusal));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn insert(
        &mut self,
        plan: Plan<'_>,
        sought: Sought,
        find: impl FnOnce(&ServicePorts<'a>) -> Found,
    ) -> BackendId {
        let demand = self.tls.of(plan.kind, plan.candidate, plan.section);
        // What is shown matters only where TLS is spoken.
        let shown = sought.client_certificate.filter(|_| demand.is_some());
        let key = (plan.name.clone(), plan.is_variant, shown);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let (found, tls) = match demand {
            None => (find(&self.services), None),
            Some(Demand::Tls(origination)) => {
                let origination = Origination {
                    client_certificate: shown,
                    ..Origination::clone(origination)
                };
                (find(&self.services), Some(Arc::new(origination)))
            }
            Some(Demand::Barred) => (Found::default(), None),
        };
        let mut name = plan.name;
        if plan.is_variant {
            name.push_str("#h2");
        }
        if demand.is_some() && shown != self.client_certificate {
            let place = shown.and_then(|id| usize::try_from(id.0).ok());
            let shown = place.and_then(|place| self.certificates.get(place));
            name = format!("{name}#{}", shown.map_or("", |shown| &*shown.0));
        }
        let authority = match &tls {
            Some(origination) => HeaderValue::from_str(&origination.hostname).ok(),
            None => found.authority(),
        };
        let id = self.backends.insert(Arc::new(Backend {
            name: BackendName::from(name.as_str()),
            endpoints: found.endpoints,
            dns: found.dns,
            authority: authority.unwrap_or_else(|| HeaderValue::from_static("localhost")),
            load_balancer: self.policies.load_balancer(plan.kind, plan.candidate),
            protocol: if plan.is_http2 {
                BackendProtocol::Http2
            } else {
                BackendProtocol::Http1
            },
            tls,
            proxy_protocol: plan.proxy_protocol,
            pings: self.policies.pings(plan.kind, plan.candidate),
        }));
        self.known.insert(key, id);
        id
    }
}

/// Endpoints as they are written; a rule has refused those that are no addresses.
fn endpoints(listed: &[BackendEndpoint]) -> Vec<Endpoint> {
    listed
        .iter()
        .filter_map(|one| {
            Some(Endpoint {
                address: one.address.parse::<SocketAddr>().ok()?,
                weight: one.weight.as_ref().map_or(1, |weight| weight.value),
            })
        })
        .collect()
}

/// What is looked up; a rule has refused what is no name.
fn source(given: &BackendDns, spec: &BackendSpec) -> Option<Arc<DnsSource>> {
    let (name, records) = match (&given.host, &given.port, &given.srv) {
        (Some(host), Some(port), _) => (host, DnsRecords::Addresses { port: port.value }),
        (_, _, Some(srv)) => (srv, DnsRecords::Services),
        _ => return None,
    };
    let plain = DnsSource::addresses(name, 0);
    let time = |given: &Option<At<_>>| {
        let given: &At<crate::kinds::text::DurationText> = given.as_ref()?;
        duration::parse(given).ok()
    };
    let min_ttl = time(&given.min_ttl).unwrap_or(plain.min_ttl);
    let max_ttl = time(&given.max_ttl).unwrap_or(plain.max_ttl);
    Some(Arc::new(DnsSource {
        records,
        family: match given.family.as_ref().map(|family| family.value) {
            Some(kinds::AddressFamily::IPv4) => dns::AddressFamily::V4,
            Some(kinds::AddressFamily::IPv6) => dns::AddressFamily::V6,
            Some(kinds::AddressFamily::Any) | None => dns::AddressFamily::Any,
        },
        min_ttl,
        max_ttl: max_ttl.max(min_ttl),
        allow_link_local: spec.allow_link_local == Some(true),
        ..plain
    }))
}

//! Backends and ports of Services as the data plane's backends, and references to them.

use foldhash::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderValue;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendId;
use tidegate_core::backend::BackendName;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::snapshot::Backends;
use tidegate_core::tcp::ProxyProtocol;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::Origination;
use tidegate_core::tls::TrustName;

use super::backend_tls::BackendTls;
use super::backend_tls::Demand;
use super::policies::Policies;
use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::report::Report;
use super::services::AppProtocol;
use super::services::ServicePorts;
use super::services::app_protocol;
use super::services::port_of;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::kinds::Body;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::OWN_GROUP;
use crate::kinds::backend as kinds;
use crate::kinds::backend::BackendEndpoint;
use crate::kinds::service::ServicePort;
use crate::kinds::text::Group;
use crate::kinds::text::KindName;
use crate::kinds::text::NamespaceName;
use crate::kinds::text::ObjectName;
use crate::place::At;
use crate::suggest::did_you_mean;

/// A reference to a backend, of a rule or a mirror.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reference<'a> {
    pub(crate) group: Option<&'a At<Group>>,
    pub(crate) kind: Option<&'a At<KindName>>,
    pub(crate) namespace: Option<&'a At<NamespaceName>>,
    pub(crate) name: &'a At<ObjectName>,
    pub(crate) port: Option<&'a At<u16>>,
}

/// What a backend is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Use {
    /// HTTP requests.
    Http,
    /// gRPC calls: HTTP/2, unless the backend says otherwise.
    Grpc,
    /// Bytes.
    Tcp,
}

/// What is asked of a backend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sought {
    pub(crate) protocol: Use,
    /// What it is shown if it asks.
    pub(crate) client_certificate: Option<CertificateId>,
}

/// The backends of a snapshot in the making.
#[derive(Debug)]
pub(crate) struct BackendTable<'a> {
    world: &'a World<'a>,
    policies: &'a Policies<'a>,
    tls: &'a BackendTls<'a>,
    /// What all Gateways show to backends; others make backends of their own.
    client_certificate: Option<CertificateId>,
    /// The names of certificates, for those.
    certificates: Vec<TrustName>,
    backends: Backends,
    services: ServicePorts<'a>,
    /// What is known of each already: by name, whether HTTP/2 is asked of it, and what is shown.
    known: HashMap<(String, bool, Option<CertificateId>), BackendId>,
    /// Remarks on Services.
    warnings: Vec<(&'a Candidate, Refusal)>,
    /// Whether a backend has an endpoint that is an address of ours, as far as that was asked.
    loops: HashMap<(BackendId, SocketAddr), bool>,
}

impl<'a> BackendTable<'a> {
    /// A table with all Backends; ports of Services come in when something refers to them.
    pub(crate) fn new(
        world: &'a World<'a>,
        policies: &'a Policies<'a>,
        tls: &'a BackendTls<'a>,
        client_certificate: Option<CertificateId>,
        certificates: Vec<TrustName>,
    ) -> Self {
        let mut table = Self {
            world,
            policies,
            tls,
            client_certificate,
            certificates,
            warnings: Vec::new(),
            backends: Backends::default(),
            services: ServicePorts::new(world),
            known: HashMap::default(),
            loops: HashMap::default(),
        };
        for candidate in world.all("Backend") {
            table.backend(candidate, table.plain());
        }
        table
    }

    /// What is asked of backends that filters call.
    const fn plain(&self) -> Sought {
        Sought {
            protocol: Use::Http,
            client_certificate: self.client_certificate,
        }
    }

    /// Where a reference leads. `Ok(None)`: to something that is refused itself.
    pub(crate) fn resolve(
        &mut self,
        from: &Candidate,
        reference: Reference<'_>,
        sought: Sought,
    ) -> Result<Option<BackendId>, Refusal> {
        let group = reference.group.map_or("", |group| group.as_str());
        let kind = reference.kind.map_or("Service", |kind| kind.as_str());
        let namespace = reference
            .namespace
            .map_or(from.namespace(), |namespace| namespace.as_str());
        match (group, kind) {
            ("", "Service") | (OWN_GROUP, "Backend") => {}
            _ => return Err(invalid_kind(reference, group, kind)),
        }
        let name = reference.name;
        if !is_permitted(
            self.world,
            (GATEWAY_GROUP, from),
            (group, kind, namespace, name.as_str()),
        ) {
            let span = reference.namespace.map_or(name.span, |one| one.span);
            return Err(not_permitted(span, from, kind, namespace, name.as_str()));
        }
        let found = self
            .world
            .find(from, kind, namespace, name.as_str())
            .ok_or_else(|| not_found(self.world, "BackendNotFound", kind, namespace, name))?;
        match reference.port {
            _ if found.state == State::Salvaged => Ok(None),
            Some(port) if kind == "Backend" => Err(Refusal {
                span: port.span,
                reason: "BackendNotFound",
                message: "a Backend has no ports to choose from".to_owned(),
                hint: Some("remove `port`".to_owned()),
            }),
            None if kind == "Backend" => Ok(self.backend(found, sought)),
            Some(port) => self.port(found, port, sought).map(Some),
            None => Ok(None),
        }
    }

    /// A Backend in the snapshot.
    fn backend(&mut self, candidate: &'a Candidate, sought: Sought) -> Option<BackendId> {
        let Body::Backend(backend) = candidate.body() else {
            return None;
        };
        if candidate.state == State::Salvaged {
            return None;
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
            proxy_protocol: spec.proxy_protocol.as_ref().map(|one| match one.value {
                kinds::ProxyProtocol::V1 => ProxyProtocol::V1,
                kinds::ProxyProtocol::V2 => ProxyProtocol::V2,
            }),
        };
        let listed = match (&spec.endpoints, &candidate.version.endpoints) {
            (Some(listed), _) => listed.value.as_slice(),
            (None, Some(file)) => file.endpoints.as_slice(),
            (None, None) => &[],
        };
        Some(self.insert(plan, sought, |_| endpoints(listed)))
    }

    /// A port of a Service in the snapshot.
    fn port(
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
            proxy_protocol: None,
        };
        Ok(self.insert(plan, sought, |services| {
            services.endpoints(service, declared)
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
        endpoints: impl FnOnce(&ServicePorts<'a>) -> Vec<Endpoint>,
    ) -> BackendId {
        let demand = self.tls.of(plan.kind, plan.candidate, plan.section);
        // What is shown matters only where TLS is spoken.
        let shown = sought.client_certificate.filter(|_| demand.is_some());
        let key = (plan.name.clone(), plan.is_variant, shown);
        if let Some(id) = self.known.get(&key) {
            return *id;
        }
        let (endpoints, tls) = match demand {
            None => (endpoints(&self.services), None),
            Some(Demand::Tls(origination)) => {
                let origination = Origination {
                    client_certificate: shown,
                    ..Origination::clone(origination)
                };
                (endpoints(&self.services), Some(Arc::new(origination)))
            }
            Some(Demand::Barred) => (Vec::new(), None),
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
            None => endpoints
                .first()
                .and_then(|first| HeaderValue::from_str(&first.address.to_string()).ok()),
        };
        let id = self.backends.insert(Arc::new(Backend {
            name: BackendName::from(name.as_str()),
            endpoints,
            dns: None,
            authority: authority.unwrap_or_else(|| HeaderValue::from_static("localhost")),
            load_balancer: self.policies.load_balancer(plan.kind, plan.candidate),
            protocol: if plan.is_http2 {
                BackendProtocol::Http2
            } else {
                BackendProtocol::Http1
            },
            tls,
            proxy_protocol: plan.proxy_protocol,
        }));
        self.known.insert(key, id);
        id
    }

    /// Whether requests that go to a backend can come back at an address that is listened on.
    pub(crate) fn leads_to(&mut self, id: BackendId, own: SocketAddr) -> bool {
        if let Some(known) = self.loops.get(&(id, own)) {
            return *known;
        }
        let is_own = |endpoint: &Endpoint| {
            let (address, own_ip) = (endpoint.address, own.ip());
            let is_local = address.ip().is_loopback() || address.ip().is_unspecified();
            address.port() == own.port()
                && address.is_ipv4() == own.is_ipv4()
                && (address.ip() == own_ip || own_ip.is_unspecified() && is_local)
        };
        let backend = self.backends.get(id);
        let leads = backend.is_some_and(|backend| backend.endpoints.iter().any(is_own));
        self.loops.insert((id, own), leads);
        leads
    }

    /// What a plugin calls a backend, as the data plane calls it: see `PluginAllow::backends`.
    pub(crate) fn allowed(
        &mut self,
        from: &Candidate,
        given: &At<String>,
    ) -> Result<Option<Arc<str>>, Refusal> {
        let (path, port) = match given.rsplit_once(':') {
            Some((path, port)) => (path, Some(port)),
            None => (given.as_str(), None),
        };
        let (namespace, name) = path.split_once('/').unwrap_or((from.namespace(), path));
        let (group, kind) = match port {
            Some(_) => ("", "Service"),
            None => (OWN_GROUP, "Backend"),
        };
        if !is_permitted(
            self.world,
            (OWN_GROUP, from),
            (group, kind, namespace, name),
        ) {
            return Err(not_permitted(given.span, from, kind, namespace, name));
        }
        let Some(found) = self.world.find(from, kind, namespace, name) else {
            return Err(Refusal {
                hint: did_you_mean(name, self.world.names(kind, namespace)),
                span: given.span,
                reason: "BackendNotFound",
                message: format!("there is no {kind} `{namespace}/{name}`"),
            });
        };
        if found.state == State::Salvaged {
            return Ok(None);
        }
        let Some(port) = port else {
            self.backend(found, self.plain());
            return Ok(Some(format!("{namespace}/{name}").into()));
        };
        let port = At {
            value: port.parse().map_err(|_| Refusal {
                span: given.span,
                reason: "BackendNotFound",
                message: format!("{port:?} is not a port"),
                hint: None,
            })?,
            span: given.span,
        };
        self.port(found, &port, self.plain())?;
        Ok(Some(format!("{namespace}/{name}:{}", port.value).into()))
    }

    /// Reports the remarks that came up.
    pub(crate) fn report(&mut self, report: &mut Report) {
        for (of, refusal) in self.warnings.drain(..) {
            report.warning(of, refusal);
        }
    }

    pub(crate) fn into_backends(self) -> Backends {
        self.backends
    }
}

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

fn invalid_kind(reference: Reference<'_>, group: &str, kind: &str) -> Refusal {
    let hint = match kind {
        "Backend" => format!("write `group: {OWN_GROUP}`"),
        "Service" => "leave out `group`".to_owned(),
        _ => "a backend is a Service, or a Backend of the group `tidegate.dev`".to_owned(),
    };
    let span = match (reference.kind, reference.group) {
        (Some(kind), _) if !matches!(kind.as_str(), "Service" | "Backend") => kind.span,
        (_, Some(group)) => group.span,
        (Some(kind), None) => kind.span,
        (None, None) => reference.name.span,
    };
    let group = if group.is_empty() { "core" } else { group };
    Refusal {
        span,
        reason: "InvalidKind",
        message: format!("a {kind} of the group `{group}` is no backend"),
        hint: Some(hint),
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

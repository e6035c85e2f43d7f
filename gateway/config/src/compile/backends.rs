//! Backends and ports of Services as the data plane's backends, and references to them.

use foldhash::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::backend::BackendId;
use tidegate_core::backend::Endpoint;
use tidegate_core::snapshot::Backends;
use tidegate_core::tls::CertificateId;
use tidegate_core::tls::TrustName;

use super::backend_tls::BackendTls;
use super::policies::Policies;
use super::references::is_permitted;
use super::references::not_found;
use super::references::not_permitted;
use super::report::Refusal;
use super::report::Report;
use super::services::ServicePorts;
use super::world::Candidate;
use super::world::State;
use super::world::World;
use crate::kinds::GATEWAY_GROUP;
use crate::kinds::OWN_GROUP;
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
    pub(super) world: &'a World<'a>,
    pub(super) policies: &'a Policies<'a>,
    pub(super) tls: &'a BackendTls<'a>,
    /// What all Gateways show to backends; others make backends of their own.
    pub(super) client_certificate: Option<CertificateId>,
    /// The names of certificates, for those.
    pub(super) certificates: Vec<TrustName>,
    pub(super) backends: Backends,
    pub(super) services: ServicePorts<'a>,
    /// What is known of each already: by name, whether HTTP/2 is asked of it, and what is shown.
    pub(super) known: HashMap<(String, bool, Option<CertificateId>), BackendId>,
    /// Remarks on Services.
    pub(super) warnings: Vec<(&'a Candidate, Refusal)>,
    /// Whether a backend has an endpoint that is an address of ours, as far as that was asked.
    pub(super) loops: HashMap<(BackendId, SocketAddr), bool>,
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
            None if kind == "Backend" => self.reached(found, sought, name.span),
            Some(port) => self.port(found, port, sought).map(Some),
            None => Ok(None),
        }
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

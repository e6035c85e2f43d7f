//! The immutable configuration that a running exchange sees from start to end.
//!
//! Owns what is bound, which listener a host belongs to, and the backends by name. Which rule of a
//! listener a request meets is [`crate::route`]'s.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::backend::Backend;
use crate::backend::BackendId;
use crate::backend::BackendName;
use crate::client_certificate::ForwardClientCert;
use crate::defaults::SizeLimits;
use crate::defaults::Timeouts;
use crate::host::HostMap;
use crate::host::HostPattern;
use crate::rollout::split::Split;
use crate::route::Entry;
use crate::route::PathMatch;
use crate::route::RequestMatch;
use crate::route::RouteTable;
use crate::route::RouteTimeouts;
use crate::route::Rule;
use crate::route::RuleId;
use crate::route::WeightedBackend;
use crate::tcp::TcpRule;
use crate::tls::TlsName;
use crate::tls::TrustName;
use crate::upgrade::Upgrades;

/// One atomic load of configuration.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// What is bound, each address once.
    pub binds: Vec<Arc<Bind>>,
    /// All backends, those that only filters call included.
    pub backends: Backends,
    /// The names of all plugins; a [`PluginId`] is a place in this list.
    pub plugins: Vec<PluginName>,
    /// The plugins of which another version is tried.
    pub canaries: Vec<Canary>,
    /// The names of all certificates with keys; a [`crate::tls::CertificateId`] is a place in this
    /// list.
    pub certificates: Vec<TrustName>,
    /// The names of all bundles of authorities; a [`crate::tls::BundleId`] is a place in this list.
    pub bundles: Vec<TrustName>,
    /// How long origins may take, and the drain; what concerns clients is each [`Bind`]'s own.
    pub timeouts: Timeouts,
    /// How much may be held in memory for origins; what concerns clients is each [`Bind`]'s own.
    pub sizes: SizeLimits,
}

/// An address that is bound, and the listeners that share it.
#[derive(Debug)]
pub struct Bind {
    /// What logs and errors call it, such as `default/edge:8080`.
    pub name: Arc<str>,
    /// Where to bind; port 0 asks for any free port.
    pub address: SocketAddr,
    /// How many proxies in front of it are ours.
    pub trusted_hops: usize,
    /// What origins are told about its clients' certificates.
    pub forward_client_cert: ForwardClientCert,
    /// How long its clients may take.
    pub timeouts: Timeouts,
    /// How much may be held in memory for its clients.
    pub sizes: SizeLimits,
    /// How its exchanges are logged.
    pub access_log: AccessLog,
    /// What is spoken on its connections.
    pub protocol: Protocol,
    /// Whether connections must begin with a PROXY protocol header, version 1 or 2, that says who
    /// the client is.
    pub proxy_protocol: bool,
    /// The listeners of HTTP, with or without TLS, by the host of a request: the most specific one
    /// has it alone.
    pub listeners: HostMap<Arc<Listener>>,
}

/// What is spoken on the connections of a [`Bind`].
#[derive(Debug, Clone, Default)]
pub enum Protocol {
    /// HTTP without TLS: HTTP/1, or HTTP/2 by prior knowledge (RFC 9113 §3.3).
    #[default]
    Http,
    /// TLS; the name that the client asks for decides what comes out of it. Connections without a
    /// name, or with one that nobody claims, meet what claims every name, or are refused.
    Tls(HostMap<Arc<TlsName>>),
    /// Bytes.
    Tcp(Arc<TcpRule>),
}

/// How exchanges are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AccessLog {
    /// Not at all.
    Off,
    /// As lines of text.
    #[default]
    Text,
    /// As JSON objects.
    Json,
    /// As short lines for somebody who watches, each at once.
    Brief,
}

/// One listener of a Gateway: hosts, the plugins that all their requests pass, and routes.
#[derive(Debug)]
pub struct Listener {
    /// What logs and errors call it, such as `default/edge/http`.
    pub name: Arc<str>,
    /// The plugins that run before a route is matched, in order.
    pub plugins: Vec<PluginId>,
    /// The rules that requests are matched against.
    pub routes: RouteTable,
}

impl Listener {
    /// A listener that sends everything to one backend.
    pub fn to_one_backend(name: &str, plugins: Vec<PluginId>, backend: BackendId) -> Self {
        Self::to_one_backend_within(name, plugins, backend, RouteTimeouts::default())
    }

    /// The same with time limits.
    pub fn to_one_backend_within(
        name: &str,
        plugins: Vec<PluginId>,
        backend: BackendId,
        timeouts: RouteTimeouts,
    ) -> Self {
        let rule = Rule {
            id: RuleId(0),
            name: Arc::from(name),
            filters: Vec::new(),
            backends: vec![WeightedBackend {
                weight: 1,
                backend: Some(backend),
                filters: Vec::new(),
            }],
            timeouts,
            buffered_body_bytes: None,
            upgrades: Upgrades::default(),
        };
        let everything = RequestMatch {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        };
        let entry = Entry {
            hosts: vec![HostPattern::Any],
            matches: vec![everything],
            rule: Arc::new(rule),
        };
        Self {
            name: Arc::from(name),
            plugins,
            routes: RouteTable::build(vec![entry]),
        }
    }
}

/// The name of a plugin, `namespace/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginName(pub Arc<str>);

/// A plugin of a [`Snapshot`]: its place in [`Snapshot::plugins`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PluginId(pub u32);

/// A plugin of which another version is tried on a share of its streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canary {
    /// The version that is there, which is what rules and listeners name.
    pub stable: PluginId,
    /// The version that is tried.
    pub canary: PluginId,
    /// Who gets it.
    pub split: Split,
}

/// All backends of a snapshot.
#[derive(Debug, Clone, Default)]
pub struct Backends {
    list: Vec<Arc<Backend>>,
    by_name: HashMap<BackendName, BackendId>,
}

impl Backends {
    /// Adds a backend; one of the same name keeps its id and is replaced.
    ///
    /// # Panics
    ///
    /// Never in practice: with more than `u32::MAX` backends.
    pub fn insert(&mut self, backend: Arc<Backend>) -> BackendId {
        if let Some(id) = self.by_name.get(&backend.name)
            && let Some(place) = self.list.get_mut(id.0 as usize)
        {
            *place = backend;
            return *id;
        }
        let id = BackendId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        self.by_name.insert(backend.name.clone(), id);
        self.list.push(backend);
        id
    }

    /// The backend of that id.
    pub fn get(&self, id: BackendId) -> Option<&Arc<Backend>> {
        self.list.get(id.0 as usize)
    }

    /// The id of the backend of that name.
    pub fn id(&self, name: &str) -> Option<BackendId> {
        self.by_name.get(name).copied()
    }

    /// The backend that somebody in `namespace` calls `name`: `namespace/name`, or the name as it
    /// is if that exists.
    pub fn named(&self, namespace: &str, name: &str) -> Option<&Arc<Backend>> {
        let id = self
            .id(name)
            .or_else(|| self.id(&format!("{namespace}/{name}")))?;
        self.get(id)
    }

    /// All of them, in the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.list.iter()
    }
}

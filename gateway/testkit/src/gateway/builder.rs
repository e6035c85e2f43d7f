//! What a gateway in a test shall be: everything that can be said before it starts.

use std::net::SocketAddr;
use std::sync::Arc;

use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::balance::LoadBalancer;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::dns::DnsSource;
use tidegate_core::rollout::split::Share;
use tidegate_core::rollout::split::Split;
use tidegate_core::snapshot::AccessLog;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Node;
use tidegate_proxy::Bundle;
use tidegate_proxy::Certificate;
use tidegate_proxy::Options;
use tidegate_proxy::Reachable;
use tidegate_proxy::StartError;

use crate::Rule;
use crate::Wasm;
use crate::gateway::Gateway;
use crate::gateway::Https;
use crate::gateway::SharedLog;
use crate::gateway::l4::L4;
use crate::gateway::l4::L4Name;

/// A gateway to be started.
#[derive(Debug)]
pub struct Builder {
    pub(super) origin: Backend,
    pub(super) others: Vec<Backend>,
    pub(super) plugins: Vec<Wasm>,
    /// Of which plugin, what is tried, who gets it and which share.
    pub(super) canaries: Vec<(String, Wasm, Split, Share)>,
    pub(super) services: Vec<Wasm>,
    pub(super) rules: Vec<Rule>,
    pub(super) refused: Vec<(String, FailurePolicy)>,
    pub(super) timeouts: Timeouts,
    pub(super) sizes: SizeLimits,
    pub(super) trusted_hops: usize,
    pub(super) forward_client_cert: ForwardClientCert,
    pub(super) workers: usize,
    pub(super) format: AccessLog,
    /// What filters may call; `None` is all.
    pub(super) reachable: Option<Reachable>,
    pub(super) certificates: Vec<Option<Arc<Certificate>>>,
    pub(super) bundles: Vec<Option<Arc<Bundle>>>,
    pub(super) https: Vec<Https>,
    pub(super) l4: Option<L4>,
    pub(super) l4_names: Vec<L4Name>,
    pub(super) proxy_protocol: bool,
    pub(super) name_servers: Vec<SocketAddr>,
}

impl Builder {
    /// In front of one origin, one worker, no filters, default limits.
    pub(super) fn to(origin: SocketAddr) -> Self {
        Self {
            origin: backend("origin", origin),
            others: Vec::new(),
            plugins: Vec::new(),
            canaries: Vec::new(),
            services: Vec::new(),
            rules: Vec::new(),
            refused: Vec::new(),
            timeouts: Timeouts::default(),
            sizes: SizeLimits::default(),
            trusted_hops: 0,
            forward_client_cert: ForwardClientCert::default(),
            workers: 1,
            format: AccessLog::Text,
            reachable: None,
            certificates: Vec::new(),
            bundles: Vec::new(),
            https: Vec::new(),
            l4: None,
            l4_names: Vec::new(),
            proxy_protocol: false,
            name_servers: Vec::new(),
        }
    }

    /// Another version of a plugin that was named before, for a share of its streams.
    #[must_use]
    pub fn canary(mut self, of: &Wasm, canary: Wasm, split: Split, share: Share) -> Self {
        self.canaries
            .push((of.name().to_owned(), canary, split, share));
        self
    }

    /// Another backend, for calls of filters.
    #[must_use]
    pub fn backend(mut self, name: &str, endpoint: SocketAddr) -> Self {
        self.others.push(backend(name, endpoint));
        self
    }

    /// The origin has these endpoints.
    #[must_use]
    pub fn endpoints(mut self, endpoints: &[SocketAddr]) -> Self {
        self.origin.endpoints = endpoints.iter().copied().map(Endpoint::from).collect();
        self
    }

    /// The origin speaks HTTP/2.
    #[must_use]
    pub fn http2_origin(mut self) -> Self {
        self.origin.protocol = BackendProtocol::Http2;
        self
    }

    /// Another backend, that speaks HTTP/2.
    #[must_use]
    pub fn http2_backend(self, name: &str, endpoint: SocketAddr) -> Self {
        let mut with = self.backend(name, endpoint);
        if let Some(added) = with.others.last_mut() {
            added.protocol = BackendProtocol::Http2;
        }
        with
    }

    /// The origin's endpoints come from names, which this server knows.
    #[must_use]
    pub fn dns(mut self, server: SocketAddr, source: DnsSource) -> Self {
        self.origin.endpoints = Vec::new();
        self.origin.dns = Some(Arc::new(source));
        self.name_servers = vec![server];
        self
    }

    /// Filters may call only these backends.
    #[must_use]
    pub fn may_call(mut self, backends: &[&str]) -> Self {
        self.reachable().backends = backends.iter().map(|name| Arc::from(*name)).collect();
        self
    }

    /// Filters whose calls are bounded may look names up.
    #[must_use]
    pub fn may_resolve(mut self) -> Self {
        self.reachable().dns = true;
        self
    }

    fn reachable(&mut self) -> &mut Reachable {
        self.reachable.get_or_insert_default()
    }

    /// A filter at the end of the chain.
    #[must_use]
    pub fn plugin(mut self, plugin: &Wasm) -> Self {
        self.plugins.push(plugin.clone());
        self
    }

    /// A plugin that is in nobody's path.
    #[must_use]
    pub fn service(mut self, plugin: &Wasm) -> Self {
        self.services.push(plugin.clone());
        self
    }

    /// A rule; with any, requests that none has are answered with 404.
    #[must_use]
    pub fn rule(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    /// The plugin of that name is refused, as one that does not start is.
    #[must_use]
    pub fn refused(mut self, plugin: &Wasm, policy: FailurePolicy) -> Self {
        self.refused.push((plugin.name().to_owned(), policy));
        self
    }

    /// Other time-outs.
    #[must_use]
    pub fn timeouts(mut self, change: impl FnOnce(&mut Timeouts)) -> Self {
        change(&mut self.timeouts);
        self
    }

    /// Other limits.
    #[must_use]
    pub fn sizes(mut self, change: impl FnOnce(&mut SizeLimits)) -> Self {
        change(&mut self.sizes);
        self
    }

    /// What origins are told about clients' certificates.
    #[must_use]
    pub fn forward_client_cert(mut self, settings: ForwardClientCert) -> Self {
        self.forward_client_cert = settings;
        self
    }

    /// So many proxies in front are ours.
    #[must_use]
    pub fn trusted_hops(mut self, hops: usize) -> Self {
        self.trusted_hops = hops;
        self
    }

    /// Another number of workers.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Access log lines as JSON.
    #[must_use]
    pub fn json_log(mut self) -> Self {
        self.format = AccessLog::Json;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[track_caller]
    pub fn start(self) -> Gateway {
        self.try_start()
            .unwrap_or_else(|err| panic!("the gateway does not start: {err:?}"))
    }

    /// Starts it, or says why not.
    ///
    /// # Errors
    ///
    /// The gateway's.
    #[track_caller]
    pub fn try_start(self) -> Result<Gateway, StartError> {
        let log = SharedLog::default();
        let workers = self.workers;
        let name_servers = self.name_servers.clone();
        let running = tidegate_proxy::Gateway::start(Options {
            generation: self.generation(1),
            workers,
            access_log: Some(Box::new(log.clone())),
            node: Node {
                id: "gateway-1".to_owned(),
                cluster: "edge".to_owned(),
            },
            name_servers,
            simulation: None,
        })?;
        let (_, address) = *running.addresses().first().expect("one listener");
        Ok(Gateway {
            running: Some(running),
            address,
            log,
        })
    }
}

fn backend(name: &str, endpoint: SocketAddr) -> Backend {
    Backend {
        name: name.into(),
        endpoints: vec![endpoint.into()],
        authority: http::HeaderValue::from_static("origin.test"),
        load_balancer: LoadBalancer::RoundRobin,
        protocol: BackendProtocol::default(),
        tls: None,
        proxy_protocol: None,
        pings: None,
        dns: None,
    }
}

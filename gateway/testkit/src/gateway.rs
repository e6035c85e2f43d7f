//! A gateway in this process, with its access log in memory.

mod https;
mod l4;

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::balance::LoadBalancer;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::dns::DnsSource;
use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::RouteTable;
use tidegate_core::snapshot::AccessLog;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::PluginName;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Node;
use tidegate_proxy::Bundle;
use tidegate_proxy::Callable;
use tidegate_proxy::Certificate;
use tidegate_proxy::Ended;
use tidegate_proxy::Generation;
use tidegate_proxy::Options;
use tidegate_proxy::PluginSlot;
use tidegate_proxy::Reachable;
use tidegate_proxy::StartError;

pub use https::Https;

use crate::Client;
use crate::Rule;
use crate::Wasm;
use crate::eventually;
use crate::gateway::l4::L4;
use crate::gateway::l4::L4Name;
use crate::rule::place;

/// A gateway that runs; drains and ends when dropped.
#[derive(Debug)]
pub struct Gateway {
    running: Option<tidegate_proxy::Gateway>,
    address: SocketAddr,
    log: SharedLog,
}

/// A gateway to be started.
#[derive(Debug)]
pub struct Builder {
    origin: Backend,
    others: Vec<Backend>,
    plugins: Vec<Wasm>,
    services: Vec<Wasm>,
    rules: Vec<Rule>,
    refused: Vec<(String, FailurePolicy)>,
    timeouts: Timeouts,
    sizes: SizeLimits,
    trusted_hops: usize,
    forward_client_cert: ForwardClientCert,
    workers: usize,
    format: AccessLog,
    /// What filters may call; `None` is all.
    reachable: Option<Reachable>,
    certificates: Vec<Option<Arc<Certificate>>>,
    bundles: Vec<Option<Arc<Bundle>>>,
    https: Vec<Https>,
    l4: Option<L4>,
    l4_names: Vec<L4Name>,
    proxy_protocol: bool,
    name_servers: Vec<SocketAddr>,
}

impl Gateway {
    /// A gateway in front of one origin, one worker, no filters, default limits.
    pub fn to(origin: SocketAddr) -> Builder {
        Builder {
            origin: backend("origin", origin),
            others: Vec::new(),
            plugins: Vec::new(),
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

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a GET on a new connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> crate::Message {
        self.client().get(path)
    }

    /// Serves something else from now on.
    ///
    /// # Panics
    ///
    /// If that does not start.
    #[track_caller]
    pub fn change(&mut self, to: Builder) {
        self.try_change(to)
            .unwrap_or_else(|err| panic!("the generation is not taken: {err:?}"));
    }

    /// Serves something else from now on, or says why not.
    ///
    /// # Errors
    ///
    /// The gateway's.
    pub fn try_change(&mut self, to: Builder) -> Result<(), StartError> {
        let running = self.running.as_mut().expect("it runs");
        let number = running.generation() + 1;
        running.apply(to.generation(number))
    }

    /// Takes versions of plugins that had to wait, if they no longer have to; says whether.
    ///
    /// # Panics
    ///
    /// If they do not start.
    #[track_caller]
    pub fn catch_up(&mut self) -> bool {
        let running = self.running.as_mut().expect("it runs");
        running.catch_up().expect("they start")
    }

    /// What it has counted.
    pub fn metrics(&self) -> tidegate_proxy::Metrics {
        let running = self.running.as_ref();
        running
            .map(tidegate_proxy::Gateway::metrics)
            .unwrap_or_default()
    }

    /// Begins to drain.
    pub fn drain(&self) {
        if let Some(running) = &self.running {
            running.drain();
        }
    }

    /// Drains and waits for the end.
    pub fn stop(mut self) -> Ended {
        self.drain();
        self.running
            .take()
            .map(tidegate_proxy::Gateway::join)
            .unwrap_or_default()
    }

    /// Drains, waits, and returns everything that was logged.
    pub fn stop_for_log(self) -> Vec<String> {
        let log = self.log.clone();
        self.stop();
        log.lines()
    }

    /// The access log once it has at least `count` lines.
    ///
    /// # Panics
    ///
    /// If it never has.
    #[track_caller]
    pub fn log_lines(&self, count: usize) -> Vec<String> {
        eventually("access log lines", || {
            let lines = self.log.lines();
            (lines.len() >= count).then_some(lines)
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain();
            let ended = running.join();
            if !std::thread::panicking() {
                assert_eq!(ended.failed_workers, 0, "workers failed");
            }
        }
    }
}

impl Builder {
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
        })?;
        let (_, address) = *running.addresses().first().expect("one listener");
        Ok(Gateway {
            running: Some(running),
            address,
            log,
        })
    }

    fn generation(self, number: u64) -> Generation {
        let mut backends = Backends::default();
        let origin = backends.insert(Arc::new(self.origin));
        for other in self.others {
            backends.insert(Arc::new(other));
        }
        let mut plugins = Vec::new();
        let of_listener = self.plugins.iter();
        let of_listener: Vec<PluginId> = of_listener.map(|one| place(one, &mut plugins)).collect();
        let of_network = of_listener.clone();
        let mut listener = |name: &str| {
            let of_listener = of_listener.clone();
            if self.rules.is_empty() {
                return Arc::new(Listener::to_one_backend(name, of_listener, origin));
            }
            let rules = (0..).zip(&self.rules);
            let entries = rules.map(|(id, rule)| rule.entry(id, &backends, &mut plugins));
            let routes = RouteTable::build(entries.collect());
            Arc::new(Listener {
                name: name.into(),
                plugins: of_listener,
                routes,
            })
        };
        let mut listeners = HostMap::default();
        let protocol = if let Some(l4) = &self.l4 {
            l4.protocol(of_network.clone(), origin, &backends)
        } else if self.https.is_empty() {
            listeners.insert(HostPattern::Any, listener("web"));
            Protocol::Http
        } else {
            https::listen(&self.https, &mut listeners, &mut listener)
        };
        let protocol = l4::with_names(protocol, &self.l4_names, &of_network, &backends);
        for service in &self.services {
            place(service, &mut plugins);
        }
        let bind = Bind {
            name: "web".into(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            trusted_hops: self.trusted_hops,
            forward_client_cert: self.forward_client_cert,
            timeouts: self.timeouts,
            sizes: self.sizes,
            access_log: self.format,
            protocol,
            proxy_protocol: self.proxy_protocol,
            listeners,
        };
        let names = plugins
            .iter()
            .map(|plugin| PluginName(plugin.name().into()));
        let snapshot = Snapshot {
            binds: vec![Arc::new(bind)],
            backends,
            plugins: names.collect(),
            certificates: https::names(self.certificates.len()),
            bundles: https::names(self.bundles.len()),
            timeouts: self.timeouts,
            sizes: self.sizes,
        };
        let slot = |wasm: &Wasm| {
            let refused = self.refused.iter().find(|(name, _)| name == wasm.name());
            if let Some((_, policy)) = refused {
                return PluginSlot::Refused(*policy);
            }
            PluginSlot::Ready {
                plugin: wasm.plugin(),
                backends: match &self.reachable {
                    None => Callable::All,
                    Some(reachable) => Callable::Only(Arc::new(reachable.clone())),
                },
            }
        };
        Generation {
            number,
            snapshot: Arc::new(snapshot),
            plugins: plugins.iter().map(slot).collect(),
            certificates: self.certificates,
            bundles: self.bundles,
        }
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

/// An access log in memory.
#[derive(Debug, Clone, Default)]
struct SharedLog(Arc<Mutex<Vec<u8>>>);

impl SharedLog {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

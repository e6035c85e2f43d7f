//! The gateway of `tidegate plugin host`: one worker, one listener, one plugin.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendName;
use tidegate_core::backend::BackendProtocol;
use tidegate_core::backend::Endpoint;
use tidegate_core::balance::LoadBalancer;
use tidegate_core::client_certificate::ForwardClientCert;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::host::HostMap;
use tidegate_core::host::HostPattern;
use tidegate_core::route::RouteTimeouts;
use tidegate_core::route::WeightedBackend;
use tidegate_core::snapshot::AccessLog;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::PluginName;
use tidegate_core::snapshot::Protocol;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::tcp::DEFAULT_IDLE;
use tidegate_core::tcp::TcpRule;
use tidegate_host_abi::CodeCache;
use tidegate_host_abi::CompileOptions;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::Limits;
use tidegate_host_abi::LogLevel;
use tidegate_host_abi::Module;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginKind;
use tidegate_host_abi::PluginSpec;
use tidegate_proxy::Callable;
use tidegate_proxy::Gateway;
use tidegate_proxy::Generation;
use tidegate_proxy::GuestMetricValue;
use tidegate_proxy::Options;
use tidegate_proxy::PluginSlot;
use tidegate_proxy::Simulation;

use crate::author::host::Out;
use crate::author::host::orders::Event;
use crate::author::host::orders::Plan;
use crate::cli::HostArgs;
use crate::code_cache::CodeFolder;

/// The name of the listener, and of the backend behind it.
const NAME: &str = "tested filter";
/// The CPU time of one callback: a machine that runs tests is a busy one.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// How long exchanges may go on when all ends: a test that has ended waits for none.
const DRAIN: Duration = Duration::from_millis(200);

/// A plugin that serves.
#[derive(Debug)]
pub(super) struct Hosted {
    gateway: Option<Gateway>,
    plugin: Arc<Plugin>,
    simulation: Arc<Simulation>,
    address: SocketAddr,
}

impl Hosted {
    /// Starts it.
    pub(super) fn start(args: &HostArgs, plan: Plan, out: &Out) -> anyhow::Result<Self> {
        let level = LogLevel::try_from(plan.log_level).unwrap_or(LogLevel::Trace);
        let lines = out.clone();
        let shared = plan.shared.iter();
        let shared = shared.map(|(key, value)| (key.clone().into_bytes(), value.clone()));
        let simulation = Simulation::new(
            level,
            shared.collect(),
            Box::new(move |line| {
                lines.say(&Event::Log {
                    level: line.level.into(),
                    text: String::from_utf8_lossy(line.message).into_owned(),
                });
            }),
        );
        let simulation = Arc::new(simulation);
        for (path, value) in &plan.properties {
            simulation.set_property(path.join("\0").into_bytes(), value.clone());
        }
        let plugin = Arc::new(plugin(args, &plan)?);
        let gateway = Gateway::start(Options {
            generation: generation(&plan, Arc::clone(&plugin)),
            workers: 1,
            access_log: None,
            node: tidegate_host_abi::Node::default(),
            name_servers: Vec::new(),
            simulation: Some(Arc::clone(&simulation)),
        })?;
        let addresses = gateway.addresses();
        let address = addresses.first().context("it listens nowhere")?.1;
        Ok(Self {
            gateway: Some(gateway),
            plugin,
            simulation,
            address,
        })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn advance(&self, by: Duration) {
        self.simulation.advance(by);
    }

    pub(super) fn set_property(&self, path: &[String], value: Vec<u8>) {
        let path = path.join("\0").into_bytes();
        self.simulation.set_property(path, value);
    }

    /// What the filter has counted.
    pub(super) fn metrics(&self) -> BTreeMap<String, u64> {
        let Some(gateway) = &self.gateway else {
            return BTreeMap::new();
        };
        let guests = gateway.metrics().guests.into_iter();
        let values = guests.map(|metric| {
            let value = match metric.value {
                GuestMetricValue::Counter(value) => value,
                GuestMetricValue::Gauge(value) => u64::try_from(value).unwrap_or(0),
                GuestMetricValue::Histogram { counts, .. } => counts.iter().sum(),
            };
            (String::from_utf8_lossy(&metric.name).into_owned(), value)
        });
        values.collect()
    }

    pub(super) fn streams(&self) -> usize {
        self.gateway.as_ref().map_or(0, |it| it.remote().streams())
    }

    pub(super) fn shared(&self, key: &str) -> Option<Vec<u8>> {
        let remote = self.gateway.as_ref()?.remote();
        remote.shared_value(self.plugin.shared_space(), key.as_bytes())
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.drain();
            // What it left is of no use to anybody.
            let _ended = gateway.join();
        }
    }
}

fn plugin(args: &HostArgs, plan: &Plan) -> anyhow::Result<Plugin> {
    let code = tidegate_plugin_store::file::load(&args.file)?;
    let engine = Engine::new(EngineConfig {
        parallel_compilation: true,
        ..EngineConfig::default()
    });
    let engine = engine.context("cannot prepare WebAssembly")?;
    let cache = args.code_cache.as_deref();
    let cache = cache.and_then(CodeFolder::open_or_warn);
    let options = CompileOptions {
        cache: cache.as_ref().map(|cache| cache as &dyn CodeCache),
        ..CompileOptions::default()
    };
    let module = Module::compile_with(&engine, &code.name, &code.bytes, options)
        .with_context(|| format!("plugin file {}", args.file.display()))?;
    let spec = PluginSpec {
        name: code.name,
        config: plan.config.clone().into(),
        stop_iteration: Some(plan.stop_iteration),
        kind: if plan.network {
            PluginKind::Network
        } else {
            PluginKind::Http
        },
        allowed: allowed(&plan.denied),
        limits: Limits {
            call_timeout: CALL_TIMEOUT,
            ..Limits::default()
        },
        ..PluginSpec::default()
    };
    Ok(Plugin::new(Arc::new(module), spec))
}

/// The functions that are left, if some are denied.
fn allowed(denied: &[String]) -> Option<Vec<String>> {
    if denied.is_empty() {
        return None;
    }
    let imports = tidegate_host_abi::host_functions().map(|it| it.name);
    let exports = tidegate_host_abi::guest_functions().map(|it| it.name);
    let names = imports.chain(exports);
    let left = names.filter(|name| !denied.iter().any(|it| it == name));
    Some(left.map(str::to_owned).collect())
}

fn generation(plan: &Plan, plugin: Arc<Plugin>) -> Generation {
    let mut backends = Backends::default();
    let app = backends.insert(Arc::new(backend(NAME, plan.app)));
    for (name, address) in &plan.backends {
        backends.insert(Arc::new(backend(name, *address)));
    }
    let timeouts = Timeouts {
        drain: DRAIN,
        ..Timeouts::default()
    };
    let sizes = SizeLimits::default();
    let limits = RouteTimeouts {
        request: plan.request_timeout_ms.map(Duration::from_millis),
        ..RouteTimeouts::default()
    };
    let chain = vec![PluginId(0)];
    let protocol = if plan.network {
        Protocol::Tcp(Arc::new(TcpRule {
            name: Arc::from(NAME),
            listener: Arc::from(NAME),
            plugins: chain.clone(),
            backends: vec![WeightedBackend {
                weight: 1,
                backend: Some(app),
                filters: Vec::new(),
            }],
            idle: DEFAULT_IDLE,
        }))
    } else {
        Protocol::Http
    };
    let listener = Listener::to_one_backend_within(NAME, chain, app, limits);
    let listener = Arc::new(listener);
    let mut listeners = HostMap::default();
    listeners.insert(HostPattern::Any, listener);
    let bind = Bind {
        name: Arc::from(NAME),
        address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        trusted_hops: 0,
        forward_client_cert: ForwardClientCert::default(),
        timeouts,
        sizes,
        access_log: AccessLog::Off,
        protocol,
        proxy_protocol: false,
        listeners,
    };
    let snapshot = Snapshot {
        binds: vec![Arc::new(bind)],
        backends,
        plugins: vec![PluginName(plugin.name().into())],
        canaries: Vec::new(),
        certificates: Vec::new(),
        bundles: Vec::new(),
        timeouts,
        sizes,
    };
    Generation {
        number: 1,
        snapshot: Arc::new(snapshot),
        plugins: vec![PluginSlot::Ready {
            plugin,
            backends: Callable::All,
        }],
        shares: Vec::new(),
        certificates: Vec::new(),
        bundles: Vec::new(),
    }
}

fn backend(name: &str, address: SocketAddr) -> Backend {
    let authority = address.to_string();
    Backend {
        name: BackendName::from(name),
        endpoints: vec![Endpoint::from(address)],
        authority: http::HeaderValue::from_str(&authority)
            .unwrap_or(http::HeaderValue::from_static("backend")),
        load_balancer: LoadBalancer::default(),
        protocol: BackendProtocol::default(),
        tls: None,
        proxy_protocol: None,
        pings: None,
        dns: None,
    }
}

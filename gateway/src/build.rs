//! From arguments to what the data plane is started with.
//!
//! Owns the conversion of `tidegate proxy` arguments into a snapshot and plugins. All problems of
//! plugins are reported by name.

mod tls;

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use tidegate_config::plugin_schema;
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
use tidegate_core::snapshot::AccessLog;
use tidegate_core::snapshot::Backends;
use tidegate_core::snapshot::Bind;
use tidegate_core::snapshot::Listener;
use tidegate_core::snapshot::PluginId;
use tidegate_core::snapshot::PluginName;
use tidegate_core::snapshot::Snapshot;
use tidegate_host_abi::CompileOptions;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::Limits;
use tidegate_host_abi::Module;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginSpec;
use tidegate_proxy::Callable;
use tidegate_proxy::Generation;
use tidegate_proxy::PluginSlot;

use crate::author::image;
pub(crate) use crate::build::tls::Tls;
use crate::cli::AccessLogArg;
use crate::cli::PluginArg;
use crate::cli::PolicyArg;
use crate::cli::ProxyArgs;
use crate::code_cache::CodeFolder;
use crate::url::Destination;
use crate::url::Url;

/// The name of the one listener.
const LISTENER: &str = "proxy";
/// The name of the backend behind `--to`.
const ORIGIN: &str = "origin";

/// Everything that `tidegate proxy` serves, with the files of TLS that it may follow.
///
/// # Errors
///
/// A plugin that cannot be used, by name, or a file.
pub(crate) fn generation(args: &ProxyArgs) -> anyhow::Result<(Generation, Tls)> {
    let mut backends = Backends::default();
    let mut own = Tls::of(args)?;
    let origin = backends.insert(Arc::new(backend(ORIGIN, &args.to, &own)));
    for named in &args.backends {
        anyhow::ensure!(
            backends.id(&named.name).is_none(),
            "--backend {name}: there is a backend {name:?} already; choose another name",
            name = named.name
        );
        backends.insert(Arc::new(backend(&named.name, &named.url, &own)));
    }
    let plugins = plugins(args)?;
    let ids = (0_u32..).map(PluginId).take(plugins.len()).collect();
    let mut listeners = HostMap::default();
    let listener = Arc::new(Listener::to_one_backend(LISTENER, ids, origin));
    listeners.insert(HostPattern::Any, Arc::clone(&listener));
    let timeouts = Timeouts {
        drain: args.drain_timeout,
        ..Timeouts::default()
    };
    let sizes = SizeLimits::default();
    let bind = Bind {
        name: Arc::from(LISTENER),
        address: args.listen,
        trusted_hops: args.trusted_hops,
        forward_client_cert: ForwardClientCert::default(),
        timeouts,
        sizes,
        access_log: match args.access_log {
            AccessLogArg::Text => AccessLog::Text,
            AccessLogArg::Json => AccessLog::Json,
            AccessLogArg::Brief => AccessLog::Brief,
            AccessLogArg::Off => AccessLog::Off,
        },
        protocol: own.protocol(listener),
        proxy_protocol: false,
        listeners,
    };
    let names = plugins
        .iter()
        .map(|plugin| PluginName(plugin.name().into()));
    let snapshot = Snapshot {
        binds: vec![Arc::new(bind)],
        backends,
        plugins: names.collect(),
        canaries: Vec::new(),
        certificates: own.certificate_names(),
        bundles: own.bundle_names(),
        timeouts,
        sizes,
    };
    let trusted = own.read_first(&snapshot)?;
    let ready = |plugin| PluginSlot::Ready {
        plugin,
        backends: Callable::All,
    };
    let generation = Generation {
        number: 1,
        snapshot: Arc::new(snapshot),
        plugins: plugins.into_iter().map(ready).collect(),
        shares: Vec::new(),
        certificates: trusted.certificates,
        bundles: trusted.bundles,
    };
    Ok((generation, own))
}

fn backend(name: &str, url: &Url, own: &Tls) -> Backend {
    let (endpoints, dns) = match url.destination() {
        Destination::Address(address) => (vec![Endpoint::from(address)], None),
        Destination::Name(source) => (Vec::new(), Some(Arc::new(source))),
    };
    Backend {
        name: BackendName::from(name),
        endpoints,
        authority: url.authority().clone(),
        load_balancer: LoadBalancer::default(),
        protocol: BackendProtocol::default(),
        tls: url.tls_name().map(|name| Arc::new(own.origination(name))),
        proxy_protocol: None,
        pings: None,
        dns,
    }
}

/// The filter chain, compiled.
fn plugins(args: &ProxyArgs) -> anyhow::Result<Vec<Arc<Plugin>>> {
    if args.plugins.is_empty() {
        return Ok(Vec::new());
    }
    let config = EngineConfig {
        // Nothing serves yet: all cores may compile.
        parallel_compilation: true,
        ..EngineConfig::default()
    };
    let engine = Engine::new(config).context("cannot prepare WebAssembly")?;
    let cache = args.code_cache.as_deref();
    let cache = cache.and_then(CodeFolder::open_or_warn);
    let options = CompileOptions {
        cache: cache.as_ref().map(|cache| cache as _),
        ..CompileOptions::default()
    };
    let mut compiled: Vec<Arc<Module>> = Vec::new();
    let mut plugins = Vec::new();
    for arg in &args.plugins {
        let code = image::code(&arg.file, &args.registries)?;
        let known = compiled
            .iter()
            .find(|module| *module.digest() == code.digest);
        let module = match known {
            Some(module) => Arc::clone(module),
            None => {
                let module = Module::compile_with(&engine, &code.name, &code.bytes, options)
                    .with_context(|| format!("plugin {}", arg.file.display()))?;
                let module = Arc::new(module);
                compiled.push(Arc::clone(&module));
                module
            }
        };
        let spec = spec(args, arg, &code.name)?;
        check_config(&module, &spec)?;
        plugins.push(Arc::new(Plugin::new(module, spec)));
    }
    Ok(plugins)
}

/// Sees that a module takes the configuration, by what it says about itself.
fn check_config(module: &Module, spec: &PluginSpec) -> anyhow::Result<()> {
    let name = &spec.name;
    let manifest = module.manifest().unwrap_or_else(|error| {
        tracing::warn!("plugin {name}: its manifest is not used: {error}");
        None
    });
    let schema = manifest.and_then(|manifest| manifest.config_schema.as_ref());
    let problems = schema.map(|schema| plugin_schema::check_bytes(schema, &spec.config));
    let problems = problems.unwrap_or_default();
    anyhow::ensure!(
        problems.is_empty(),
        "plugin {name} does not take its configuration: {}",
        problems.join("; ")
    );
    Ok(())
}

fn spec(args: &ProxyArgs, arg: &PluginArg, name: &str) -> anyhow::Result<PluginSpec> {
    let config = match arg.config.as_deref() {
        None => Bytes::new(),
        Some(text) => match text.strip_prefix('@') {
            None => Bytes::copy_from_slice(text.as_bytes()),
            Some(file) => std::fs::read(file)
                .map(Bytes::from)
                .with_context(|| format!("plugin {name}: cannot read its configuration {file}"))?,
        },
    };
    Ok(PluginSpec {
        name: name.to_owned(),
        config,
        failure_policy: match arg.policy {
            PolicyArg::FailClosed => FailurePolicy::FailClosed,
            PolicyArg::FailOpen => FailurePolicy::FailOpen,
        },
        stop_iteration: arg.stop_iteration.then_some(true),
        limits: Limits {
            memory_bytes: args.plugin_memory,
            call_timeout: args.call_timeout,
            ..Limits::default()
        },
        ..PluginSpec::default()
    })
}

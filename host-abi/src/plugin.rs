//! A plugin: a module with its configuration, limits and permissions.
//!
//! Owns what is decided before any instance exists, among it which plugins may share an instance.
//! It is immutable and shared by all workers.
//!
//! Invariant: plugins with the same [`VmKey`] differ in nothing a guest could use to tell instances
//! apart except name, root id and configuration, so they may be root contexts of one instance.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::functions::{AbiVersion, Callback, Callbacks, EXPORTS, ImportSet, Role};
use crate::limits::Limits;
use crate::module::{Module, UnknownImports};
use crate::shared::SharedStore;
use crate::shared::rates::RateTable;

/// What an operator says about a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginSpec {
    /// Its name in logs and metrics and for [`crate::Services::may_call`].
    pub name: String,
    /// The plugin that it is another version of, to be served beside it: it has that one's data and
    /// queues, unless there is a VM id, and never its instances. Empty if there is none.
    pub data_of: String,
    /// The tenant it belongs to: plugins of different ones share neither instances nor data.
    pub namespace: String,
    /// Selects one of several filters in a module; mostly empty.
    pub root_id: String,
    /// Plugins with the same id share data and queues; if empty they are the plugin's own.
    pub vm_id: String,
    /// What `proxy_on_vm_start` reads.
    pub vm_config: Bytes,
    /// What `proxy_on_configure` reads.
    pub config: Bytes,
    /// How its module was compiled, for embedders that compile by this.
    pub unknown_imports: UnknownImports,
    /// All environment variables the guest has.
    pub env: Vec<(String, String)>,
    /// What becomes of streams when the plugin faults. This crate only keeps it.
    pub failure_policy: FailurePolicy,
    /// What it may use up.
    pub limits: Limits,
    /// The functions it may import and export, by name; `None` is all.
    pub allowed: Option<Vec<String>>,
    /// Whether bodies are delivered while headers are paused; `None` if the module wants it: it
    /// declares so, or speaks Higress's ABI, where it is always so.
    pub stop_iteration: Option<bool>,
    /// How many streams an instance serves. This crate only keeps it.
    pub isolation: Isolation,
    /// What it is for. This crate only keeps it.
    pub kind: PluginKind,
    /// Answers misuse with Envoy's statuses where this host is lenient, and refuses imports that
    /// Envoy does not give.
    pub strict: bool,
    /// It only looks on: its streams are copies. It shares neither instances nor data with plugins that
    /// act. All else of it this crate only keeps.
    pub shadow: Option<Shadow>,
}

/// How a plugin looks on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shadow {
    /// The plugin's name, where that of its spec says that it is a shadow.
    pub of: String,
    /// How many percent of the streams it looks at, 0 to 100.
    pub percent: u8,
    /// How many percent of a worker's time it may take, 1 to 100.
    pub cpu_percent: u8,
    /// Streams that it may look at at once, on each worker.
    pub concurrent: usize,
    /// Bytes that its copies may hold, on each worker.
    pub memory_bytes: usize,
    /// The backends whose calls are made, by full name; all others fail.
    pub backends: Vec<String>,
}

/// How many streams an instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// All streams of a worker.
    #[default]
    Worker,
    /// One, and then it is dropped.
    Stream,
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum PluginKind {
    /// It filters HTTP streams.
    #[default]
    Http,
    /// It filters connections.
    Network,
    /// It has no streams: one instance in the process, for ticks, queues and calls (Envoy:
    /// singleton `WasmService`).
    Service,
}

/// What becomes of a stream that its plugin can no longer decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum FailurePolicy {
    /// It is refused.
    #[default]
    FailClosed,
    /// It passes without the plugin.
    FailOpen,
}

/// Names the kind of instance a plugin needs; plugins with the same key may share one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct VmKey([u8; 32]);

impl fmt::Display for VmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VmKey({self})")
    }
}

/// A plugin that instances can be started for.
#[derive(Debug)]
pub struct Plugin {
    module: Arc<Module>,
    spec: PluginSpec,
    vm_key: VmKey,
    denied: ImportSet,
    callbacks: Callbacks,
    shared_space: Arc<str>,
    /// Whose queues it reaches.
    tenant: Arc<str>,
    /// The rates of that space, once somebody asked for them.
    rates: OnceLock<Arc<RateTable>>,
}

impl Plugin {
    /// A plugin of `module` as `spec` says.
    #[must_use]
    pub fn new(module: Arc<Module>, spec: PluginSpec) -> Self {
        let allows = |name: &str| match &spec.allowed {
            None => true,
            Some(names) => names.iter().any(|allowed| allowed == name),
        };
        let denied = ImportSet::of(|import| !allows(import.name));
        let mut callbacks = Callbacks::default();
        for export in EXPORTS {
            let Role::Callback(callback) = export.role else {
                continue;
            };
            if module.callbacks().has(callback) && allows(export.name) {
                callbacks.insert(callback);
            }
        }
        let shared_space = if spec.vm_id.is_empty() {
            let name = match spec.data_of.as_str() {
                "" => &spec.name,
                other => other,
            };
            format!("{}/{}/{name}", spec.namespace, own_space(&spec)).into()
        } else {
            vm_space(&spec, &spec.vm_id)
        };
        let tenant = match spec.shadow {
            None => spec.namespace.as_str().into(),
            // No namespace has such a name: a token that a shadow guesses is worth nothing.
            Some(_) => format!("{}/shadow", spec.namespace).into(),
        };
        let vm_key = vm_key(&module, &spec);
        Self {
            module,
            spec,
            vm_key,
            denied,
            callbacks,
            shared_space,
            tenant,
            rates: OnceLock::new(),
        }
    }

    /// The key that says which plugins may share an instance with this one.
    #[must_use]
    pub const fn vm_key(&self) -> VmKey {
        self.vm_key
    }

    /// What the operator said.
    #[must_use]
    pub const fn spec(&self) -> &PluginSpec {
        &self.spec
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its module.
    #[must_use]
    pub const fn module(&self) -> &Arc<Module> {
        &self.module
    }

    /// The callbacks that exist and are allowed.
    #[must_use]
    pub const fn callbacks(&self) -> Callbacks {
        self.callbacks
    }

    /// Whether bodies are delivered while headers are paused.
    #[must_use]
    pub fn stop_iteration(&self) -> bool {
        self.spec.stop_iteration.unwrap_or_else(|| {
            self.module.needs_stop_iteration() || self.module.abi_version() == AbiVersion::Higress
        })
    }

    /// Whether it has the callback.
    pub(crate) const fn has(&self, callback: Callback) -> bool {
        self.callbacks.has(callback)
    }

    pub(crate) const fn denied(&self) -> ImportSet {
        self.denied
    }

    /// Where its shared data and queues live, for [`crate::SharedStore::remove_space`].
    #[must_use]
    pub const fn shared_space(&self) -> &Arc<str> {
        &self.shared_space
    }

    /// Whose queues it reaches: its namespace's, and of shadows those of shadows alone.
    pub(crate) fn tenant(&self) -> &str {
        &self.tenant
    }

    /// The rates of that space. A version of the plugin that comes after this one has the same.
    pub(crate) fn rates(&self, shared: &SharedStore) -> &RateTable {
        self.rates.get_or_init(|| shared.rates(&self.shared_space))
    }
}

/// Where plugins of its tenant with this VM id share data, shadows among themselves. Its form is that of
/// no single plugin.
pub(crate) fn vm_space(of: &PluginSpec, vm_id: &str) -> Arc<str> {
    let kind = match of.shadow {
        None => "vm",
        Some(_) => "shadow-vm",
    };
    format!("{}/{kind}/{vm_id}", of.namespace).into()
}

/// What tells the data of single plugins from that of others.
fn own_space(spec: &PluginSpec) -> &'static str {
    match spec.shadow {
        None => "plugin",
        Some(_) => "shadow",
    }
}

/// Hashes all that a guest or its isolation could depend on. Each part is prefixed with its length,
/// so that no two lists of parts look alike.
fn vm_key(module: &Module, spec: &PluginSpec) -> VmKey {
    // No `..`: whoever adds a field must decide whether it separates instances.
    let PluginSpec {
        name,
        data_of,
        namespace,
        root_id: _,
        vm_id,
        vm_config,
        config: _,
        unknown_imports,
        env,
        failure_policy,
        limits,
        allowed,
        stop_iteration,
        isolation,
        kind,
        strict,
        shadow,
    } = spec;
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(module.digest());
    part(namespace.as_bytes());
    part(vm_id.as_bytes());
    part(vm_config);
    part(format!("{unknown_imports:?}").as_bytes());
    part(format!("{failure_policy:?} {limits:?} {stop_iteration:?} {strict}").as_bytes());
    if (*isolation, *kind) == (Isolation::Worker, PluginKind::Network) {
        part(b"connections");
    } else if (*isolation, *kind) != (Isolation::Worker, PluginKind::Http) {
        // It shares its instances with nobody.
        part(format!("{isolation:?} {kind:?}").as_bytes());
        part(name.as_bytes());
    }
    if !data_of.is_empty() {
        part(b"another version");
        part(name.as_bytes());
    }
    if let Some(shadow) = shadow {
        part(b"shadow");
        part(format!("{shadow:?}").as_bytes());
    }
    part(&(env.len() as u64).to_le_bytes());
    for (name, value) in env {
        part(name.as_bytes());
        part(value.as_bytes());
    }
    match allowed {
        None => part(b"all"),
        Some(names) => {
            let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
            names.sort_unstable();
            part(b"listed");
            for name in names {
                part(name.as_bytes());
            }
        }
    }
    VmKey(hash.finalize().into())
}

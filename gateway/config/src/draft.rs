//! What one load comes to, before plugins are fetched and started.
//!
//! The binary resolves the plugins, adds their problems, and hands snapshot and plugins to the data
//! plane as one generation.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tidegate_core::rollout::course::Course;
use tidegate_core::rollout::judge::Limits;
use tidegate_core::rollout::machine::EventKind;
use tidegate_core::rollout::probation::Rule;
use tidegate_core::snapshot::PluginName;
use tidegate_core::snapshot::Snapshot;
use tidegate_core::tls::TrustName;

use crate::place::Place;
use crate::problem::Problem;
use crate::resource::ResourceId;
use crate::written::Written;

/// What the name of a plugin's canary ends with; no resource is called so.
pub const CANARY: &str = "@canary";

/// One load.
#[derive(Debug)]
pub struct Draft {
    /// What requests meet. [`Snapshot::plugins`] and [`Draft::plugins`] are in the same order.
    pub snapshot: Snapshot,
    /// The plugins that are to be fetched and started, and those that cannot be
    /// ([`PluginSource::Refused`]).
    pub plugins: Vec<PluginDecl>,
    /// How the canaries of plugins are tried, in the order of [`Snapshot::canaries`].
    pub rollouts: Vec<RolloutDecl>,
    /// The certificates with keys that are to be read, in the order of
    /// [`Snapshot::certificates`].
    pub certificates: Vec<CertificateDecl>,
    /// The bundles of authorities that are to be read, in the order of [`Snapshot::bundles`].
    pub bundles: Vec<BundleDecl>,
    /// Everything found wrong, in the order of files and lines.
    pub problems: Vec<Problem>,
    /// All resources with their conditions.
    pub resources: Vec<ResourceStatus>,
    /// Files and folders whose change means a new load: configuration, endpoint files, plugin code.
    pub watch: Vec<PathBuf>,
    /// The accepted resources, from which the same draft can be made again; secrets included.
    pub accepted: Vec<AcceptedDocument>,
}

/// A plugin as its resource says. Its `Debug` shows no configuration and no values of variables.
#[derive(Clone, PartialEq)]
pub struct PluginDecl {
    /// Its resource.
    pub resource: ResourceId,
    /// Its name in the snapshot.
    pub name: PluginName,
    /// The plugin whose shared data it has, if it is that one's canary; else empty.
    pub data_of: String,
    /// Where its code comes from.
    pub source: PluginSource,
    /// Where the source is written.
    pub source_place: Place,
    /// What the code's SHA-256 must be; anything goes if absent.
    pub sha256: Option<[u8; 32]>,
    /// Where the configuration is written, for what the plugin says about it.
    pub config_place: Place,
    /// Selects one of several filters in a module.
    pub root_id: String,
    /// Plugins with the same id share data and queues.
    pub vm_id: String,
    /// What `proxy_on_vm_start` reads.
    pub vm_config: Bytes,
    /// Whether imports that nobody has may be left to fail when they are called.
    pub traps_unknown_imports: bool,
    /// What `proxy_on_configure` reads.
    pub config: Bytes,
    /// The same as it was written, for what is wrong with its parts.
    pub config_written: Option<Written>,
    /// Environment variables, resolved.
    pub env: Vec<(String, String)>,
    /// What it is for.
    pub kind: PluginType,
    /// How many requests one instance serves.
    pub isolation: PluginIsolation,
    /// Whether it is shown bodies while it holds headers back; `None` leaves it to the module.
    pub stop_iteration: Option<bool>,
    /// Whether host calls are answered exactly as Envoy answers them.
    pub strict: bool,
    /// What happens to requests that it cannot decide.
    pub failure_policy: FailurePolicy,
    /// Bytes of memory that an instance may have.
    pub memory_bytes: usize,
    /// Instances that may exist at once, if each serves one request only.
    pub instances: usize,
    /// CPU time of one call.
    pub call_timeout: Duration,
    /// Time to start and configure.
    pub start_timeout: Duration,
    /// What a version that replaces another must stand.
    pub probation: Rule,
    /// What it may use, if it only looks on.
    pub shadow: Option<ShadowDecl>,
    /// The backends that it may call, by full name.
    pub backends: Vec<Arc<str>>,
    /// Whether it may have names looked up.
    pub dns: bool,
    /// Whether requests or connections may pass it.
    pub attached: bool,
    /// The resources that it is made of, with their places, if it is no Plugin: Istio's policies.
    pub made_of: Vec<(ResourceId, Place)>,
}

impl PluginDecl {
    /// Whether it is another version of a plugin, tried beside the one that is there.
    pub fn is_canary(&self) -> bool {
        !self.data_of.is_empty()
    }
}

/// What a plugin that only looks on may use.
#[derive(Debug, Clone, PartialEq)]
pub struct ShadowDecl {
    /// How many percent of the streams it is shown.
    pub percent: u8,
    /// How many percent of a worker's time it may take.
    pub cpu_percent: u8,
    /// Streams that it may be shown at once, on each worker.
    pub concurrent: usize,
    /// Bytes that the copies may hold, on each worker.
    pub memory_bytes: usize,
    /// The backends whose calls are made, by full name.
    pub backends: Vec<Arc<str>>,
}

impl Default for ShadowDecl {
    fn default() -> Self {
        Self {
            percent: 100,
            cpu_percent: 5,
            concurrent: 256,
            memory_bytes: 16 << 20,
            backends: Vec::new(),
        }
    }
}

impl fmt::Debug for PluginDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variables: Vec<&str> = self.env.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("PluginDecl")
            .field("name", &self.name)
            .field("source", &self.source)
            .field("failure_policy", &self.failure_policy)
            .field("env", &variables)
            .field("backends", &self.backends)
            .finish_non_exhaustive()
    }
}

/// How a canary is tried.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutDecl {
    /// The Plugin.
    pub resource: ResourceId,
    /// The name of the plugin in the snapshot.
    pub name: PluginName,
    /// How its share grows.
    pub course: Course,
    /// What it may do.
    pub limits: Limits,
    /// Who is told of its course.
    pub webhooks: Vec<WebhookDecl>,
}

/// A receiver that is told of a rollout's course. Its `Debug` does not show the path, which may be a
/// secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookDecl {
    /// The backend that is asked, by its name in the snapshot.
    pub backend: Arc<str>,
    /// The path, with a query if there is one.
    pub path: String,
    /// The host that is asked for, if it is not the backend's.
    pub host: Option<String>,
    /// What it is told of; `None` is everything.
    pub events: Option<Vec<EventKind>>,
    /// How long one attempt may take.
    pub timeout: Duration,
}

impl fmt::Debug for WebhookDecl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookDecl")
            .field("backend", &self.backend)
            .field("host", &self.host)
            .field("events", &self.events)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A certificate with its key, as its resource says. Its `Debug` shows no key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateDecl {
    /// Its resource: a Secret of type `kubernetes.io/tls`, or a Certificate.
    pub resource: ResourceId,
    /// Its name in the snapshot.
    pub name: TrustName,
    /// Where certificate and key come from.
    pub source: CertificateSource,
    /// Where that is written, for what is wrong with it.
    pub place: Place,
}

/// Where a certificate and its key come from.
#[derive(Clone, PartialEq, Eq)]
pub enum CertificateSource {
    /// PEM files, as absolute paths. Both are watched.
    Files {
        /// The certificate, followed by those that lead to its authority.
        certificate: PathBuf,
        /// Its private key.
        key: PathBuf,
    },
    /// PEM text in the resource.
    Inline {
        /// As in a file.
        certificate: Bytes,
        /// As in a file.
        key: Bytes,
    },
    /// The resource is refused or missing and has no last good version.
    Refused,
}

impl fmt::Debug for CertificateSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files { certificate, key } => f
                .debug_struct("Files")
                .field("certificate", certificate)
                .field("key", key)
                .finish(),
            Self::Inline { .. } => f.write_str("Inline"),
            Self::Refused => f.write_str("Refused"),
        }
    }
}

/// Authorities that are believed, as their resource says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleDecl {
    /// Its resource: a ConfigMap or Secret with `ca.crt`, or a Certificate.
    pub resource: ResourceId,
    /// Its name in the snapshot.
    pub name: TrustName,
    /// Where the certificates come from.
    pub source: BundleSource,
    /// Where that is written, for what is wrong with it.
    pub place: Place,
}

/// Where a bundle of authorities comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BundleSource {
    /// Files, as absolute paths. They are watched.
    Files {
        /// The authorities, as PEM.
        authorities: PathBuf,
        /// What they have revoked, as PEM or DER.
        revoked: Option<PathBuf>,
    },
    /// Text in the resource.
    Inline {
        /// As in a file.
        authorities: Bytes,
        /// As in a file.
        revoked: Option<Bytes>,
    },
    /// The resource is refused or missing and has no last good version: nobody is believed.
    Refused,
}

/// Where a plugin's code comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// A file, as an absolute path.
    File(PathBuf),
    /// A filter that comes with the gateway: one of the names that
    /// [`Loader::with_builtins`](crate::load::Loader::with_builtins) was given.
    Builtin(&'static str),
    /// Somewhere in the network.
    Remote(Arc<RemoteSource>),
    /// The resource is refused or missing and has no last good version: there is nothing to fetch.
    /// Its requests get what [`PluginDecl::failure_policy`] says.
    Refused,
}

pub use crate::remote::PullCredentials;
pub use crate::remote::RemoteCode;
pub use crate::remote::RemoteSource;

pub use crate::kinds::plugin::PluginIsolation;
pub use crate::kinds::plugin::PluginType;
pub use crate::kinds::plugin::PullPolicy;

/// What happens to requests that a plugin cannot decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// They are answered with 503.
    #[default]
    FailClosed,
    /// They pass without it.
    FailOpen,
}

/// A resource with what is to be said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceStatus {
    /// Which one.
    pub resource: ResourceId,
    /// Where it begins; `None` if it is the stored last good version of one that is gone bad.
    pub place: Option<Place>,
    /// Whether an older version serves, because the one in the files is refused.
    pub last_good: bool,
    /// The conditions, as the Gateway API has them.
    pub conditions: Vec<Condition>,
}

/// One condition (Kubernetes `metav1.Condition`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Such as `Accepted`.
    pub kind: &'static str,
    /// Whether it holds.
    pub status: bool,
    /// Such as `BackendNotFound`.
    pub reason: &'static str,
    /// For people.
    pub message: String,
    /// Which parent or listener it is about, if the resource has several.
    pub about: Option<String>,
}

/// An accepted resource as it was written. Its `Debug` shows no text: it may be a Secret.
#[derive(Clone, PartialEq, Eq)]
pub struct AcceptedDocument {
    /// Which one.
    pub resource: ResourceId,
    /// The file it stands in: relative paths are relative to it.
    pub file: PathBuf,
    /// The line its text begins at.
    pub line: u32,
    /// The text of the document, which may hold other resources too.
    pub text: Arc<str>,
    /// Files that it names and that were read with it, by the path it names: endpoints, values of a
    /// configuration.
    pub files: Vec<(String, Arc<str>)>,
}

impl fmt::Debug for AcceptedDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptedDocument")
            .field("resource", &self.resource)
            .field("file", &self.file)
            .field("line", &self.line)
            .finish_non_exhaustive()
    }
}

//! Plugin: a filter's code with its settings, limits and capabilities.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::kinds::plugin_rollout::PluginRollout;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::text::DurationText;
use crate::kinds::text::EnvName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::Sha256Text;
use crate::kinds::text::SizeText;
use crate::place::At;
use crate::tree::Node;

pub use crate::kinds::plugin_source::HttpCode;
pub use crate::kinds::plugin_source::PluginSource;
pub use crate::kinds::plugin_source::PullPolicy;
pub use crate::kinds::plugin_source::PullSecret;

/// A WebAssembly filter (Proxy-Wasm): its code, settings, limits, and what it may reach.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plugin {
    /// What it is.
    pub spec: PluginSpec,
}

/// See [`Plugin`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginSpec {
    /// Where its code comes from.
    pub source: At<PluginSource>,
    /// SHA-256 of the module: any other one is refused, wherever it came from. For `oci` and `file`.
    pub sha256: Option<At<Sha256Text>>,
    /// When an image is asked for again. The default is `Always` for images of the tag `latest` and
    /// with `pullInterval`, `IfNotPresent` for others.
    pub pull_policy: Option<At<PullPolicy>>,
    /// How often a tag is asked for again with `pullPolicy: Always`, give or take a tenth. 10s to 24h.
    #[schemars(extend("default" = "10m"))]
    pub pull_interval: Option<At<DurationText>>,
    /// With what the registry is asked; by default what docker and podman would ask with.
    pub pull_secret: Option<At<PullSecret>>,
    /// What the filter is told when it starts: an object as JSON, a string as it is. In place of any
    /// value in it, `{ valueFrom: … }` takes the value from a file, a Secret, a ConfigMap or a variable.
    #[schemars(with = "Option<Value>", extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub config: Option<Node>,
    /// Selects one of several filters in a module.
    #[schemars(length(max = 253))]
    pub root_id: Option<String>,
    /// Plugins of one namespace with the same id share data and queues.
    #[schemars(length(max = 253))]
    pub vm_id: Option<String>,
    /// What the module is told when its VM starts: an object as JSON, a string as it is.
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub vm_config: Option<At<Value>>,
    /// What becomes of functions that its module imports and that Tidegate does not have.
    #[schemars(extend("default" = "Refuse"))]
    pub unknown_imports: Option<At<UnknownImports>>,
    /// Environment variables that the filter sees.
    #[serde(default)]
    #[schemars(length(max = 256))]
    pub env: Vec<EnvVar>,
    /// What it is for. A `Service` has no requests: it is attached to nothing, and one instance of
    /// it runs in the gateway.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "Http"))]
    pub kind: Option<At<PluginType>>,
    /// Whether it acts on requests, or only looks on.
    #[schemars(extend("default" = "Enforce"))]
    pub mode: Option<At<PluginMode>>,
    /// What it may use while it only looks on. Says nothing with `mode: Enforce`.
    pub shadow: Option<PluginShadow>,
    /// How many requests one instance of it serves.
    #[schemars(extend("default" = "Worker"))]
    pub isolation: Option<At<PluginIsolation>>,
    /// Whether it is shown bodies while it holds headers back. As its module declares if absent;
    /// `false` overrules that.
    pub stop_iteration: Option<bool>,
    /// Whether host calls are answered exactly as Envoy answers them, where Tidegate is lenient.
    #[schemars(extend("default" = false))]
    pub strict: Option<bool>,
    /// What happens to requests that it cannot decide because it failed.
    #[schemars(extend("default" = "FailClosed"))]
    pub failure_policy: Option<At<FailurePolicy>>,
    /// What it may use.
    pub limits: Option<PluginLimits>,
    /// What a version that replaces another must stand, or the one before it serves again.
    pub probation: Option<PluginProbation>,
    /// What it may reach; nothing else is reachable.
    pub allow: Option<PluginAllow>,
    /// Another version of it, tried on a share of the requests before it takes over.
    pub rollout: Option<PluginRollout>,
    /// When it runs among the plugins of a Gateway; after all phases if absent.
    pub phase: Option<At<PluginPhase>>,
    /// Its place within the phase: higher runs first.
    #[schemars(range(min = -1_000_000, max = 1_000_000), extend("default" = 0))]
    pub priority: Option<At<i32>>,
    /// The Gateways, listeners, routes or named rules whose requests all pass it, or whose connections
    /// if it is of `type: Network`. Rules of HTTPRoutes and GRPCRoutes can also name it in an
    /// `ExtensionRef` filter.
    #[serde(default)]
    #[schemars(length(max = 16))]
    pub target_refs: Vec<PolicyTarget>,
}

/// An environment variable: `value` or `valueFrom`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: At<EnvName>,
    /// Its value.
    #[schemars(length(max = 65536))]
    pub value: Option<At<String>>,
    /// Where its value comes from.
    pub value_from: Option<At<EnvSource>>,
}

/// Where a value comes from: exactly one of these.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EnvSource {
    /// A variable of the gateway's own environment, which `allow.env` must name.
    #[schemars(length(min = 1))]
    pub env: Option<At<EnvName>>,
    /// A Secret of the plugin's namespace.
    pub secret_key_ref: Option<KeyRef>,
    /// A ConfigMap of the plugin's namespace.
    pub config_map_key_ref: Option<KeyRef>,
}

/// Where a value of a configuration comes from: exactly one of these, and how it is read.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ConfigSource {
    /// A text file, relative to the file that names it, of at most 1 MiB. It is watched.
    #[schemars(length(min = 1, max = 4096))]
    pub file: Option<At<String>>,
    /// A variable of the gateway's own environment, which `allow.env` must name.
    #[schemars(length(min = 1))]
    pub env: Option<At<EnvName>>,
    /// A Secret of the plugin's namespace.
    pub secret_key_ref: Option<KeyRef>,
    /// A ConfigMap of the plugin's namespace.
    pub config_map_key_ref: Option<KeyRef>,
    /// How it is read.
    #[schemars(extend("default" = "Text"))]
    pub format: Option<At<ConfigFormat>>,
}

/// How a value that comes from elsewhere is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ConfigFormat {
    /// As a string.
    Text,
    /// As what the JSON in it says.
    Json,
}

/// One value of a Secret or ConfigMap.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyRef {
    /// The Secret or ConfigMap.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    pub key: At<String>,
}

/// What happens to requests that a plugin cannot decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum FailurePolicy {
    /// They are answered with 503.
    FailClosed,
    /// They pass without it.
    FailOpen,
}

/// What a plugin is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PluginType {
    /// It filters requests and responses.
    Http,
    /// It filters the bytes of connections, at listeners for TCP and TLS.
    Network,
    /// It works beside them: timers, queues, calls.
    Service,
}

/// Whether a plugin acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PluginMode {
    /// It does: it edits and answers.
    Enforce,
    /// It is shown copies of requests and responses, and what it would have done is compared with what
    /// happened: counted, and a sample of it logged. It changes nothing and delays nothing; if it fails,
    /// requests pass, whatever `failurePolicy` says.
    Shadow,
}

/// What a plugin that only looks on may use. Beyond any of it requests are not looked at, and counted.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginShadow {
    /// How many percent of the requests it is shown, at random.
    #[schemars(range(min = 1, max = 100), extend("default" = 100))]
    pub percent: Option<At<u8>>,
    /// How many percent of the time of each worker it may take.
    #[schemars(range(min = 1, max = 100), extend("default" = 5))]
    pub cpu_percent: Option<At<u8>>,
    /// Requests that it may be shown at once on each worker, those that it waits with included.
    #[schemars(range(min = 1, max = 10_000), extend("default" = 256))]
    pub concurrent: Option<At<u32>>,
    /// What the copies may hold at once on each worker. One copy holds at most what a filter may buffer of
    /// a body. 64Ki to 4Gi.
    #[schemars(extend("default" = "16Mi"))]
    pub memory: Option<At<SizeText>>,
}

/// How many requests one instance of a plugin serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum PluginIsolation {
    /// All of a worker, one after the other and those that wait beside each other.
    Worker,
    /// One: no request can learn anything of another through the filter's memory.
    Stream,
}

/// What becomes of imports that nobody can give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum UnknownImports {
    /// The plugin is refused, and the problem names all of them.
    Refuse,
    /// It loads, and its instance ends if it calls one.
    TrapWhenCalled,
}

/// What a plugin may use.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginLimits {
    /// Memory of one instance. 64Ki to 4Gi.
    #[schemars(extend("default" = "64Mi"))]
    pub memory: Option<At<SizeText>>,
    /// Instances that may exist at once with `isolation: Stream`: as many requests can be in it. 1
    /// to 2000.
    #[schemars(range(min = 1, max = 2000), extend("default" = 256))]
    pub instances: Option<At<u32>>,
    /// CPU time of one call into it. At most 10s.
    #[schemars(extend("default" = "10ms"))]
    pub call_timeout: Option<At<DurationText>>,
    /// Time to start and read its settings. At most 5m.
    #[schemars(extend("default" = "10s"))]
    pub start_timeout: Option<At<DurationText>>,
}

/// When a version that replaces another is taken back: so many faults within any second of the period,
/// if they are more than a share of the streams of that second. What is left out is as by default.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginProbation {
    /// How long it is looked at after it began to serve. `0s` turns this off: whatever the version does,
    /// it stays. At most 24h.
    #[schemars(extend("default" = "60s"))]
    pub period: Option<At<DurationText>>,
    /// Traps and calls that run out of time, within a second, that it is taken back for. For a
    /// `type: Service` they are counted over the whole period.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 5))]
    pub faults: Option<At<u32>>,
    /// How many percent of the streams may have faults. With 0, `faults` alone decides.
    #[schemars(range(min = 0, max = 99), extend("default" = 1))]
    pub percent: Option<At<u32>>,
}

/// What a plugin may reach.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginAllow {
    /// Backends that it may call, by HTTP, gRPC or Redis: `name` for a Backend of its namespace,
    /// `namespace/name` for one elsewhere (needs a ReferenceGrant there), `name:port` for a port of
    /// a Service.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub backends: Vec<At<String>>,
    /// Those of `backends` that it may call while it only looks on (`mode: Shadow`). Calls to the others
    /// fail then, as if nobody were there, and what it decides after that counts as unknown.
    #[serde(default)]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub shadow_backends: Vec<At<String>>,
    /// Whether it may look names up with the system's resolver (`envoy_resolve_dns`). A name that is
    /// asked for can carry data to whoever answers for it.
    #[schemars(extend("default" = false))]
    pub dns: Option<bool>,
    /// Variables of the gateway's environment that `env` may hand on.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub env: Vec<At<EnvName>>,
}

/// When a plugin runs among those of a Gateway, in this order (Istio's names).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
pub enum PluginPhase {
    /// First: who is it?
    Authn,
    /// Then: may they?
    Authz,
    /// Then: counting.
    Stats,
}

//! The part of a Plugin that says how another version of it is tried.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::kinds::plugin_source::PluginSource;
use crate::kinds::text::DurationText;
use crate::kinds::text::FieldName;
use crate::kinds::text::HostPort;
use crate::kinds::text::PercentText;
use crate::kinds::text::RequestTarget;
use crate::kinds::text::Sha256Text;
use crate::place::At;
use crate::tree::Node;

/// Another version of a plugin, tried on a share of the requests and compared with the one that is
/// there.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginRollout {
    /// The version that is tried. All that it does not say is as the Plugin says.
    pub canary: At<PluginCanary>,
    /// The share of requests that it gets, in percent. With `steps` it is the step to begin with;
    /// without them the share stays until it is changed, promoted or aborted. 1 to 100.
    #[schemars(range(min = 1, max = 100))]
    pub weight: Option<At<u32>>,
    /// What clients are known by, so that each keeps its version. Without it, and for requests that have
    /// none, chance decides about each request.
    pub key: Option<At<RolloutKey>>,
    /// The shares that it gets one after the other, in percent; after the last it has taken over. By
    /// default 5, 25, 50 and 100, unless there is a `weight`. 1 to 100, rising.
    #[schemars(length(min = 1, max = 32), inner(range(min = 1, max = 100)))]
    pub steps: Option<At<Vec<At<u32>>>>,
    /// How long each step lasts at least. 1s to 7 days (168h).
    #[schemars(extend("default" = "5m"))]
    pub interval: Option<At<DurationText>>,
    /// Requests of each version that a step needs at least. 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000), extend("default" = 200))]
    pub min_requests: Option<At<u32>>,
    /// What takes it back by itself.
    pub abort_on: Option<RolloutLimits>,
    /// Who is told of its course.
    #[serde(default)]
    #[schemars(length(max = 8))]
    pub webhooks: Vec<RolloutWebhook>,
}

/// A receiver that is told of a rollout's course, by a POST for each event.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutWebhook {
    /// The backend that is asked: `name` for a Backend of the Plugin's namespace, `namespace/name` for
    /// one elsewhere (needs a ReferenceGrant there), `name:port` for a port of a Service.
    #[schemars(length(min = 1, max = 512))]
    pub backend: At<String>,
    /// The path, with a query if it needs one. It may be a secret: no page and no log shows it.
    #[schemars(length(min = 1), extend("x-tidegate-secret" = true))]
    pub path: At<RequestTarget>,
    /// The host that is asked for, with a port if it needs one; by default the backend's.
    #[schemars(length(min = 1))]
    pub host: Option<At<HostPort>>,
    /// The events that it is told of; by default all of them.
    #[schemars(length(min = 1, max = 7))]
    pub events: Option<At<Vec<At<RolloutEvent>>>>,
    /// How long one attempt may take. 100ms to 1m.
    #[schemars(extend("default" = "10s"))]
    pub timeout: Option<At<DurationText>>,
}

/// What happens to a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum RolloutEvent {
    /// It begins.
    Started,
    /// It begins anew: its canary has changed, or somebody resumed it after an abort.
    Restarted,
    /// Its share has become another one.
    Stepped,
    /// Its share stays, because somebody wants that.
    Held,
    /// It goes on.
    Resumed,
    /// The canary has everything.
    Promoted,
    /// The stable version has everything again.
    Aborted,
}

/// A version of a plugin that is tried: other code, another configuration, or both.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginCanary {
    /// Where its code comes from; by default it is the Plugin's.
    pub source: Option<At<PluginSource>>,
    /// SHA-256 of its module: any other one is refused.
    pub sha256: Option<At<Sha256Text>>,
    /// What it is told when it starts; by default what the Plugin's version is told.
    #[schemars(with = "Option<Value>", extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub config: Option<Node>,
}

/// What clients are known by: exactly one of these.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutKey {
    /// The first value of a header, as it is when the request comes to the plugin's Gateway or rule.
    #[schemars(length(min = 1))]
    pub header: Option<At<FieldName>>,
    /// A cookie.
    #[schemars(length(min = 1))]
    pub cookie: Option<At<FieldName>>,
    /// The client's address, as the gateway trusts it; of IPv6 the first 64 bits.
    pub client_ip: Option<At<ClientIp>>,
}

/// Nothing more is said: `{}`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientIp {}

/// What aborts a rollout. Each limit can be turned off with `100%`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RolloutLimits {
    /// The share of its requests that may trap or run out of time.
    #[schemars(extend("default" = "0.1%"))]
    pub trap_rate: Option<At<PercentText>>,
    /// By how many points the share of requests that it answers itself may be larger.
    #[schemars(extend("default" = "0.5%"))]
    pub deny_rate_delta: Option<At<PercentText>>,
    /// By how many points the share of 5xx answers to requests that it lets pass may be larger.
    #[schemars(extend("default" = "0.25%"))]
    pub error_rate_delta: Option<At<PercentText>>,
    /// By how much longer the time may be that 99 of 100 answers do not exceed, of the same time without
    /// it. To 1000%; `1000%` turns it off.
    #[schemars(extend("default" = "20%"))]
    pub p99_delta: Option<At<PercentText>>,
}

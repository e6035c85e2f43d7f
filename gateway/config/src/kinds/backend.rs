//! Backend and BackendPolicy: endpoints off Kubernetes, and how one of them is picked.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::policy::Http2Pings;
use crate::kinds::policy::PolicyTarget;
use crate::kinds::text::DurationText;
use crate::place::At;

/// A named group of interchangeable endpoints.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Backend {
    /// Where its endpoints are.
    pub spec: BackendSpec,
}

/// See [`Backend`]. Exactly one of `endpoints`, `endpointsFile` and `dns`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendSpec {
    /// The endpoints.
    #[schemars(length(min = 1, max = 10_000))]
    pub endpoints: Option<At<Vec<BackendEndpoint>>>,
    /// A YAML or JSON file with a list like `endpoints`, which may be empty. It is watched; put a
    /// new one in its place by renaming. Relative to the file that names it.
    #[schemars(length(min = 1, max = 4096))]
    pub endpoints_file: Option<At<String>>,
    /// Names that the endpoints come from; they are looked up again and again.
    pub dns: Option<At<BackendDns>>,
    /// The protocol that the endpoints speak. Those of GRPCRoutes speak HTTP/2 if this is absent. With
    /// TLS (BackendTLSPolicy), endpoints choose between HTTP/1.1 and HTTP/2 unless this is `Http2`.
    #[schemars(extend("default" = "Http1"))]
    pub protocol: Option<At<BackendProtocol>>,
    /// The header that tells the endpoints who the client is, before all else on a connection; none if
    /// absent.
    pub proxy_protocol: Option<At<ProxyProtocol>>,
    /// Whether endpoints may be link-local: 169.254.0.0/16, fe80::/10, and where clouds serve metadata.
    #[schemars(extend("default" = false))]
    pub allow_link_local: Option<bool>,
}

/// Endpoints from DNS: `host` with `port`, or `srv`. While a name cannot be looked up, its last answer
/// counts.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendDns {
    /// The name whose addresses (A and AAAA) are the endpoints, such as `api.internal`. A dot at the end
    /// keeps the system's search domains away.
    #[schemars(length(min = 1, max = 254))]
    pub host: Option<At<String>>,
    /// The port of all of them.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
    /// The name whose SRV records say hosts, ports, weights and priorities, such as
    /// `_http._tcp.api.internal`.
    #[schemars(length(min = 1, max = 254))]
    pub srv: Option<At<String>>,
    /// Which addresses count.
    #[schemars(extend("default" = "Any"))]
    pub family: Option<At<AddressFamily>>,
    /// An answer counts for at least so long, whatever it says itself. 1s to 1h.
    #[schemars(extend("default" = "1s"))]
    pub min_ttl: Option<At<DurationText>>,
    /// An answer is asked for again after so long at most. 1s to 24h, not below `minTtl`.
    #[schemars(extend("default" = "5m"))]
    pub max_ttl: Option<At<DurationText>>,
}

/// Which addresses of a name count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AddressFamily {
    /// All of them.
    Any,
    /// IPv4 addresses.
    IPv4,
    /// IPv6 addresses.
    IPv6,
}

/// The header that tells who a connection is from (PROXY protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary form.
    V2,
}

/// One endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendEndpoint {
    /// IP address and port, such as `127.0.0.1:9001` or `[::1]:9001`.
    #[schemars(length(min = 1, max = 64))]
    pub address: At<String>,
    /// Its share among the others; 0 gets nothing.
    #[schemars(range(min = 0, max = 1_000_000), extend("default" = 1))]
    pub weight: Option<At<u32>>,
}

/// A protocol of backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum BackendProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2, from the first byte.
    Http2,
    /// gRPC, which is HTTP/2.
    Grpc,
}

/// How requests are spread over the endpoints of Backends and Services, and how these are told the
/// client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackendPolicy {
    /// What it says.
    pub spec: BackendPolicySpec,
}

/// See [`BackendPolicy`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BackendPolicySpec {
    /// The Backends and Services it is for, in its own namespace.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTarget>,
    /// How an endpoint is picked.
    pub load_balancer: Option<At<LoadBalancer>>,
    /// Whether silent endpoints that speak HTTP/2 are asked if they are still there, by PING. They are not
    /// if this is absent: many gRPC servers close connections that ask more often than every 5 minutes.
    pub http2_pings: Option<At<Http2Pings>>,
    /// The header that tells the endpoints who the client is, before all else on a connection; for
    /// Services, since a Backend says it itself. Not for ports that speak HTTP/2.
    pub proxy_protocol: Option<At<ProxyProtocol>>,
}

/// How an endpoint is picked: exactly one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LoadBalancer {
    /// Each in turn, as often as its weight says.
    pub round_robin: Option<NoSettings>,
    /// The one with fewer exchanges of two picked at random. This is the default.
    pub least_request: Option<NoSettings>,
    /// Any, by weight.
    pub random: Option<NoSettings>,
}

/// Nothing to set: `{}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

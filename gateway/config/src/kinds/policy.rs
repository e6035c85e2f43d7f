//! TrafficPolicy and Telemetry: limits and logs, attached to Gateways and routes.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::DurationText;
use crate::kinds::text::Group;
use crate::kinds::text::KindName;
use crate::kinds::text::ObjectName;
use crate::kinds::text::SectionName;
use crate::kinds::text::SizeText;
use crate::place::At;

/// What a policy or plugin is for: a resource of its own namespace.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTarget {
    /// The API group of the target.
    pub group: At<Group>,
    /// The kind of the target.
    #[schemars(length(min = 1))]
    pub kind: At<KindName>,
    /// The name of the target.
    #[schemars(length(min = 1))]
    pub name: At<ObjectName>,
    /// A listener of a Gateway, or a named rule of a route.
    #[schemars(length(min = 1))]
    pub section_name: Option<At<SectionName>>,
}

/// Time-outs, limits and trust of Gateways and routes.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TrafficPolicy {
    /// What it says.
    pub spec: TrafficPolicySpec,
}

/// See [`TrafficPolicy`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrafficPolicySpec {
    /// The Gateways and routes it is for, in its own namespace.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTarget>,
    /// How long things may take.
    pub timeouts: Option<PolicyTimeouts>,
    /// How much may be held in memory.
    pub limits: Option<PolicyLimits>,
    /// The protocols that clients may change to by `Upgrade`; for HTTPRoutes. A name allows all its
    /// versions; without any, nobody changes. `h2c`, `http` and `tls` are never passed on.
    #[schemars(length(max = 16), extend("default" = ["websocket"]))]
    pub upgrades: Option<At<Vec<At<String>>>>,
    /// How many proxies in front are ours; for Gateways. With 0, what clients say about themselves
    /// in `x-forwarded-*` is replaced.
    #[schemars(range(min = 0, max = 16), extend("default" = 0))]
    pub trusted_hops: Option<At<u32>>,
    /// What backends are told about clients' certificates, in `x-forwarded-client-cert`; for Gateways.
    /// Without it, what came in is kept behind trusted proxies (`trustedHops`) and removed elsewhere,
    /// and the client's own certificate is added.
    pub forward_client_cert: Option<At<ForwardClientCert>>,
    /// Whether connections begin with a PROXY protocol header, version 1 or 2, from which the client's
    /// address is taken; for Gateways. Those without one are closed, so every client must send it.
    #[schemars(extend("default" = false))]
    pub proxy_protocol: Option<At<bool>>,
    /// Whether silent HTTP/2 clients are asked if they are still there, by PING; for Gateways. They are
    /// not if this is absent.
    pub http2_pings: Option<At<Http2Pings>>,
}

/// PINGs on HTTP/2 connections. Peers that send anything, or have no streams open, are not asked; a
/// connection whose peer does not answer is closed, and its streams fail.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Http2Pings {
    /// How long a peer is silent before it is asked. 1s to 24h.
    pub after: At<DurationText>,
    /// How long it has to send anything then. 1s to 1h.
    #[schemars(extend("default" = "20s"))]
    pub within: Option<At<DurationText>>,
}

/// What backends are told about clients' certificates (Envoy: `forward_client_cert_details`).
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ForwardClientCert {
    /// What becomes of `x-forwarded-client-cert` fields that come in.
    pub mode: At<ForwardClientCertMode>,
    /// What is told of the client's own certificate, beside `By` and `Hash`.
    #[schemars(length(max = 5), extend("default" = ["Subject", "URI", "DNS"]))]
    pub details: Option<At<Vec<At<ClientCertDetail>>>>,
}

/// What becomes of `x-forwarded-client-cert` fields that come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ForwardClientCertMode {
    /// They are removed.
    Sanitize,
    /// They are passed on from clients whose certificate is believed, and removed from others.
    ForwardOnly,
    /// The same, and the client's own certificate follows them.
    AppendForward,
    /// They are removed, and the client's own certificate is told.
    SanitizeSet,
    /// They are passed on, whoever sent them: something in front of the gateway must see to them.
    AlwaysForwardOnly,
}

/// What is told of a client's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
pub enum ClientCertDetail {
    /// Its subject.
    Subject,
    /// The URIs among its names.
    #[serde(rename = "URI")]
    Uri,
    /// The DNS names among its names.
    #[serde(rename = "DNS")]
    Dns,
    /// The certificate itself, as PEM with escapes of URLs; left out above 16Ki.
    Cert,
    /// The same with those that the client sent with it.
    Chain,
}

/// How long things may take.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyTimeouts {
    /// From the first byte of a request head to its last; for Gateways.
    #[schemars(extend("default" = "10s"))]
    pub header_read: Option<At<DurationText>>,
    /// A kept client connection without a request; for Gateways.
    #[schemars(extend("default" = "1m"))]
    pub keep_alive: Option<At<DurationText>>,
    /// A body, or a backend that was asked, without a byte; for Gateways, HTTPRoutes and
    /// GRPCRoutes.
    #[schemars(extend("default" = "5m"))]
    pub stream_idle: Option<At<DurationText>>,
    /// A client that does not read what we write; for Gateways.
    #[schemars(extend("default" = "30s"))]
    pub write_stall: Option<At<DurationText>>,
    /// A TCP connection without a byte in either direction; for Gateways, TCPRoutes and TLSRoutes.
    #[schemars(extend("default" = "1h"))]
    pub tcp_idle: Option<At<DurationText>>,
    /// From the request head to the end of the response, `0s` is no limit; for HTTPRoutes and
    /// GRPCRoutes. The `timeouts` of a rule win.
    pub request: Option<At<DurationText>>,
    /// One attempt at a backend, `0s` is no limit; for HTTPRoutes and GRPCRoutes. The `timeouts` of a
    /// rule win.
    pub backend_request: Option<At<DurationText>>,
}

/// How much may be held in memory.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyLimits {
    /// Bytes of one request head; for Gateways. 1Ki to 1Mi.
    #[schemars(extend("default" = "64Ki"))]
    pub headers: Option<At<SizeText>>,
    /// Fields of one request head; for Gateways.
    #[schemars(range(min = 1, max = 1000), extend("default" = 100))]
    pub header_count: Option<At<u32>>,
    /// Bytes of one body that filters may hold back; for Gateways, HTTPRoutes and GRPCRoutes. At most
    /// 1Gi.
    #[schemars(extend("default" = "1Mi"))]
    pub buffered_body: Option<At<SizeText>>,
}

/// How the exchanges of a Gateway are logged.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Telemetry {
    /// What it says.
    pub spec: TelemetrySpec,
}

/// See [`Telemetry`].
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TelemetrySpec {
    /// The Gateways it is for, in its own namespace.
    #[schemars(length(min = 1, max = 16))]
    pub target_refs: Vec<PolicyTarget>,
    /// The access log.
    pub access_log: Option<AccessLogSettings>,
}

/// How an access log is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AccessLogSettings {
    /// Its form.
    #[schemars(extend("default" = "Text"))]
    pub format: Option<At<AccessLogFormat>>,
}

/// The form of an access log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AccessLogFormat {
    /// Lines of text.
    Text,
    /// JSON objects.
    Json,
    /// None is written.
    Off,
}

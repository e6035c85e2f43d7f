//! Service and EndpointSlice as Kubernetes has them.
//!
//! A Service's addresses come from its EndpointSlices, never from its virtual IP. Fields that only
//! concern the virtual IP are accepted and have no effect here.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::kinds::text::Ignored;
use crate::kinds::text::PortRef;
use crate::place::At;

/// A named set of endpoints with its ports. Its addresses are those of the EndpointSlices that have
/// the label `kubernetes.io/service-name`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Service {
    /// Its ports.
    pub spec: ServiceSpec,
}

/// See [`Service`].
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServiceSpec {
    /// The ports that it offers.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub ports: Vec<ServicePort>,
    /// How it is published. `ExternalName` is not supported.
    #[serde(rename = "type")]
    pub kind: Option<At<ServiceType>>,
    /// For `ExternalName`.
    pub external_name: Option<Ignored>,
    /// Whether endpoints that are not ready count too.
    pub publish_not_ready_addresses: Option<bool>,
    /// Which pods belong to it; no effect, EndpointSlices say it.
    pub selector: Option<Ignored>,
    /// No effect.
    #[serde(rename = "clusterIP")]
    pub cluster_ip: Option<Ignored>,
    /// No effect.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Option<Ignored>,
    /// No effect.
    #[serde(rename = "externalIPs")]
    pub external_ips: Option<Ignored>,
    /// No effect.
    pub session_affinity: Option<Ignored>,
    /// No effect.
    pub session_affinity_config: Option<Ignored>,
    /// No effect.
    #[serde(rename = "loadBalancerIP")]
    pub load_balancer_ip: Option<Ignored>,
    /// No effect.
    pub load_balancer_source_ranges: Option<Ignored>,
    /// No effect.
    pub load_balancer_class: Option<Ignored>,
    /// No effect.
    pub allocate_load_balancer_node_ports: Option<Ignored>,
    /// No effect.
    pub external_traffic_policy: Option<Ignored>,
    /// No effect.
    pub internal_traffic_policy: Option<Ignored>,
    /// No effect.
    pub traffic_distribution: Option<Ignored>,
    /// No effect.
    pub health_check_node_port: Option<Ignored>,
    /// No effect.
    pub ip_families: Option<Ignored>,
    /// No effect.
    pub ip_family_policy: Option<Ignored>,
}

/// How a Service is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the names are those of Kubernetes")]
pub enum ServiceType {
    #[serde(rename = "ClusterIP")]
    ClusterIp,
    NodePort,
    LoadBalancer,
    ExternalName,
}

/// A port of a Service.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePort {
    /// Its name; EndpointSlices say under this name where it leads.
    pub name: Option<At<String>>,
    /// Its number, for `backendRefs`.
    #[schemars(range(min = 1, max = 65535))]
    pub port: At<u16>,
    /// The port of the pods; EndpointSlices say it better.
    pub target_port: Option<At<PortRef>>,
    /// `TCP`, which is all that is supported.
    #[schemars(extend("default" = "TCP"))]
    pub protocol: Option<At<IpProtocol>>,
    /// The protocol spoken there: `http` or `kubernetes.io/ws`, the default, is HTTP/1.1,
    /// `kubernetes.io/h2c` or `grpc` is HTTP/2, `https` or `kubernetes.io/wss` is HTTP inside TLS and needs
    /// a BackendTLSPolicy. Others are warned of where HTTP is sent there.
    pub app_protocol: Option<At<String>>,
    /// No effect.
    pub node_port: Option<Ignored>,
}

/// A protocol on top of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum IpProtocol {
    Tcp,
    Udp,
    Sctp,
}

/// Some of the addresses of a Service, which the label `kubernetes.io/service-name` names.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndpointSlice {
    /// What kind of addresses.
    pub address_type: At<AddressType>,
    /// The endpoints.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub endpoints: Vec<SliceEndpoint>,
    /// The ports that each of them has.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub ports: Vec<SlicePort>,
}

/// What kind of addresses a slice has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum AddressType {
    /// IPv4 addresses.
    IPv4,
    /// IPv6 addresses.
    IPv6,
    /// Names; not supported.
    #[serde(rename = "FQDN")]
    Fqdn,
}

/// One endpoint: addresses that lead to the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceEndpoint {
    /// Its addresses; the first counts.
    #[schemars(length(min = 1, max = 100))]
    pub addresses: Vec<At<String>>,
    /// Whether it can be used.
    pub conditions: Option<SliceConditions>,
    /// No effect.
    pub hostname: Option<Ignored>,
    /// No effect.
    pub node_name: Option<Ignored>,
    /// No effect.
    pub zone: Option<Ignored>,
    /// No effect.
    pub deprecated_topology: Option<Ignored>,
    /// No effect.
    pub target_ref: Option<Ignored>,
    /// No effect.
    pub hints: Option<Ignored>,
}

/// Whether an endpoint can be used.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SliceConditions {
    /// Whether it takes requests; unknown counts as yes.
    pub ready: Option<bool>,
    /// Whether it answers, even if it is about to end; unknown counts as `ready`.
    pub serving: Option<bool>,
    /// Whether it is about to end. Such endpoints are used if no other is ready.
    pub terminating: Option<bool>,
}

/// A port that the endpoints of a slice have.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SlicePort {
    /// The name of the Service's port.
    pub name: Option<At<String>>,
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<At<u16>>,
    /// `TCP`, which is all that is supported.
    #[schemars(extend("default" = "TCP"))]
    pub protocol: Option<At<IpProtocol>>,
    /// The protocol spoken there.
    pub app_protocol: Option<At<String>>,
}

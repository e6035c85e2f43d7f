//! The configuration of a gateway with one limit for all requests.

use std::net::SocketAddr;

/// Where the limit is kept.
#[derive(Debug)]
pub(crate) struct Store {
    pub(crate) redis: Option<SocketAddr>,
    pub(crate) lease: Option<u64>,
    pub(crate) domain: String,
}

pub(crate) fn config(
    listen: SocketAddr,
    origin: SocketAddr,
    rate: u64,
    burst: u64,
    store: &Store,
) -> String {
    let (address, port) = (listen.ip(), listen.port());
    let domain = &store.domain;
    let lease = store.lease.map_or_else(String::new, |permits| {
        format!(", lease: {{ permits: {permits} }}")
    });
    let (kept, redis, allow) = match store.redis {
        None => (String::new(), String::new(), ""),
        Some(server) => (
            format!(
                ", store: {{ redis: {{ backend: redis, domain: {domain}, timeout: 1s{lease} }} }}"
            ),
            format!(
                "---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: redis }}
spec: {{ endpoints: [{{ address: \"{server}\" }}] }}
"
            ),
            "allow: { backends: [redis] }",
        ),
    };
    format!(
        "apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{ name: edge }}
spec:
  gatewayClassName: tidegate
  addresses: [{{ type: IPAddress, value: {address} }}]
  listeners: [{{ name: http, port: {port}, protocol: HTTP }}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{ name: all }}
spec:
  parentRefs: [{{ name: edge }}]
  rules:
    - backendRefs: [{{ group: tidegate.dev, kind: Backend, name: origin }}]
---
apiVersion: tidegate.dev/v1alpha1
kind: Backend
metadata: {{ name: origin }}
spec: {{ endpoints: [{{ address: \"{origin}\" }}] }}
---
apiVersion: tidegate.dev/v1alpha1
kind: Plugin
metadata: {{ name: fair-use }}
spec:
  source: {{ builtin: rate-limit }}
  targetRefs: [{{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }}]
  {allow}
  config:
    limits: [{{ requests: {rate}, window: 1s, burst: {burst}{kept} }}]
{redis}"
    )
}

//! The configuration of a gateway with one limit for all requests.

use std::net::SocketAddr;

use tidegate_benches::resources::{all_to, backend, plugin};

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
            backend("redis", server),
            "allow: { backends: [redis] }",
        ),
    };
    let spec = format!(
        "  source: {{ builtin: rate-limit }}
  {allow}
  config:
    limits: [{{ requests: {rate}, window: 1s, burst: {burst}{kept} }}]
"
    );
    [all_to(origin, listen), plugin("fair-use", &spec), redis].concat()
}

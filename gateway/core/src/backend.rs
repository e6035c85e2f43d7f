//! Backends: named groups of interchangeable endpoints.
//!
//! Owns what is configured about them. Which endpoint an attempt goes to is [`crate::balance`]'s;
//! connections are the upstream module's of the proxy.

use std::borrow::Borrow;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::balance::LoadBalancer;
use crate::dns::DnsSource;
use crate::pings::Pings;
use crate::tcp::ProxyProtocol;
use crate::tls::Origination;

/// The name of a backend, cheap to share: `namespace/name`, for a port of a Service
/// `namespace/name:port`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendName(Arc<str>);

impl BackendName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for BackendName {
    fn from(name: &str) -> Self {
        Self(Arc::from(name))
    }
}

impl Borrow<str> for BackendName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// A backend of a snapshot: its place in [`crate::snapshot::Backends`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(pub u32);

/// A named group of endpoints that answer alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// What routes and filters call it.
    pub name: BackendName,
    /// Where its requests may go; nowhere at first if `dns` is set.
    pub endpoints: Vec<Endpoint>,
    /// The names that its endpoints come from, if they are looked up.
    pub dns: Option<Arc<DnsSource>>,
    /// The authority for requests that came without one (HTTP/1.0); others keep the client's.
    pub authority: http::HeaderValue,
    /// How an endpoint is picked.
    pub load_balancer: LoadBalancer,
    /// Which HTTP its endpoints speak.
    pub protocol: BackendProtocol,
    /// How TLS to its endpoints begins; `None` is without TLS.
    pub tls: Option<Arc<Origination>>,
    /// The header that tells its endpoints who the client is, if they want one.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// When its endpoints are asked whether they are still there, if they speak HTTP/2.
    pub pings: Option<Pings>,
}

/// Which HTTP the endpoints of a backend speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BackendProtocol {
    /// HTTP/1.1; with TLS, HTTP/2 if an endpoint chooses it (RFC 7301).
    #[default]
    Http1,
    /// HTTP/2: by prior knowledge without TLS (`kubernetes.io/h2c`), and nothing else with it.
    Http2,
}

/// One address of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// Its share among the others; 0 gets nothing.
    pub weight: u32,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { address, weight: 1 }
    }
}

//! Backends: named groups of interchangeable endpoints.
//!
//! Owns what is configured about them and the order in which endpoints are tried. Connections are
//! the upstream module's of the proxy.

use std::net::SocketAddr;
use std::sync::Arc;

/// The name of a backend, cheap to share.
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

/// A named group of endpoints that answer alike.
#[derive(Debug, Clone)]
pub struct Backend {
    /// What routes and filters call it.
    pub name: BackendName,
    /// The addresses, in the order they are tried first.
    pub endpoints: Vec<SocketAddr>,
    /// The authority for requests that came without one (HTTP/1.0); others keep the client's.
    pub authority: http::HeaderValue,
}

/// The endpoints of one request in the order to try them: all, each once, beginning at `turn`.
pub fn try_order(backend: &Backend, turn: usize) -> impl Iterator<Item = SocketAddr> + '_ {
    let count = backend.endpoints.len();
    let first = turn.checked_rem(count).unwrap_or(0);
    backend
        .endpoints
        .iter()
        .cycle()
        .skip(first)
        .take(count)
        .copied()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::Backend;
    use super::try_order;

    #[test]
    fn every_endpoint_is_tried_once_beginning_with_the_one_whose_turn_it_is() {
        let endpoints: Vec<SocketAddr> = (1..=3)
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .collect();
        let backend = Backend {
            name: "b".into(),
            endpoints,
            authority: http::HeaderValue::from_static("b.test"),
        };
        let ports = |turn| {
            try_order(&backend, turn)
                .map(|e| e.port())
                .collect::<Vec<_>>()
        };
        assert_eq!(ports(0), [1, 2, 3]);
        assert_eq!(ports(4), [2, 3, 1]);
        let empty = Backend {
            endpoints: Vec::new(),
            ..backend.clone()
        };
        assert_eq!(try_order(&empty, 1).count(), 0);
    }
}

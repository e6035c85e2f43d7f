//! The immutable configuration that a running exchange sees from start to end.
//!
//! Owns listeners and the rule from request to backend. Today a listener sends everything to one
//! backend; host and path matching join here.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::backend::Backend;
use crate::backend::BackendName;
use crate::defaults::SizeLimits;
use crate::defaults::Timeouts;
use crate::message::RequestHead;

/// One atomic load of configuration.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    /// What is listened to.
    pub listeners: Vec<Listener>,
    /// All backends, those that only filters call included.
    pub backends: Vec<Arc<Backend>>,
    /// How long peers may take.
    pub timeouts: Timeouts,
    /// How much may be held in memory.
    pub sizes: SizeLimits,
}

/// An address that is listened on.
#[derive(Debug, Clone)]
pub struct Listener {
    /// What logs and errors call it.
    pub name: Arc<str>,
    /// Where to bind; port 0 asks for any free port.
    pub address: SocketAddr,
    /// How many proxies in front of it are ours.
    pub trusted_hops: usize,
    /// Where its requests go.
    pub backend: BackendName,
}

impl Snapshot {
    /// The backend for a request on a listener, if there is one.
    pub fn route(&self, listener: &Listener, _request: &RequestHead) -> Option<&Arc<Backend>> {
        self.backend(listener.backend.as_str())
    }

    /// The backend of that name.
    pub fn backend(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backends
            .iter()
            .find(|backend| backend.name.as_str() == name)
    }
}

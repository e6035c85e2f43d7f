//! What happens to TCP connections that are passed on as bytes.
//!
//! Owns the rule. Which endpoint of a backend gets a connection is [`crate::balance`]'s.

use std::sync::Arc;
use std::time::Duration;

use crate::route::WeightedBackend;
use crate::snapshot::PluginId;

/// How long a connection may be silent in both directions, unless a policy says otherwise.
pub const DEFAULT_IDLE: Duration = Duration::from_secs(3_600);

/// Where the connections of a listener go.
#[derive(Debug, Clone)]
pub struct TcpRule {
    /// What logs call it: the route's `namespace/name`, or the listener's if it has no route.
    pub name: Arc<str>,
    /// The listener's name, for logs and metrics.
    pub listener: Arc<str>,
    /// The network filters that connections pass, in order.
    pub plugins: Vec<PluginId>,
    /// The backends by weight; without one, connections are closed.
    pub backends: Vec<WeightedBackend>,
    /// How long a connection may be silent in both directions.
    pub idle: Duration,
}

/// The header that tells who a connection is from (PROXY protocol).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// The line of text.
    V1,
    /// The binary form.
    V2,
}

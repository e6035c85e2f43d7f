//! What a guest may ask of the world outside its streams: log, clocks, randomness, backends.
//!
//! Owns the one trait behind which an embedder puts all of it, so that time can be virtual and runs
//! can be replayed. It performs nothing itself.

mod grpc;
mod redis;

use std::fmt;

use bytes::Bytes;

use crate::context::ContextId;
use crate::crypto::Crypto;
use crate::kinds::LogLevel;
use crate::metrics::GuestMetrics;
use crate::property::Node;
use crate::shared::SharedStore;
pub use grpc::{GrpcCommand, GrpcEvent, GrpcKind, GrpcStart};
pub use redis::{RedisCall, RedisFailed, RedisLogin};

/// The surroundings of all instances of a process.
pub trait Services: Send + Sync + fmt::Debug {
    /// Takes one log line of a guest. Its text is untrusted and must be escaped where it is shown.
    ///
    /// Specification: `proxy_log`.
    fn log(&self, line: &GuestLog<'_>);

    /// The least level that [`Services::log`] shows.
    ///
    /// Specification: `proxy_get_log_level`.
    fn log_level(&self) -> LogLevel;

    /// Nanoseconds since the Unix epoch.
    ///
    /// Specification: `proxy_get_current_time_nanoseconds`.
    fn unix_nanos(&self) -> u64;

    /// Nanoseconds of a clock that never goes back.
    fn monotonic_nanos(&self) -> u64;

    /// Fills `bytes` with randomness fit for keys.
    fn fill_random(&self, bytes: &mut [u8]);

    /// Whether the plugin may call the named backend and there is one.
    ///
    /// Specification: `proxy_http_call`.
    fn may_call(&self, plugin: &str, backend: &str) -> bool;

    /// Whether the plugin may look up names (Envoy's `envoy_resolve_dns`): a name that is asked for
    /// can carry data to whoever answers it.
    fn may_resolve(&self, plugin: &str) -> bool;

    /// Shared data and queues.
    ///
    /// Specification: `proxy_get_shared_data`, `proxy_register_shared_queue`.
    fn shared(&self) -> &SharedStore;

    /// Metrics that guests define.
    ///
    /// Specification: `proxy_define_metric`.
    fn metrics(&self) -> &GuestMetrics;

    /// Signatures for foreign functions; without them guests find no such functions.
    fn crypto(&self) -> Option<&dyn Crypto> {
        None
    }

    /// An attribute that takes the place of what the stream or the plugin has; for tests of filters.
    fn property(&self, _path: &[u8]) -> Option<Vec<u8>> {
        None
    }

    /// Who the gateway is (`xds.node`); `None` leaves the attribute out.
    fn node(&self) -> Option<&Node> {
        None
    }
}

/// One log line of a guest.
#[derive(Debug, Clone, Copy)]
pub struct GuestLog<'a> {
    /// The plugin that wrote it.
    pub plugin: &'a str,
    /// Its root id, possibly empty.
    pub root_id: &'a str,
    /// How serious the guest says it is.
    pub level: LogLevel,
    /// The text, any bytes.
    pub message: &'a [u8],
}

impl GuestLog<'_> {
    /// Makes it an event of `tracing` with the target `filter`, what is not printable escaped
    /// (specification: `proxy_log`).
    pub fn trace(&self) {
        let Self {
            plugin,
            root_id: _,
            level,
            message,
        } = *self;
        let message = Printable(message);
        match level {
            LogLevel::Trace => tracing::trace!(target: "filter", plugin, "{message}"),
            LogLevel::Debug => tracing::debug!(target: "filter", plugin, "{message}"),
            LogLevel::Info => tracing::info!(target: "filter", plugin, "{message}"),
            LogLevel::Warn => tracing::warn!(target: "filter", plugin, "{message}"),
            LogLevel::Error | LogLevel::Critical => {
                tracing::error!(target: "filter", plugin, "{message}");
            }
        }
    }
}

/// Text of a guest in one line: what is readable stays, all else, quotes and backslashes are escaped,
/// so that no line can be forged and no terminal is told what to do.
struct Printable<'a>(&'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for piece in self.0.utf8_chunks() {
            for character in piece.valid().chars() {
                match character {
                    '\'' => f.write_char(character)?,
                    _ => character
                        .escape_debug()
                        .try_for_each(|it| f.write_char(it))?,
                }
            }
            write!(f, "{}", piece.invalid().escape_ascii())?;
        }
        Ok(())
    }
}

/// An HTTP call that a guest asked for; the proxy makes it and answers once by
/// [`crate::Instance::on_http_call_response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpCall {
    /// Names the call in the answer.
    pub token: CalloutToken,
    /// The root context that is called back.
    pub root: ContextId,
    /// The backend to call.
    pub backend: String,
    /// Header fields, pseudo-headers among them; `:method`, `:path` and `:authority` are there.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The whole body.
    pub body: Bytes,
    /// Trailers, mostly none.
    pub trailers: Vec<(Bytes, Bytes)>,
    /// The limit for the whole call in milliseconds; 0 is none.
    pub timeout_ms: u32,
}

/// Names one outstanding call of an instance; never 0, never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CalloutToken(pub u32);

/// A name that a guest wants to be resolved (Envoy's `envoy_resolve_dns`); the proxy does it and
/// answers once by [`crate::Instance::on_resolve_dns`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsLookup {
    /// Names the lookup in the answer.
    pub token: DnsToken,
    /// The root context that is called back.
    pub root: ContextId,
    /// The name, at most 254 bytes; it may be no name at all.
    pub name: String,
}

/// Names one outstanding lookup of an instance; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DnsToken(pub u32);

/// One address of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAddress {
    /// For how many seconds it is good.
    pub ttl: u32,
    /// The address with port 0, as Envoy writes it: `192.0.2.1:0`, `[2001:db8::1]:0`.
    pub address: std::net::SocketAddr,
}

/// How an HTTP call ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallResponse {
    /// Header fields with `:status` first; empty if the call failed before there was a stream.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The whole body.
    pub body: Bytes,
    /// Trailers.
    pub trailers: Vec<(Bytes, Bytes)>,
}

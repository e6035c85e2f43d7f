//! What can go wrong with an HTTP request, and whether it may go better soon.

use std::io;
use std::net::IpAddr;
use std::time::Duration;

use crate::http::networks::Refused;

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// The address cannot be fetched from at all.
    #[error("cannot fetch from {url}: {reason}")]
    Address {
        /// The address, without its query.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// It would be plain HTTP where that is not allowed.
    #[error(
        "{url} would be plain HTTP: that is spoken with loopback only, unless plain HTTP is allowed \
         for this host"
    )]
    PlainHttp {
        /// The address, without its query.
        url: String,
    },
    /// The name has no address.
    #[error("cannot find the address of {host:?}")]
    Resolve {
        /// The name.
        host: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Its address is one that is not fetched from.
    #[error("{host:?} is {address}, which is not fetched from")]
    Network {
        /// The host.
        host: String,
        /// Its address; the first, if it has several.
        address: IpAddr,
        /// The rule.
        source: Refused,
    },
    /// Nobody accepts connections there.
    #[error("cannot connect to {host}")]
    Connect {
        /// Host and port.
        host: String,
        /// The system's reason.
        source: io::Error,
    },
    /// The handshake of TLS failed.
    #[error("no secure connection to {host}{hint}")]
    Tls {
        /// Host and port.
        host: String,
        /// What can be done about it, with a separator before it.
        hint: &'static str,
        /// The reason.
        source: io::Error,
    },
    /// The proxy did not do what it is there for.
    #[error("the proxy {proxy} does not connect to {host}: {reason}")]
    Proxy {
        /// Host and port of the proxy.
        proxy: String,
        /// Host and port of the target.
        host: String,
        /// What it said, or did.
        reason: String,
    },
    /// Something took too long.
    #[error("{host} was given {} s for {what}", limit.as_secs_f32())]
    Slow {
        /// Host and port.
        host: String,
        /// What was waited for.
        what: &'static str,
        /// How long.
        limit: Duration,
    },
    /// The exchange was cut or was not HTTP.
    #[error("the exchange with {host} failed")]
    Exchange {
        /// Host and port.
        host: String,
        /// The reason.
        source: hyper::Error,
    },
    /// A redirect that is not followed.
    #[error("the redirect from {url} to {to} is not followed: {reason}")]
    Redirect {
        /// Where it came from.
        url: String,
        /// Where it leads, without its query.
        to: String,
        /// The rule.
        reason: &'static str,
    },
}

impl HttpError {
    /// Whether the same request may do better in a moment, with nobody changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Address { .. }
            | Self::PlainHttp { .. }
            | Self::Network { .. }
            | Self::Redirect { .. } => false,
            // A connection that was cut is not a certificate that was refused.
            Self::Tls { source, .. } => !matches!(source.kind(), io::ErrorKind::InvalidData),
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Proxy { .. }
            | Self::Slow { .. }
            | Self::Exchange { .. } => true,
        }
    }
}

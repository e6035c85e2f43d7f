//! The head of a message, as filters, routes and origins see it.
//!
//! Owns the one header type of the gateway: pseudo-headers as fields beside an `http::HeaderMap`.
//! Framing (`content-length`, `transfer-encoding`) is not a matter of the head: the codec removes
//! it on the way in and writes it on the way out.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;

/// The head of a request.
#[derive(Debug, Clone)]
pub struct RequestHead {
    /// The method; any token (RFC 9110 §9.1).
    pub method: Method,
    /// `http` or `https`: how the client spoke to us.
    pub scheme: HeaderValue,
    /// Host and optional port, normalised.
    pub authority: HeaderValue,
    /// Path and query, normalised; begins with `/`, or is `*` for OPTIONS.
    pub path: HeaderValue,
    /// All other fields; `host` is not among them.
    pub headers: HeaderMap,
}

impl Default for RequestHead {
    fn default() -> Self {
        Self {
            method: Method::GET,
            scheme: HeaderValue::from_static("http"),
            authority: HeaderValue::from_static(""),
            path: HeaderValue::from_static("/"),
            headers: HeaderMap::new(),
        }
    }
}

/// The head of a response.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The status.
    pub status: StatusCode,
    /// All fields.
    pub headers: HeaderMap,
}

/// The protocol version a peer spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no 1xx, connections close unless asked to stay.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// The name that access logs show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2.0",
        }
    }

    /// The name that filters read as `request.protocol`: Envoy's.
    pub const fn property(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

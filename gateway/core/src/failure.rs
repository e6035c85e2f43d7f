//! How an exchange ends badly, and what that means for client, log and retry.
//!
//! Owns the closed list of reasons and the one exhaustive match from reason to verdict. It has no
//! `_` arm: a new failure cannot be added without deciding its status, its name, who is to blame
//! and whether another attempt may help.

use http::StatusCode;

/// Why an exchange ended other than by a forwarded response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The request line or a header field is not HTTP (RFC 9112 §2–5).
    MalformedRequest,
    /// Content-Length is not one number (RFC 9112 §6.3).
    BadContentLength,
    /// Transfer-Encoding is malformed, repeated, or sent by an HTTP/1.0 client (RFC 9112 §6.1).
    BadTransferEncoding,
    /// A transfer coding other than `chunked` (RFC 9112 §6.1 asks for 501).
    UnsupportedTransferCoding,
    /// A chunk of the request body is malformed (RFC 9112 §7.1).
    BadChunk,
    /// No Host, two, or one that is not a host (RFC 9112 §3.2).
    BadHost,
    /// The request target cannot be normalised safely.
    BadPath,
    /// The request head is larger than the limit, or has too many fields.
    HeadersTooLarge,
    /// The request line alone is larger than the limit.
    UriTooLong,
    /// Not HTTP/1.0 or HTTP/1.1.
    UnsupportedVersion,
    /// The host belongs to another listener than the name that the connection's TLS was begun for,
    /// or TLS is asked of clients in another way by now (RFC 9110 §15.5.20).
    Misdirected,
    /// CONNECT, or a stream for a protocol that its rule does not allow (RFC 8441, RFC 9220 §3).
    UnsupportedUpgrade,
    /// A WebSocket where none is allowed.
    UpgradeRefused,
    /// An expectation other than `100-continue` (RFC 9110 §10.1.1).
    UnsupportedExpectation,
    /// The request head did not arrive in time.
    RequestHeaderTimeout,
    /// The request body stalled.
    RequestBodyTimeout,
    /// The client went away before its answer.
    ClientClosed,
    /// The client did not read its answer in time.
    ClientStalled,
    /// The request body is larger than a filter may hold back.
    RequestBufferOverflow,
    /// No listener rule wants this request.
    NoRoute,
    /// The rule that has the request leads to no backend: it names none, or one that does not exist.
    NoBackend,
    /// The backend has no endpoint.
    NoEndpoint,
    /// No endpoint accepted a connection.
    ConnectFailed,
    /// No endpoint accepted a connection in time.
    ConnectTimeout,
    /// The origin's certificate is past its dates, or before them.
    UpstreamTlsExpired,
    /// The origin's certificate has none of the names that are expected.
    UpstreamTlsName,
    /// Nobody who is believed has signed the origin's certificate.
    UpstreamTlsUntrusted,
    /// The origin's certificate is not made for servers, or is broken.
    UpstreamTlsCertificate,
    /// The origin speaks no TLS, or none that we do, or refuses ours.
    UpstreamTlsHandshake,
    /// The origin closed or reset before its response head was complete.
    UpstreamReset,
    /// The origin answered something that is not HTTP.
    UpstreamProtocol,
    /// The origin did not take the change of protocol that was asked of it, and its answer means
    /// nothing to the client.
    UpgradeFailed,
    /// The origin's response head is larger than the limit.
    UpstreamHeadersTooLarge,
    /// The origin did not answer, or stopped reading, in time.
    UpstreamTimeout,
    /// The origin cut its response body short.
    UpstreamBodyCut,
    /// The origin stopped sending in the middle of its response body.
    UpstreamBodyTimeout,
    /// The response body is larger than a filter may hold back.
    ResponseBufferOverflow,
    /// A filter trapped, looped or could not be started, and it fails closed.
    PluginFault,
    /// A filter that has an instance for each stream has none to spare, and it fails closed.
    PluginExhausted,
    /// A filter paused the stream and did not resume it in time.
    PluginPauseTimeout,
    /// A filter wrote a header that cannot be sent.
    InvalidHeader,
    /// A filter changed the length of a body whose length was announced already.
    BodyLengthChanged,
    /// A filter asked for the stream to be closed.
    PluginClosedStream,
    /// A plugin in the path is missing or refused, and it fails closed.
    PluginUnavailable,
    /// A filter's edits moved the request from rule to rule.
    RouteUnstable,
    /// The exchange took longer than its route allows.
    RequestTimeout,
    /// An attempt took longer than its route allows.
    BackendRequestTimeout,
    /// A connection that has changed its protocol was silent in both directions.
    TunnelIdle,
    /// The drain deadline passed.
    DrainDeadline,
    /// A connection that is passed on as bytes was silent in both directions for too long.
    IdleConnection,
    /// A connection did not begin with the PROXY protocol header that its listener requires.
    BadProxyHeader,
    /// The PROXY protocol header did not arrive in time.
    ProxyHeaderTimeout,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The client's.
    Downstream,
    /// The origin's.
    Upstream,
    /// A filter's.
    Plugin,
    /// Ours, or the operator's configuration.
    Gateway,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// The status the client gets if its response head is not on the way yet; always logged.
    pub status: StatusCode,
    /// The short name in access logs and metric labels.
    pub flag: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
    /// Whether another endpoint may do better.
    pub retryable: bool,
}

/// The client closed its connection: nginx's number, never sent, only logged.
const CLIENT_CLOSED_REQUEST: u16 = 499;

impl Failure {
    /// Status, name, blame and retryability of this failure.
    pub fn verdict(self) -> Verdict {
        use Blame::{Downstream, Gateway, Plugin, Upstream};
        let (status, flag, blame, retryable) = match self {
            Self::MalformedRequest => (400, "malformed_request", Downstream, false),
            Self::BadContentLength => (400, "bad_content_length", Downstream, false),
            Self::BadTransferEncoding => (400, "bad_transfer_encoding", Downstream, false),
            Self::UnsupportedTransferCoding => {
                (501, "unsupported_transfer_coding", Downstream, false)
            }
            Self::BadChunk => (400, "bad_chunk", Downstream, false),
            Self::BadHost => (400, "bad_host", Downstream, false),
            Self::BadPath => (400, "bad_path", Downstream, false),
            Self::HeadersTooLarge => (431, "request_headers_too_large", Downstream, false),
            Self::UriTooLong => (414, "uri_too_long", Downstream, false),
            Self::UnsupportedVersion => (505, "unsupported_version", Downstream, false),
            Self::Misdirected => (421, "misdirected", Downstream, false),
            Self::UnsupportedUpgrade => (501, "unsupported_upgrade", Downstream, false),
            Self::UpgradeRefused => (403, "upgrade_refused", Downstream, false),
            Self::UnsupportedExpectation => (417, "unsupported_expectation", Downstream, false),
            Self::RequestHeaderTimeout => (408, "request_header_timeout", Downstream, false),
            Self::RequestBodyTimeout => (408, "request_body_timeout", Downstream, false),
            Self::ClientClosed => (CLIENT_CLOSED_REQUEST, "client_closed", Downstream, false),
            Self::ClientStalled => (CLIENT_CLOSED_REQUEST, "client_stalled", Downstream, false),
            Self::RequestBufferOverflow => (413, "request_buffer_overflow", Downstream, false),
            Self::NoRoute => (404, "no_route", Gateway, false),
            Self::NoBackend => (500, "no_backend", Gateway, false),
            Self::NoEndpoint => (503, "no_endpoint", Gateway, false),
            Self::ConnectFailed => (503, "connect_failed", Upstream, true),
            Self::ConnectTimeout => (504, "connect_timeout", Upstream, true),
            Self::UpstreamTlsExpired => (502, "upstream_tls_expired", Upstream, true),
            Self::UpstreamTlsName => (502, "upstream_tls_name", Upstream, true),
            Self::UpstreamTlsUntrusted => (502, "upstream_tls_untrusted", Upstream, true),
            Self::UpstreamTlsCertificate => (502, "upstream_tls_certificate", Upstream, true),
            Self::UpstreamTlsHandshake => (502, "upstream_tls_handshake", Upstream, true),
            Self::UpstreamReset => (502, "upstream_reset", Upstream, true),
            Self::UpstreamProtocol => (502, "upstream_protocol_error", Upstream, false),
            Self::UpgradeFailed => (502, "upgrade_failed", Upstream, false),
            Self::UpstreamHeadersTooLarge => (502, "upstream_headers_too_large", Upstream, false),
            Self::UpstreamTimeout => (504, "upstream_timeout", Upstream, false),
            Self::UpstreamBodyCut => (502, "upstream_body_cut", Upstream, false),
            Self::UpstreamBodyTimeout => (504, "upstream_body_timeout", Upstream, false),
            Self::ResponseBufferOverflow => (500, "response_buffer_overflow", Upstream, false),
            Self::PluginFault => (503, "plugin_fault", Plugin, false),
            Self::PluginExhausted => (503, "plugin_exhausted", Plugin, false),
            Self::PluginPauseTimeout => (503, "plugin_pause_timeout", Plugin, false),
            Self::InvalidHeader => (503, "invalid_header", Plugin, false),
            Self::BodyLengthChanged => (500, "body_length_changed", Plugin, false),
            Self::PluginClosedStream => (503, "plugin_closed_stream", Plugin, false),
            Self::PluginUnavailable => (503, "plugin_unavailable", Plugin, false),
            Self::RouteUnstable => (500, "route_unstable", Plugin, false),
            Self::RequestTimeout => (504, "request_timeout", Upstream, false),
            Self::BackendRequestTimeout => (504, "backend_request_timeout", Upstream, false),
            Self::TunnelIdle => (504, "tunnel_idle", Gateway, false),
            Self::DrainDeadline => (503, "drain_deadline", Gateway, false),
            Self::IdleConnection => (408, "idle_connection", Gateway, false),
            Self::BadProxyHeader => (400, "bad_proxy_header", Downstream, false),
            Self::ProxyHeaderTimeout => (408, "proxy_header_timeout", Downstream, false),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Verdict {
            status,
            flag,
            blame,
            retryable,
        }
    }

    /// Whether TLS with an origin failed.
    pub fn is_of_origins_tls(self) -> bool {
        matches!(
            self,
            Self::UpstreamTlsExpired
                | Self::UpstreamTlsName
                | Self::UpstreamTlsUntrusted
                | Self::UpstreamTlsCertificate
                | Self::UpstreamTlsHandshake
        )
    }

    /// Whether the log is told more about it than its flag, by who found it.
    pub fn has_details(self) -> bool {
        self.is_of_plugin() || self.is_of_origins_tls() || self == Self::UpgradeFailed
    }

    /// Whether a filter is to blame.
    pub fn is_of_plugin(self) -> bool {
        self.verdict().blame == Blame::Plugin
    }

    /// Whether the client can still be told: it is there, and waits for an answer.
    pub fn is_answerable(self) -> bool {
        !matches!(
            self,
            Self::ClientClosed
                | Self::ClientStalled
                | Self::PluginClosedStream
                | Self::IdleConnection
                | Self::BadProxyHeader
                | Self::ProxyHeaderTimeout
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Failure;

    #[test]
    fn a_gone_client_is_logged_as_499_and_never_answered() {
        let verdict = Failure::ClientClosed.verdict();
        assert_eq!(
            (verdict.status.as_u16(), verdict.flag),
            (499, "client_closed")
        );
        assert!(!Failure::ClientClosed.is_answerable());
    }

    #[test]
    fn only_failures_before_an_answer_are_retryable() {
        assert!(Failure::ConnectFailed.verdict().retryable);
        assert!(Failure::UpstreamReset.verdict().retryable);
        assert!(!Failure::UpstreamProtocol.verdict().retryable);
        assert!(!Failure::UpstreamBodyCut.verdict().retryable);
    }
}

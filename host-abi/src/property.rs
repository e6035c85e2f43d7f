//! Attributes of a stream that a guest reads by path.
//!
//! Owns the names and how values are encoded. Values come from the embedder; the attributes of the
//! plugin itself (`plugin_name`, `plugin_root_id`, `plugin_vm_id`) this crate answers alone.
//!
//! Invariant: parsing allocates nothing; every path is a [`Property`], if only as
//! [`Property::Other`].

mod node;
mod parse;

pub use node::Node;

use crate::pairs;
use crate::stream::PropertyValue;

/// Declares the attributes that have a path of their own.
macro_rules! properties {
    ($($variant:ident = $path:literal,)+) => {
        /// An attribute as a guest names it.
        ///
        /// The legacy top-level names (`node`, `cluster_name`, `route_name`, …) are the same
        /// attributes as those under `xds`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Property<'a> {
            $(#[doc = concat!("`", $path, "`")] $variant,)+
            /// `request.headers` and a field name
            RequestHeader(&'a [u8]),
            /// `response.headers` and a field name
            ResponseHeader(&'a [u8]),
            /// `response.trailers` and a field name
            ResponseTrailer(&'a [u8]),
            /// A group alone, such as `request`, or an empty path
            Group,
            /// `xds.node` and the rest of the path, possibly empty
            Node(&'a [u8]),
            /// `metadata` and the rest of the path, possibly empty, NUL between segments
            Metadata(&'a [u8]),
            /// `filter_state` and the key
            FilterState(&'a [u8]),
            /// `upstream_filter_state` and the key
            UpstreamFilterState(&'a [u8]),
            /// Any other path, NUL between segments: also those set by `proxy_set_property`
            Other(&'a [u8]),
        }

        #[cfg(test)]
        const NAMED: &[(&str, Property<'static>)] = &[$(($path, Property::$variant),)+];

        impl Property<'_> {
            /// The attributes that have a path of their own, with dots between segments
            /// (Envoy's attributes page).
            pub const PATHS: &'static [&'static str] = &[$($path),+];
        }
    };
}

properties! {
    RequestPath = "request.path",
    RequestUrlPath = "request.url_path",
    RequestHost = "request.host",
    RequestScheme = "request.scheme",
    RequestMethod = "request.method",
    RequestHeaders = "request.headers",
    RequestReferer = "request.referer",
    RequestUserAgent = "request.useragent",
    RequestTime = "request.time",
    RequestId = "request.id",
    RequestProtocol = "request.protocol",
    RequestQuery = "request.query",
    RequestDuration = "request.duration",
    RequestSize = "request.size",
    RequestTotalSize = "request.total_size",
    RequestHeadersBytes = "request.headers_bytes",
    ResponseCode = "response.code",
    ResponseCodeDetails = "response.code_details",
    ResponseFlags = "response.flags",
    ResponseGrpcStatus = "response.grpc_status",
    ResponseHeaders = "response.headers",
    ResponseTrailers = "response.trailers",
    ResponseSize = "response.size",
    ResponseTotalSize = "response.total_size",
    ResponseHeadersBytes = "response.headers_bytes",
    ResponseBackendLatency = "response.backend_latency",
    SourceAddress = "source.address",
    SourcePort = "source.port",
    DestinationAddress = "destination.address",
    DestinationPort = "destination.port",
    ConnectionId = "connection.id",
    ConnectionMtls = "connection.mtls",
    ConnectionRequestedServerName = "connection.requested_server_name",
    ConnectionTlsVersion = "connection.tls_version",
    ConnectionSubjectLocalCertificate = "connection.subject_local_certificate",
    ConnectionSubjectPeerCertificate = "connection.subject_peer_certificate",
    ConnectionDnsSanLocalCertificate = "connection.dns_san_local_certificate",
    ConnectionDnsSanPeerCertificate = "connection.dns_san_peer_certificate",
    ConnectionUriSanLocalCertificate = "connection.uri_san_local_certificate",
    ConnectionUriSanPeerCertificate = "connection.uri_san_peer_certificate",
    ConnectionSha256PeerCertificateDigest = "connection.sha256_peer_certificate_digest",
    ConnectionPeerCertificate = "connection.peer_certificate",
    ConnectionTransportFailureReason = "connection.transport_failure_reason",
    ConnectionTerminationDetails = "connection.termination_details",
    UpstreamAddress = "upstream.address",
    UpstreamPort = "upstream.port",
    UpstreamLocalAddress = "upstream.local_address",
    UpstreamTlsVersion = "upstream.tls_version",
    UpstreamSubjectLocalCertificate = "upstream.subject_local_certificate",
    UpstreamSubjectPeerCertificate = "upstream.subject_peer_certificate",
    UpstreamDnsSanLocalCertificate = "upstream.dns_san_local_certificate",
    UpstreamDnsSanPeerCertificate = "upstream.dns_san_peer_certificate",
    UpstreamUriSanLocalCertificate = "upstream.uri_san_local_certificate",
    UpstreamUriSanPeerCertificate = "upstream.uri_san_peer_certificate",
    UpstreamSha256PeerCertificateDigest = "upstream.sha256_peer_certificate_digest",
    UpstreamTransportFailureReason = "upstream.transport_failure_reason",
    UpstreamRequestAttemptCount = "upstream.request_attempt_count",
    UpstreamCxPoolReadyDuration = "upstream.cx_pool_ready_duration",
    UpstreamLocality = "upstream.locality",
    UpstreamNumEndpoints = "upstream.num_endpoints",
    XdsClusterName = "xds.cluster_name",
    XdsClusterMetadata = "xds.cluster_metadata",
    XdsListenerDirection = "xds.listener_direction",
    XdsListenerMetadata = "xds.listener_metadata",
    XdsRouteName = "xds.route_name",
    XdsRouteMetadata = "xds.route_metadata",
    XdsVirtualHostName = "xds.virtual_host_name",
    XdsVirtualHostMetadata = "xds.virtual_host_metadata",
    XdsUpstreamHostMetadata = "xds.upstream_host_metadata",
    XdsUpstreamHostLocalityMetadata = "xds.upstream_host_locality_metadata",
    XdsFilterChainName = "xds.filter_chain_name",
    PluginName = "plugin_name",
    PluginRootId = "plugin_root_id",
    PluginVmId = "plugin_vm_id",
}

/// Appends the bytes a guest reads for `value` to `out`.
pub(crate) fn encode(value: &PropertyValue<'_>, out: &mut Vec<u8>) {
    match value {
        PropertyValue::Bytes(bytes) => out.extend_from_slice(bytes),
        PropertyValue::Int(number) | PropertyValue::Nanos(number) => {
            out.extend_from_slice(&number.to_le_bytes());
        }
        PropertyValue::Bool(truth) => out.push(u8::from(*truth)),
        PropertyValue::NoBytes => {}
        // Envoy writes the number of pairs also if it is 0.
        PropertyValue::Map(pairs) if pairs.is_empty() => out.extend_from_slice(&[0; 4]),
        PropertyValue::Map(pairs) => pairs::encode(out, &mut |visit| {
            for (name, value) in pairs {
                visit(name, value);
            }
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    #[test]
    fn every_named_path_is_found_with_and_without_a_last_nul() {
        for (path, expected) in NAMED {
            let wire = path.replace('.', "\0");
            assert_eq!(Property::parse(wire.as_bytes()), *expected, "{path}");
            assert_eq!(
                Property::parse(format!("{wire}\0").as_bytes()),
                *expected,
                "{path}"
            );
        }
    }

    #[test]
    fn legacy_names_are_the_same_attributes() {
        assert_eq!(Property::parse(b"cluster_name"), Property::XdsClusterName);
        assert_eq!(Property::parse(b"node"), Property::Node(b""));
        assert_eq!(Property::parse(b"xds\0node\0id"), Property::Node(b"id"));
        assert_eq!(Property::parse(b"node\0id"), Property::Node(b"id"));
        assert_eq!(Property::parse(b"connection_id"), Property::ConnectionId);
    }

    #[test]
    fn header_names_and_keys_are_the_rest_of_the_path() {
        assert_eq!(
            Property::parse(b"request\0headers\0x-a"),
            Property::RequestHeader(b"x-a")
        );
        assert_eq!(
            Property::parse(b"metadata\0filter_metadata\0ns"),
            Property::Metadata(b"filter_metadata\0ns")
        );
        assert_eq!(
            Property::parse(b"filter_state\0wasm.x"),
            Property::FilterState(b"wasm.x")
        );
        assert_eq!(
            Property::parse(b"request\0nothing"),
            Property::Other(b"request\0nothing")
        );
        assert_eq!(Property::parse(b"mine"), Property::Other(b"mine"));
        for group in [
            "",
            "request",
            "response",
            "connection",
            "upstream",
            "xds",
            "filter_state",
        ] {
            assert_eq!(
                Property::parse(group.as_bytes()),
                Property::Group,
                "{group}"
            );
        }
    }

    #[test]
    fn values_have_the_widths_that_sdks_read() {
        let bytes = |value: PropertyValue<'_>| {
            let mut out = Vec::new();
            encode(&value, &mut out);
            out
        };
        assert_eq!(bytes(PropertyValue::Bytes(Cow::Borrowed(b"GET"))), b"GET");
        assert_eq!(bytes(PropertyValue::Int(-2)), (-2_i64).to_le_bytes());
        assert_eq!(bytes(PropertyValue::Bool(true)), [1]);
        assert_eq!(bytes(PropertyValue::Nanos(7)), 7_i64.to_le_bytes());
        let map = vec![("a".into(), "b".into())];
        assert_eq!(
            bytes(PropertyValue::Map(map)),
            pairs::encode_list(&[("a", "b")])
        );
        assert_eq!(bytes(PropertyValue::Map(Vec::new())), [0; 4]);
    }
}

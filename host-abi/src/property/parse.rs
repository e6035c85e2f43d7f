//! From the bytes of a path to a [`Property`].
//!
//! Owns the spelling. A path is split at its first NUL only and then compared within its group, so
//! a look-up costs a handful of length checks and one comparison.

use super::Property;

impl<'a> Property<'a> {
    /// The attribute at a NUL-separated path; one NUL at its end is ignored.
    #[must_use]
    pub fn parse(path: &'a [u8]) -> Self {
        if path.is_empty() {
            return Self::Group;
        }
        let path = path.strip_suffix(b"\0").unwrap_or(path);
        let (group, rest) = split(path);
        match rest {
            None if is_group(group) => Some(Property::Group),
            None => top_level(group),
            Some(rest) => nested(group, rest),
        }
        .unwrap_or(Self::Other(path))
    }
}

/// The first segment and what is behind its NUL.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    match path.iter().position(|&byte| byte == 0) {
        Some(at) => {
            let (first, rest) = path.split_at(at);
            (first, rest.get(1..))
        }
        None => (path, None),
    }
}

fn top_level(name: &[u8]) -> Option<Property<'_>> {
    Some(match name {
        b"plugin_name" => Property::PluginName,
        b"plugin_root_id" => Property::PluginRootId,
        b"plugin_vm_id" => Property::PluginVmId,
        b"connection_id" => Property::ConnectionId,
        b"metadata" => Property::Metadata(b""),
        b"node" => Property::Node(b""),
        b"cluster_name"
        | b"cluster_metadata"
        | b"route_name"
        | b"route_metadata"
        | b"listener_direction"
        | b"listener_metadata"
        | b"upstream_host_metadata"
        | b"filter_chain_name" => return xds(name),
        _ => return None,
    })
}

fn nested<'a>(group: &[u8], rest: &'a [u8]) -> Option<Property<'a>> {
    match group {
        b"request" => request(rest).or_else(|| under(rest, b"headers", Property::RequestHeader)),
        b"response" => response(rest)
            .or_else(|| under(rest, b"headers", Property::ResponseHeader))
            .or_else(|| under(rest, b"trailers", Property::ResponseTrailer)),
        b"source" => source(rest),
        b"destination" => destination(rest),
        b"connection" => connection(rest),
        b"upstream" => upstream(rest),
        b"xds" => xds(rest).or_else(|| node(rest)),
        b"node" => Some(Property::Node(rest)),
        b"metadata" => Some(Property::Metadata(rest)),
        b"filter_state" => Some(Property::FilterState(rest)),
        b"upstream_filter_state" => Some(Property::UpstreamFilterState(rest)),
        _ => None,
    }
}

/// What is behind `map` and its NUL, as the property that `of` makes of it.
fn under<'a>(
    rest: &'a [u8],
    map: &[u8],
    of: impl FnOnce(&'a [u8]) -> Property<'a>,
) -> Option<Property<'a>> {
    let (name, key) = split(rest);
    if name != map {
        return None;
    }
    key.map(of)
}

fn request(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"path" => Property::RequestPath,
        b"url_path" => Property::RequestUrlPath,
        b"host" => Property::RequestHost,
        b"scheme" => Property::RequestScheme,
        b"method" => Property::RequestMethod,
        b"headers" => Property::RequestHeaders,
        b"referer" => Property::RequestReferer,
        b"useragent" => Property::RequestUserAgent,
        b"time" => Property::RequestTime,
        b"id" => Property::RequestId,
        b"protocol" => Property::RequestProtocol,
        b"query" => Property::RequestQuery,
        b"duration" => Property::RequestDuration,
        b"size" => Property::RequestSize,
        b"total_size" => Property::RequestTotalSize,
        b"headers_bytes" => Property::RequestHeadersBytes,
        _ => return None,
    })
}

fn response(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"code" => Property::ResponseCode,
        b"code_details" => Property::ResponseCodeDetails,
        b"flags" => Property::ResponseFlags,
        b"grpc_status" => Property::ResponseGrpcStatus,
        b"headers" => Property::ResponseHeaders,
        b"trailers" => Property::ResponseTrailers,
        b"size" => Property::ResponseSize,
        b"total_size" => Property::ResponseTotalSize,
        b"headers_bytes" => Property::ResponseHeadersBytes,
        b"backend_latency" => Property::ResponseBackendLatency,
        _ => return None,
    })
}

fn source(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"address" => Property::SourceAddress,
        b"port" => Property::SourcePort,
        _ => return None,
    })
}

fn destination(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"address" => Property::DestinationAddress,
        b"port" => Property::DestinationPort,
        _ => return None,
    })
}

fn connection(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"id" => Property::ConnectionId,
        b"mtls" => Property::ConnectionMtls,
        b"requested_server_name" => Property::ConnectionRequestedServerName,
        b"tls_version" => Property::ConnectionTlsVersion,
        b"subject_local_certificate" => Property::ConnectionSubjectLocalCertificate,
        b"subject_peer_certificate" => Property::ConnectionSubjectPeerCertificate,
        b"dns_san_local_certificate" => Property::ConnectionDnsSanLocalCertificate,
        b"dns_san_peer_certificate" => Property::ConnectionDnsSanPeerCertificate,
        b"uri_san_local_certificate" => Property::ConnectionUriSanLocalCertificate,
        b"uri_san_peer_certificate" => Property::ConnectionUriSanPeerCertificate,
        b"sha256_peer_certificate_digest" => Property::ConnectionSha256PeerCertificateDigest,
        b"peer_certificate" => Property::ConnectionPeerCertificate,
        b"transport_failure_reason" => Property::ConnectionTransportFailureReason,
        b"termination_details" => Property::ConnectionTerminationDetails,
        _ => return None,
    })
}

fn upstream(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"address" => Property::UpstreamAddress,
        b"port" => Property::UpstreamPort,
        b"local_address" => Property::UpstreamLocalAddress,
        b"tls_version" => Property::UpstreamTlsVersion,
        b"subject_local_certificate" => Property::UpstreamSubjectLocalCertificate,
        b"subject_peer_certificate" => Property::UpstreamSubjectPeerCertificate,
        b"dns_san_local_certificate" => Property::UpstreamDnsSanLocalCertificate,
        b"dns_san_peer_certificate" => Property::UpstreamDnsSanPeerCertificate,
        b"uri_san_local_certificate" => Property::UpstreamUriSanLocalCertificate,
        b"uri_san_peer_certificate" => Property::UpstreamUriSanPeerCertificate,
        b"sha256_peer_certificate_digest" => Property::UpstreamSha256PeerCertificateDigest,
        b"transport_failure_reason" => Property::UpstreamTransportFailureReason,
        b"request_attempt_count" => Property::UpstreamRequestAttemptCount,
        b"cx_pool_ready_duration" => Property::UpstreamCxPoolReadyDuration,
        b"locality" => Property::UpstreamLocality,
        b"num_endpoints" => Property::UpstreamNumEndpoints,
        _ => return None,
    })
}

/// A name that is only the first part of others.
fn is_group(name: &[u8]) -> bool {
    let groups: [&[u8]; 8] = [
        b"request",
        b"response",
        b"source",
        b"destination",
        b"connection",
        b"upstream",
        b"xds",
        b"filter_state",
    ];
    groups.contains(&name)
}

fn node(rest: &[u8]) -> Option<Property<'_>> {
    match split(rest) {
        (b"node", path) => Some(Property::Node(path.unwrap_or_default())),
        _ => None,
    }
}

fn xds(leaf: &[u8]) -> Option<Property<'static>> {
    Some(match leaf {
        b"cluster_name" => Property::XdsClusterName,
        b"cluster_metadata" => Property::XdsClusterMetadata,
        b"listener_direction" => Property::XdsListenerDirection,
        b"listener_metadata" => Property::XdsListenerMetadata,
        b"route_name" => Property::XdsRouteName,
        b"route_metadata" => Property::XdsRouteMetadata,
        b"virtual_host_name" => Property::XdsVirtualHostName,
        b"virtual_host_metadata" => Property::XdsVirtualHostMetadata,
        b"upstream_host_metadata" => Property::XdsUpstreamHostMetadata,
        b"upstream_host_locality_metadata" => Property::XdsUpstreamHostLocalityMetadata,
        b"filter_chain_name" => Property::XdsFilterChainName,
        _ => return None,
    })
}

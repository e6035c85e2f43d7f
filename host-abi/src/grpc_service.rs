//! Reads `envoy.config.core.v3.GrpcService`, by which a filter may name the service it calls.
//!
//! Owns the few fields that mean something here: the cluster name, the authority and the initial
//! metadata of `envoy_grpc`. Everything else is skipped, as protobuf readers do. The Google client
//! of Envoy is a program of its own and is not read: there is no backend in it.
//!
//! Invariant: any bytes at all give a service or nothing; nothing is read beyond them.

use crate::protobuf::{Fields, Value};

/// A service to call, borrowed from its message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct GrpcService<'a> {
    /// `envoy_grpc.cluster_name`
    pub(crate) cluster: &'a [u8],
    /// `envoy_grpc.authority`, empty if not given.
    pub(crate) authority: &'a [u8],
    /// `initial_metadata`
    pub(crate) metadata: Vec<(&'a [u8], &'a [u8])>,
}

/// Pairs of metadata that a service may bring.
const MAX_METADATA: usize = 64;

/// The service that `message` is, if it is one with an `envoy_grpc`.
pub(crate) fn parse(message: &[u8]) -> Option<GrpcService<'_>> {
    let mut service = GrpcService::default();
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Value::Bytes(envoy_grpc)) => {
                for field in Fields::of(envoy_grpc) {
                    match field.ok()? {
                        (1, Value::Bytes(name)) => service.cluster = name,
                        (2, Value::Bytes(authority)) => service.authority = authority,
                        _ => {}
                    }
                }
            }
            (5, Value::Bytes(pair)) if service.metadata.len() < MAX_METADATA => {
                service.metadata.push(header(pair)?);
            }
            _ => {}
        }
    }
    (!service.cluster.is_empty()).then_some(service)
}

/// A `HeaderValue`: key 1, value 2, raw value 3.
fn header(message: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut key, mut text): (&[u8], &[u8]) = (&[], &[]);
    for field in Fields::of(message) {
        match field.ok()? {
            (1, Value::Bytes(bytes)) => key = bytes,
            (2 | 3, Value::Bytes(bytes)) => text = bytes,
            _ => {}
        }
    }
    Some((key, text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cluster_authority_and_metadata_are_read_and_the_rest_is_skipped() {
        let message =
            b"\x0a\x0f\x0a\x03web\x12\x04host\x1a\x02\x08\x05\x2a\x06\x0a\x01k\x12\x01v\x18\x07";
        let service = parse(message).unwrap();
        assert_eq!(service.cluster, b"web");
        assert_eq!(service.authority, b"host");
        assert_eq!(service.metadata, [(&b"k"[..], &b"v"[..])]);
    }

    #[test]
    fn what_names_no_cluster_is_no_service() {
        for message in [
            &b""[..],
            b"web",
            b"\x0a",
            b"\x0a\x00",
            b"\x12\x03\x0a\x01x",
            b"\x0a\xff\xff\xff\xff\x0f",
            b"\0\0",
        ] {
            assert_eq!(parse(message), None, "{message:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_service_or_none(bytes: Vec<u8>) {
            parse(&bytes);
        }
    }
}

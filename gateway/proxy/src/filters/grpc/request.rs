//! The head of a gRPC request.
//!
//! Owns what is sent beside the filter's metadata, and what of that is not sent: fields that frame
//! a message are never a guest's.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::Version;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::HeaderName;
use http::header::TE;
use http::header::TRANSFER_ENCODING;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use tidegate_core::grpc;
use tidegate_core::hop_by_hop;
use tidegate_host_abi::GrpcKind;
use tidegate_host_abi::GrpcStart;

/// The head; an error says what cannot be sent.
pub(super) fn head(
    start: &GrpcStart,
    authority: &HeaderValue,
) -> Result<Request<()>, &'static str> {
    let authority = match &start.authority {
        Some(wanted) => wanted,
        None => authority.as_bytes(),
    };
    let authority = Authority::try_from(authority).map_err(|_| "the authority is no host")?;
    let path = [b"/", &start.service[..], b"/", &start.method[..]].concat();
    // A query or a fragment would make it another method.
    let is_plain = |byte: &u8| byte.is_ascii_graphic() && !b"?#".contains(byte);
    if !path.iter().all(is_plain) {
        return Err("service and method are no path");
    }
    let path = PathAndQuery::from_maybe_shared(Bytes::from(path));
    let uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path.map_err(|_| "service and method are no path")?)
        .build();
    let mut request = Request::new(());
    *request.uri_mut() = uri.map_err(|_| "service and method are no path")?;
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.headers_mut() = headers(start)?;
    Ok(request)
}

fn headers(start: &GrpcStart) -> Result<HeaderMap, &'static str> {
    let mut metadata = HeaderMap::new();
    for (name, value) in &start.metadata {
        if name.starts_with(b":") {
            continue; // They are arguments of their own.
        }
        let name = HeaderName::from_bytes(name).map_err(|_| "a name in the metadata is none")?;
        let value = HeaderValue::from_maybe_shared(value.clone())
            .map_err(|_| "a value in the metadata cannot be sent")?;
        metadata.append(name, value);
    }
    hop_by_hop::strip(&mut metadata);
    for ours in [CONTENT_LENGTH, HOST, TRANSFER_ENCODING] {
        metadata.remove(ours);
    }
    let mut headers = HeaderMap::with_capacity(metadata.len() + 3);
    headers.insert(TE, HeaderValue::from_static("trailers"));
    // Without a limit nothing is said: a limit of 0 would be over at once.
    if let GrpcKind::Call { timeout_ms, .. } = start.kind
        && timeout_ms > 0
    {
        metadata.remove(grpc::GRPC_TIMEOUT);
        headers.insert(grpc::GRPC_TIMEOUT, grpc::encode_timeout(timeout_ms));
    }
    if !grpc::is_grpc(&metadata) {
        metadata.remove(CONTENT_TYPE);
        headers.insert(CONTENT_TYPE, grpc::GRPC);
    }
    for (name, value) in &metadata {
        headers.append(name, value.clone());
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_host_abi::CalloutToken;

    fn start(metadata: &[(&'static str, &'static str)]) -> GrpcStart {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (
                Bytes::from_static(name.as_bytes()),
                Bytes::from_static(value.as_bytes()),
            )
        };
        GrpcStart {
            token: CalloutToken(5),
            backend: "web".to_owned(),
            authority: None,
            service: Bytes::from_static(b"a.B"),
            method: Bytes::from_static(b"C"),
            metadata: metadata.iter().map(pair).collect(),
            kind: GrpcKind::Call {
                message: Bytes::new(),
                timeout_ms: 250,
            },
        }
    }

    const HOST_NAME: HeaderValue = HeaderValue::from_static("web.test:50051");

    #[test]
    fn a_head_has_what_grpc_asks_for_and_the_filters_metadata() {
        let request = head(
            &start(&[
                ("X-One", "1"),
                ("te", "gzip"),
                ("connection", "x-two"),
                ("x-two", "2"),
                (":path", "/other"),
                ("content-type", "text/plain"),
                ("grpc-timeout", "9S"),
            ]),
            &HOST_NAME,
        )
        .unwrap();
        assert_eq!(request.uri(), "http://web.test:50051/a.B/C");
        let headers: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        assert_eq!(
            headers,
            [
                ("te", "trailers"),
                ("grpc-timeout", "250m"),
                ("content-type", "application/grpc"),
                ("x-one", "1")
            ]
        );
    }

    #[test]
    fn what_cannot_be_sent_is_an_error() {
        for metadata in [&[("a b", "1")], &[("", "1")], &[("x", "1\r\ny: 2")]] {
            assert!(head(&start(metadata), &HOST_NAME).is_err(), "{metadata:?}");
        }
        for method in ["a b", "\r\n", "\u{e9}", "a?b", "a#b"] {
            let mut start = start(&[]);
            start.method = Bytes::from_static(method.as_bytes());
            assert!(head(&start, &HOST_NAME).is_err(), "{method:?}");
        }
        let mut start = start(&[]);
        start.authority = Some(Bytes::from_static(b"a/b"));
        assert!(head(&start, &HOST_NAME).is_err());
    }
}

//! Heads between the `h2` crate's types and ours.
//!
//! Owns what the crate leaves to its user: limits, one authority from two fields (RFC 9113 §8.3.1),
//! cookies in one field (§8.2.3), and that nothing is sent which belongs to a connection (§8.2.2).
//! What is malformed beyond that it has refused before.

use bytes::Bytes;
use h2::ext::Protocol;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::Request;
use http::Uri;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::COOKIE;
use http::header::HOST;
use http::header::HeaderName;
use http::header::SEC_WEBSOCKET_KEY;
use http::header::TE;
use http::header::TRANSFER_ENCODING;
use http::header::UPGRADE;
use http::uri::Authority;
use http::uri::PathAndQuery;
use http::uri::Scheme;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;
use tidegate_core::message::Version;
use tidegate_core::path::escape;
use tidegate_core::upgrade;

use crate::http1::head::ParsedRequest;
use crate::http1::head::ParsedResponse;

/// What a field counts beside its name and value (RFC 9113 §6.5.2).
const FIELD_COST: usize = 32;

/// The size of fields as the setting for it counts.
fn list_size(headers: &HeaderMap) -> usize {
    let fields = headers.iter();
    let size =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + FIELD_COST;
    fields.map(size).sum()
}

/// Whether fields are within the limits on a head.
pub(super) fn fits(headers: &HeaderMap, limits: &SizeLimits) -> bool {
    headers.len() <= limits.head_fields && list_size(headers) <= limits.head_bytes
}

/// The size of fields without compression, for what was sent.
pub(super) fn size(headers: &HeaderMap) -> u64 {
    let fields = headers.iter();
    let sizes = fields.map(|(name, value)| name.as_str().len() + value.len());
    sizes.sum::<usize>() as u64
}

/// What is made of a client's request, and why it is refused if it is.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) parsed: ParsedRequest,
    pub(super) refused: Option<Failure>,
}

/// Takes a client's request.
pub(super) fn take_request(parts: http::request::Parts, limits: &SizeLimits) -> Taken {
    let http::request::Parts {
        mut method,
        uri,
        mut headers,
        mut extensions,
        ..
    } = parts;
    let protocol = extensions.remove::<Protocol>();
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    let refused = if !fits(&headers, limits) {
        Some(Failure::HeadersTooLarge)
    } else if path.len() > limits.head_bytes {
        Some(Failure::UriTooLong)
    } else {
        let taken = protocol.map_or(Ok(()), |protocol| {
            open_tunnel(&protocol, &mut method, &mut headers)
        });
        taken
            .and_then(|()| check(&method, path, uri.authority(), &mut headers))
            .err()
    };
    Taken {
        parsed: ParsedRequest {
            method,
            target: Bytes::copy_from_slice(path.as_bytes()),
            version: Version::Http2,
            headers,
        },
        refused,
    }
}

/// Makes of the opening of a tunnel what it is on a connection, as on Envoy: everybody sees one form
/// of it (RFC 8441 §5). Without a `:protocol`, these fields do not come from a stream.
fn open_tunnel(
    protocol: &Protocol,
    method: &mut Method,
    headers: &mut HeaderMap,
) -> Result<(), Failure> {
    let protocol = upgrade::of_stream(protocol.as_str().as_bytes())?;
    *method = Method::GET;
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
    Ok(())
}

fn check(
    method: &Method,
    path: &str,
    authority: Option<&Authority>,
    headers: &mut HeaderMap,
) -> Result<(), Failure> {
    // Only HTTP/1 has other forms of a target; CONNECT has none and is refused later.
    if *method != Method::CONNECT && !path.starts_with('/') && path != "*" {
        return Err(Failure::BadPath);
    }
    if let Some(authority) = authority.map(Authority::as_str) {
        let mut hosts = headers.get_all(HOST).iter();
        match (hosts.next(), hosts.next()) {
            (None, _) => {
                let host = HeaderValue::from_str(authority).map_err(|_| Failure::BadHost)?;
                headers.insert(HOST, host);
            }
            (Some(host), None) if host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()) => {}
            // Who goes by the one must not be told something else by the other.
            _ => return Err(Failure::BadHost),
        }
    }
    join_cookies(headers);
    Ok(())
}

/// Puts crumbs of cookies together, as everybody but HTTP/2 expects them (RFC 9113 §8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    if crumbs.next().is_none() || crumbs.next().is_none() {
        return;
    }
    let crumbs: Vec<_> = headers
        .get_all(COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    if let Ok(joined) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])) {
        headers.insert(COOKIE, joined);
    }
}

/// Takes an origin's response.
pub(super) fn take_response(
    parts: http::response::Parts,
    limits: &SizeLimits,
) -> Result<ParsedResponse, Failure> {
    if !fits(&parts.headers, limits) {
        return Err(Failure::UpstreamHeadersTooLarge);
    }
    Ok(ParsedResponse {
        version: Version::Http2,
        status: parts.status,
        headers: parts.headers,
    })
}

/// How an origin failed to answer.
pub(super) fn failure_of(err: &h2::Error) -> Failure {
    tracing::debug!(%err, "an origin did not answer on a stream");
    if err.is_library() {
        Failure::UpstreamProtocol
    } else {
        Failure::UpstreamReset
    }
}

/// A request as it is sent to an origin; `None` if it cannot be sent.
pub(crate) fn for_origin(
    head: &RequestHead,
    host: &[u8],
    length: BodyLength,
    wants_trailers: bool,
) -> Option<Request<()>> {
    let uri = Uri::builder()
        .scheme(Scheme::try_from(head.scheme.as_bytes()).ok()?)
        .authority(Authority::try_from(host).ok()?)
        .path_and_query(path_for_origin(head.path.as_bytes())?);
    let mut headers = without_connection(&head.headers);
    headers.remove(HOST);
    set_length(&mut headers, length);
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
    let mut request = Request::new(());
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = uri.build().ok()?;
    *request.version_mut() = http::Version::HTTP_2;
    *request.headers_mut() = headers;
    Some(request)
}

/// The opening of a tunnel on a stream to an origin (RFC 8441 §4); `None` if it cannot be sent.
pub(crate) fn for_tunnel(
    head: &RequestHead,
    host: &[u8],
    protocol: &HeaderValue,
) -> Option<Request<()>> {
    let protocol = Protocol::from(protocol.to_str().ok()?);
    let mut request = for_origin(head, host, BodyLength::Chunked, false)?;
    *request.method_mut() = Method::CONNECT;
    request.extensions_mut().insert(protocol);
    request.headers_mut().remove(SEC_WEBSOCKET_KEY);
    Some(request)
}

/// The path as HTTP/2 takes it. HTTP/1 passes some characters on that have no place in a URI: here they are
/// escaped.
fn path_for_origin(path: &[u8]) -> Option<PathAndQuery> {
    // What follows one would be cut off without a word.
    if !path.contains(&b'#')
        && let Ok(path) = PathAndQuery::try_from(path)
    {
        return Some(path);
    }
    PathAndQuery::try_from(escape(path)).ok()
}

/// The fields of a response as they are sent to a client. Those without a body (HEAD, 204, 304) keep
/// a `content-length` that is information only.
pub(crate) fn for_client(head: &ResponseHead, length: BodyLength, bodiless: bool) -> HeaderMap {
    let mut headers = without_connection(&head.headers);
    if !bodiless {
        set_length(&mut headers, length);
    }
    headers
}

/// The fields of an interim response.
pub(crate) fn interim(headers: &HeaderMap) -> HeaderMap {
    let mut headers = without_connection(headers);
    headers.remove(CONTENT_LENGTH);
    headers
}

/// What is announced is what is sent. A message without a body needs no length.
fn set_length(headers: &mut HeaderMap, length: BodyLength) {
    match length {
        BodyLength::Exactly(bytes) => {
            headers.insert(CONTENT_LENGTH, bytes.into());
        }
        BodyLength::Empty => {
            if let Some(given) = headers.get_mut(CONTENT_LENGTH) {
                *given = HeaderValue::from_static("0");
            }
        }
        BodyLength::Chunked | BodyLength::UntilClose => {
            headers.remove(CONTENT_LENGTH);
        }
    }
}

/// Fields without those that a stream has not (RFC 9113 §8.2.2): filters may have added some.
fn without_connection(headers: &HeaderMap) -> HeaderMap {
    const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
    const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
    let mut copy = headers.clone();
    for name in [
        CONNECTION,
        KEEP_ALIVE,
        PROXY_CONNECTION,
        TE,
        TRANSFER_ENCODING,
        UPGRADE,
    ] {
        copy.remove(name);
    }
    copy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str, fields: &[(&str, &str)]) -> Taken {
        let mut request = Request::builder().uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        take_request(parts, &SizeLimits::default())
    }

    #[test]
    fn authority_and_host_must_agree() {
        let alone = request("http://a.test:81/x?y", &[]);
        assert_eq!(alone.refused, None);
        assert_eq!(alone.parsed.headers["host"], "a.test:81");
        assert_eq!(&alone.parsed.target[..], b"/x?y");
        let same = request("http://A.test/", &[("host", "a.TEST")]);
        assert_eq!(same.refused, None);
        let host_alone = request("/", &[("host", "a.test")]);
        assert_eq!(host_alone.refused, None);
        for hosts in [&[("host", "b.test")][..], &[("host", "a.test"); 2]] {
            let other = request("http://a.test/", hosts);
            assert_eq!(other.refused, Some(Failure::BadHost));
        }
    }

    #[test]
    fn crumbs_of_cookies_become_one_field() {
        let joined = request("http://a/", &[("cookie", "a=1"), ("cookie", "b=2")]);
        let cookies: Vec<_> = joined.parsed.headers.get_all("cookie").iter().collect();
        assert_eq!(cookies, ["a=1; b=2"]);
    }

    #[test]
    fn heads_are_bounded_in_fields_and_bytes() {
        let many: Vec<_> = (0..101).map(|_| ("x", "y")).collect();
        assert_eq!(
            request("http://a/", &many).refused,
            Some(Failure::HeadersTooLarge)
        );
        let long = "y".repeat(64 * 1024);
        assert_eq!(
            request("http://a/", &[("x", &long)]).refused,
            Some(Failure::HeadersTooLarge)
        );
    }

    #[test]
    fn every_character_that_http1_passes_on_reaches_an_origin_of_http2() {
        for byte in 0x21..0x7f_u8 {
            let byte = char::from(byte);
            for path in [format!("/a{byte}b"), format!("/?a{byte}b")] {
                let sent = path_for_origin(path.as_bytes()).unwrap();
                let code = format!("%{:02X}", u32::from(byte));
                let decoded = sent.as_str().replacen(&code, &byte.to_string(), 1);
                assert_eq!(decoded, path, "{sent}");
                let is_escaped = sent.as_str() != path;
                assert_eq!(
                    is_escaped,
                    "<>#".contains(byte) || sent.as_str().contains(&code)
                );
            }
        }
        assert_eq!(path_for_origin(b"/a<`?\"#>").unwrap(), "/a%3C%60?%22%23%3E");
        assert_eq!(path_for_origin(b"/\n"), None);
    }

    #[test]
    fn what_belongs_to_a_connection_is_not_sent() {
        let mut head = RequestHead {
            authority: HeaderValue::from_static("a.test"),
            ..RequestHead::default()
        };
        for name in [
            "connection",
            "transfer-encoding",
            "upgrade",
            "te",
            "content-length",
        ] {
            head.headers.insert(name, HeaderValue::from_static("1"));
        }
        let sent = for_origin(&head, b"a.test", BodyLength::Chunked, true).unwrap();
        let fields: Vec<_> = sent.headers().iter().collect();
        assert_eq!(fields, [(&TE, &HeaderValue::from_static("trailers"))]);
        assert_eq!(sent.uri(), "http://a.test/");
    }
}

//! Parsing of message heads from a buffer.
//!
//! Owns the limits on heads and the strictness that `httparse` leaves to its caller: bare line
//! feeds are refused, fields are counted. A head is parsed once, when its last byte is there, so
//! that a slow sender costs one look at each byte.

use bytes::Buf as _;
use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::HeaderName;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;
use tidegate_core::message::Version;

/// What `httparse` fills without allocation; the limit on fields may be lower, never higher.
const MAX_FIELDS: usize = 256;

/// A request head as it came.
#[derive(Debug)]
pub(crate) struct ParsedRequest {
    pub(crate) method: Method,
    pub(crate) target: Bytes,
    pub(crate) version: Version,
    pub(crate) headers: HeaderMap,
}

/// A response head as it came.
#[derive(Debug)]
pub(crate) struct ParsedResponse {
    pub(crate) version: Version,
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// Finds the end of a head that arrives in pieces.
#[derive(Debug, Default)]
pub(crate) struct HeadScan {
    scanned: usize,
    line_start: usize,
    /// Where the first line ends, once that is known.
    first_line: Option<usize>,
}

/// What a look at the buffer found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scanned {
    /// The head is so many bytes long.
    Complete(usize),
    /// More bytes are needed.
    Partial,
    /// A line feed without a carriage return.
    BareLineFeed,
}

impl HeadScan {
    /// Looks at the bytes that came since the last look.
    pub(crate) fn advance(&mut self, buf: &[u8]) -> Scanned {
        while let Some(found) = buf
            .get(self.scanned..)
            .and_then(|rest| memchr::memchr(b'\n', rest))
        {
            let at = self.scanned + found;
            if at == 0 || buf.get(at - 1) != Some(&b'\r') {
                return Scanned::BareLineFeed;
            }
            let is_empty_line = at - 1 == self.line_start;
            self.scanned = at + 1;
            self.line_start = at + 1;
            self.first_line.get_or_insert(at + 1);
            if is_empty_line {
                return Scanned::Complete(at + 1);
            }
        }
        self.scanned = buf.len();
        Scanned::Partial
    }
}

/// Removes the empty lines that may stand before a request line (RFC 9112 §2.2).
pub(crate) fn skip_empty_lines(buf: &mut BytesMut) {
    while buf.starts_with(b"\r\n") {
        buf.advance(2);
    }
}

/// Takes a request head off the buffer, or nothing if it is not complete.
///
/// # Errors
///
/// The [`Failure`] to answer with; the connection cannot go on after it.
pub(crate) fn take_request(
    buf: &mut BytesMut,
    scan: &mut HeadScan,
    limits: &SizeLimits,
) -> Result<Option<ParsedRequest>, Failure> {
    let size = match scan.advance(buf) {
        Scanned::Complete(size) if size <= limits.head_bytes => size,
        Scanned::BareLineFeed => return Err(Failure::MalformedRequest),
        // TLS to a plain port, and other garbage, need not wait for the time limit.
        Scanned::Partial if !buf.first().is_none_or(|byte| is_token_start(*byte)) => {
            return Err(Failure::MalformedRequest);
        }
        Scanned::Partial if buf.len() < limits.head_bytes => return Ok(None),
        Scanned::Complete(_) | Scanned::Partial => {
            let line_fits = scan.first_line.is_some_and(|end| end <= limits.head_bytes);
            return Err(if line_fits {
                Failure::HeadersTooLarge
            } else {
                Failure::UriTooLong
            });
        }
    };
    *scan = HeadScan::default();
    let head = buf.split_to(size).freeze();
    parse_request(&head, limits).map(Some)
}

/// Whether a request line may begin so: with a method, or with the empty line that may precede it.
fn is_token_start(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~\r".contains(&byte)
}

fn parse_request(head: &Bytes, limits: &SizeLimits) -> Result<ParsedRequest, Failure> {
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_request_with_uninit_headers(&mut request, head, &mut fields)
        .map_err(|err| match err {
            httparse::Error::TooManyHeaders => Failure::HeadersTooLarge,
            httparse::Error::Version => Failure::UnsupportedVersion,
            _ => Failure::MalformedRequest,
        })?;
    if parsed.is_partial() {
        return Err(Failure::MalformedRequest);
    }
    let method = request.method.unwrap_or_default();
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| Failure::MalformedRequest)?;
    let target = head.slice_ref(request.path.unwrap_or_default().as_bytes());
    let version = version(request.version);
    if request.headers.len() > limits.head_fields {
        return Err(Failure::HeadersTooLarge);
    }
    let headers = header_map(head, request.headers).ok_or(Failure::MalformedRequest)?;
    Ok(ParsedRequest {
        method,
        target,
        version,
        headers,
    })
}

/// Takes a response head off the buffer, or nothing if it is not complete.
///
/// # Errors
///
/// What is wrong with the origin's answer.
pub(crate) fn take_response(
    buf: &mut BytesMut,
    scan: &mut HeadScan,
    limits: &SizeLimits,
) -> Result<Option<ParsedResponse>, Failure> {
    let size = match scan.advance(buf) {
        Scanned::Complete(size) if size <= limits.head_bytes => size,
        Scanned::Complete(_) => return Err(Failure::UpstreamHeadersTooLarge),
        Scanned::BareLineFeed => return Err(Failure::UpstreamProtocol),
        Scanned::Partial if buf.len() < limits.head_bytes => {
            // Garbage without a line end must not wait for the time limit.
            return if b"HTTP/1.".starts_with(buf.get(..7.min(buf.len())).unwrap_or_default()) {
                Ok(None)
            } else {
                Err(Failure::UpstreamProtocol)
            };
        }
        Scanned::Partial => return Err(Failure::UpstreamHeadersTooLarge),
    };
    *scan = HeadScan::default();
    let head = buf.split_to(size).freeze();
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut response, &head, &mut fields)
        .map_err(|err| match err {
            httparse::Error::TooManyHeaders => Failure::UpstreamHeadersTooLarge,
            _ => Failure::UpstreamProtocol,
        })?;
    if parsed.is_partial() {
        return Err(Failure::UpstreamProtocol);
    }
    if response.headers.len() > limits.head_fields {
        return Err(Failure::UpstreamHeadersTooLarge);
    }
    let status = response
        .code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .filter(|status| status.as_u16() < 1000)
        .ok_or(Failure::UpstreamProtocol)?;
    let headers = header_map(&head, response.headers).ok_or(Failure::UpstreamProtocol)?;
    Ok(Some(ParsedResponse {
        version: version(response.version),
        status,
        headers,
    }))
}

/// Parses a trailer section, its empty last line included.
pub(crate) fn parse_trailers(section: &Bytes, limits: &SizeLimits) -> Option<HeaderMap> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(section, &mut fields) {
        Ok(httparse::Status::Complete((_, fields))) if fields.len() <= limits.head_fields => {
            header_map(section, fields)
        }
        _ => None,
    }
}

fn version(minor: Option<u8>) -> Version {
    if minor == Some(0) {
        Version::Http10
    } else {
        Version::Http11
    }
}

/// Fields as a map whose values share the head's bytes.
fn header_map(head: &Bytes, fields: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut map = HeaderMap::with_capacity(fields.len() + SPARE_FIELDS);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        let value = if field.value.is_empty() {
            HeaderValue::from_static("")
        } else {
            HeaderValue::from_maybe_shared(head.slice_ref(field.value)).ok()?
        };
        map.append(name, value);
    }
    Some(map)
}

/// Room for what the gateway adds, so that the map does not grow again.
const SPARE_FIELDS: usize = 6;

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::collection;
    use proptest::prelude::any;
    use proptest::prelude::proptest;
    use tidegate_core::defaults::SizeLimits;
    use tidegate_core::failure::Failure;

    use super::HeadScan;
    use super::ParsedRequest;
    use super::take_request;
    use super::take_response;

    fn request(text: &str) -> Result<Option<ParsedRequest>, Failure> {
        let mut buf = BytesMut::from(text);
        take_request(&mut buf, &mut HeadScan::default(), &SizeLimits::default())
    }

    #[track_caller]
    fn refused(text: &str, expected: Failure) {
        assert_eq!(request(text).map(|_| ()), Err(expected), "{text:?}");
    }

    #[test]
    fn a_head_may_arrive_byte_by_byte() {
        let text = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut buf = BytesMut::new();
        let mut scan = HeadScan::default();
        for (at, byte) in text.iter().enumerate() {
            buf.extend_from_slice(&[*byte]);
            let got = take_request(&mut buf, &mut scan, &SizeLimits::default()).expect("valid");
            assert_eq!(got.is_some(), at + 1 == text.len());
        }
        assert!(buf.is_empty());
    }

    #[test]
    fn what_parsers_disagree_about_is_malformed() {
        refused("GET / HTTP/1.1\nHost: x\n\n", Failure::MalformedRequest);
        refused(
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            Failure::MalformedRequest,
        );
        refused(
            "GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
            Failure::MalformedRequest,
        );
        refused(
            "GET / HTTP/1.1\r\nHost: x\0y\r\n\r\n",
            Failure::MalformedRequest,
        );
        refused("GET  / HTTP/1.1\r\n\r\n", Failure::MalformedRequest);
        refused("GET / HTTP/1.1\r\n: x\r\n\r\n", Failure::MalformedRequest);
        refused("GET / HTTP/2.0\r\n\r\n", Failure::UnsupportedVersion);
        refused(
            "\x16\x03\x01\x02\x00\x01\r\n\r\n",
            Failure::MalformedRequest,
        );
    }

    #[test]
    fn a_tls_client_hello_is_refused_at_its_first_byte() {
        refused("\x16\x03\x01\x02", Failure::MalformedRequest);
    }

    #[test]
    fn heads_are_bounded_in_bytes_and_fields() {
        let line = format!("GET /{} HTTP/1.1\r\n", "a".repeat(70_000));
        refused(&line, Failure::UriTooLong);
        let long = format!("GET / HTTP/1.1\r\nx: {}", "a".repeat(70_000));
        refused(&long, Failure::HeadersTooLarge);
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(101));
        refused(&many, Failure::HeadersTooLarge);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_parser_panic(
            bytes in collection::vec(any::<u8>(), 0..300), end in any::<bool>(),
        ) {
            let mut bytes = bytes;
            if end {
                bytes.extend_from_slice(b"\r\n\r\n");
            }
            let limits = SizeLimits::default();
            take_request(&mut BytesMut::from(&bytes[..]), &mut HeadScan::default(), &limits).ok();
            let status = [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat();
            take_response(&mut BytesMut::from(&status[..]), &mut HeadScan::default(), &limits).ok();
        }

        #[test]
        fn a_head_means_the_same_in_whatever_pieces_it_comes(
            fields in collection::vec(("[a-z-]{1,8}", "[ -~]{0,12}"), 0..8), piece in 1usize..40,
        ) {
            let mut text = String::from("GET /a HTTP/1.1\r\n");
            for (name, value) in &fields {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            text.push_str("\r\n");
            let whole = request(&text).map(|parsed| parsed.map(|parsed| parsed.headers));
            let mut buf = BytesMut::new();
            let mut scan = HeadScan::default();
            let mut pieces = Ok(None);
            for part in text.as_bytes().chunks(piece) {
                buf.extend_from_slice(part);
                pieces = take_request(&mut buf, &mut scan, &SizeLimits::default());
            }
            assert_eq!(whole, pieces.map(|parsed| parsed.map(|parsed| parsed.headers)));
        }
    }

    #[test]
    fn garbage_from_an_origin_is_refused_at_its_first_bytes() {
        let mut buf = BytesMut::from("SSH-2.0-OpenSSH");
        let got = take_response(&mut buf, &mut HeadScan::default(), &SizeLimits::default());
        assert_eq!(got.map(|_| ()), Err(Failure::UpstreamProtocol));
    }
}

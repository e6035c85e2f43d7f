//! Messages as bytes.
//!
//! Owns how heads and bodies are written, framing fields included: `content-length`,
//! `transfer-encoding`, `connection` and `te` on the wire come from here and nowhere else, so that
//! what we announce is what we send.

use bytes::Bytes;
use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::header::HOST;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;

/// Writes the head of a request.
pub(crate) fn request_head(
    out: &mut Vec<u8>,
    head: &RequestHead,
    host: &[u8],
    length: BodyLength,
    wants_trailers: bool,
) {
    out.reserve(HEAD_GUESS);
    put(
        out,
        &[
            head.method.as_str().as_bytes(),
            b" ",
            head.path.as_bytes(),
            b" HTTP/1.1\r\n",
        ],
    );
    put(out, &[b"host: ", host, b"\r\n"]);
    fields(out, &head.headers, |name| {
        *name != CONTENT_LENGTH && *name != HOST
    });
    match length {
        BodyLength::Empty if sends_zero_length(&head.method, &head.headers) => {
            out.extend_from_slice(b"content-length: 0\r\n");
        }
        BodyLength::Empty | BodyLength::UntilClose => {}
        BodyLength::Exactly(bytes) => content_length(out, bytes),
        BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    if wants_trailers {
        out.extend_from_slice(b"te: trailers\r\nconnection: te\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// Methods that normally have a body say so when they have none (RFC 9110 §8.6).
fn sends_zero_length(method: &Method, headers: &HeaderMap) -> bool {
    headers.contains_key(CONTENT_LENGTH)
        || matches!(*method, Method::POST | Method::PUT | Method::PATCH)
}

/// What happens to the connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It stays open.
    KeepAlive,
    /// It stays open, and an HTTP/1.0 client must be told so.
    KeepAliveTold,
    /// It closes.
    Close,
    /// Another protocol goes on with it; the head says which.
    Upgraded,
}

/// Writes the head of a response. `bodiless` responses (HEAD, 204, 304) keep a `content-length`
/// that is information only.
pub(crate) fn response_head(
    out: &mut Vec<u8>,
    head: &ResponseHead,
    length: BodyLength,
    bodiless: bool,
    after: After,
) {
    out.reserve(HEAD_GUESS);
    status_line(out, head.status);
    if bodiless {
        fields(out, &head.headers, |_| true);
    } else {
        fields(out, &head.headers, |name| *name != CONTENT_LENGTH);
        match length {
            BodyLength::Empty => out.extend_from_slice(b"content-length: 0\r\n"),
            BodyLength::Exactly(bytes) => content_length(out, bytes),
            BodyLength::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            BodyLength::UntilClose => {}
        }
    }
    match after {
        After::KeepAlive | After::Upgraded => {}
        After::KeepAliveTold => out.extend_from_slice(b"connection: keep-alive\r\n"),
        After::Close => out.extend_from_slice(b"connection: close\r\n"),
    }
    out.extend_from_slice(b"\r\n");
}

/// Writes an interim response (RFC 9110 §15.2).
pub(crate) fn interim_response(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    status_line(out, status);
    fields(out, headers, |name| *name != CONTENT_LENGTH);
    out.extend_from_slice(b"\r\n");
}

fn status_line(out: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or("");
    put(
        out,
        &[
            b"HTTP/1.1 ",
            status.as_str().as_bytes(),
            b" ",
            reason.as_bytes(),
            b"\r\n",
        ],
    );
}

fn fields(out: &mut Vec<u8>, headers: &HeaderMap, wanted: impl Fn(&http::HeaderName) -> bool) {
    for (name, value) in headers {
        if wanted(name) {
            put(
                out,
                &[name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"],
            );
        }
    }
}

fn put(out: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

fn content_length(out: &mut Vec<u8>, bytes: u64) {
    out.extend_from_slice(b"content-length: ");
    decimal(out, bytes);
    out.extend_from_slice(b"\r\n");
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + u8::try_from(number % 10).unwrap_or(0));
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}

/// Most heads fit without growing.
const HEAD_GUESS: usize = 1024;

/// Frames a body on its way out.
#[derive(Debug)]
pub(crate) struct BodyEncoder {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Exactly(u64),
    Chunked,
    UntilClose,
}

/// The body is longer or shorter than its announced length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LengthBroken;

impl BodyEncoder {
    pub(crate) fn new(length: BodyLength) -> Self {
        let kind = match length {
            BodyLength::Empty => Kind::Exactly(0),
            BodyLength::Exactly(bytes) => Kind::Exactly(bytes),
            BodyLength::Chunked => Kind::Chunked,
            BodyLength::UntilClose => Kind::UntilClose,
        };
        Self { kind }
    }

    /// Counts data that frames itself.
    pub(crate) fn count(&mut self, bytes: usize) -> Result<(), LengthBroken> {
        if let Kind::Exactly(left) = &mut self.kind {
            *left = left.checked_sub(bytes as u64).ok_or(LengthBroken)?;
        }
        Ok(())
    }

    /// Whether nothing stands between the bytes of the body.
    pub(crate) fn is_bare(&self) -> bool {
        !matches!(self.kind, Kind::Chunked)
    }

    /// Whether a body that frames itself may end here.
    pub(crate) fn check_end(&self) -> Result<(), LengthBroken> {
        match self.kind {
            Kind::Exactly(1..) => Err(LengthBroken),
            _ => Ok(()),
        }
    }

    /// What must be written before this data.
    pub(crate) fn before(&mut self, out: &mut Vec<u8>, data: &Bytes) -> Result<(), LengthBroken> {
        match self.kind {
            Kind::Exactly(_) => self.count(data.len()),
            Kind::Chunked => {
                hexadecimal(out, data.len());
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
            Kind::UntilClose => Ok(()),
        }
    }

    /// What must be written after this data.
    pub(crate) fn after(&self, out: &mut Vec<u8>) {
        if matches!(self.kind, Kind::Chunked) {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// What ends the body. Trailers are written only where the framing has room for them.
    pub(crate) fn end(
        &mut self,
        out: &mut Vec<u8>,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), LengthBroken> {
        match self.kind {
            Kind::Exactly(0) | Kind::UntilClose => Ok(()),
            Kind::Exactly(_) => Err(LengthBroken),
            Kind::Chunked => {
                out.extend_from_slice(b"0\r\n");
                if let Some(trailers) = trailers {
                    fields(out, trailers, tidegate_core::hop_by_hop::may_be_trailer);
                }
                out.extend_from_slice(b"\r\n");
                Ok(())
            }
        }
    }
}

fn hexadecimal(out: &mut Vec<u8>, number: usize) {
    let digits = (usize::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        let nibble = u8::try_from(number >> (at * 4) & 0xf).unwrap_or(0);
        out.push(if nibble < 10 {
            b'0' + nibble
        } else {
            b'a' + nibble - 10
        });
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tidegate_core::framing::BodyLength;

    use super::BodyEncoder;
    use super::LengthBroken;
    use super::decimal;
    use super::hexadecimal;

    #[test]
    fn numbers_are_written_in_full() {
        for (number, dec, hex) in [
            (0, "0", "0"),
            (15, "15", "f"),
            (16, "16", "10"),
            (4096, "4096", "1000"),
        ] {
            let mut out = Vec::new();
            decimal(&mut out, number as u64);
            assert_eq!(out, dec.as_bytes());
            out.clear();
            hexadecimal(&mut out, number);
            assert_eq!(out, hex.as_bytes());
        }
    }

    #[test]
    fn a_body_may_not_differ_from_its_announced_length() {
        let data = Bytes::from_static(b"abc");
        let mut out = Vec::new();
        let mut encoder = BodyEncoder::new(BodyLength::Exactly(2));
        assert_eq!(encoder.before(&mut out, &data), Err(LengthBroken));
        let mut encoder = BodyEncoder::new(BodyLength::Exactly(4));
        assert_eq!(encoder.before(&mut out, &data), Ok(()));
        assert_eq!(encoder.end(&mut out, None), Err(LengthBroken));
    }
}

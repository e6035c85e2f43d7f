//! Where a body ends: the rules of RFC 9112 §6 and RFC 9113 §8.1, strictly.
//!
//! Owns the decision from header fields to body length for both directions, and the removal of the
//! fields it was taken from. What is ambiguous is refused here, so that no two parsers can ever
//! disagree about where our messages end.

use http::HeaderMap;
use http::Method;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use http::header::TRANSFER_ENCODING;

use crate::failure::Failure;
use crate::message::Version;

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    Empty,
    /// So many bytes.
    Exactly(u64),
    /// Chunks until the last one.
    Chunked,
    /// Until the connection closes (responses only).
    UntilClose,
}

/// What the framing of a received message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// How long the body is.
    pub length: BodyLength,
    /// The message was sent in a way that an intermediary before us may have read differently:
    /// the connection must not be used again.
    pub must_close: bool,
}

/// The framing of a request. `transfer-encoding` is removed from `headers`; `content-length` stays
/// as one number, because filters read it, and is written anew by the encoder.
///
/// # Errors
///
/// A [`Failure`] for anything ambiguous: differing lengths, codings other than `chunked` alone.
/// Both fields together go on by Transfer-Encoding and close afterwards (RFC 9112 §6.3, item 3).
pub fn request_framing(headers: &mut HeaderMap, version: Version) -> Result<Framing, Failure> {
    let none = Framing {
        length: BodyLength::Empty,
        must_close: false,
    };
    Ok(by_fields(headers, version)?.unwrap_or(none))
}

/// The framing of a request on a stream, which says itself where its body ends; `ended` if that was
/// with its head. A `content-length` is information that must agree (RFC 9113 §8.1.1).
///
/// # Errors
///
/// [`Failure::BadContentLength`] or [`Failure::BadTransferEncoding`].
pub fn request_stream(headers: &mut HeaderMap, ended: bool) -> Result<Framing, Failure> {
    let framed = by_fields(headers, Version::Http2)?;
    let length = match framed.map(|framing| framing.length) {
        Some(BodyLength::Exactly(_)) if ended => return Err(Failure::BadContentLength),
        _ if ended => BodyLength::Empty,
        Some(BodyLength::Exactly(bytes)) => BodyLength::Exactly(bytes),
        // Its end is still to come.
        _ => BodyLength::Chunked,
    };
    Ok(Framing {
        length,
        must_close: false,
    })
}

/// The framing of a response on a stream, as [`request_stream`]. A HEAD or 304 answer keeps its
/// length as information.
///
/// # Errors
///
/// [`Failure::UpstreamProtocol`] for lengths that do not agree.
pub fn response_stream(
    headers: &mut HeaderMap,
    method: &Method,
    status: StatusCode,
    ended: bool,
) -> Result<Framing, Failure> {
    if is_bodiless(method, status) {
        return response_framing(headers, Version::Http2, method, status);
    }
    request_stream(headers, ended).map_err(|_| Failure::UpstreamProtocol)
}

/// Whether a response to `method` with `status` never has a body (RFC 9112 §6.3, item 1).
pub fn is_bodiless(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || status.is_informational()
        || status == StatusCode::NO_CONTENT
        || status == StatusCode::NOT_MODIFIED
}

/// The framing of a response. Fields are left as [`request_framing`] leaves them; a HEAD or 304
/// answer keeps its length as information.
///
/// # Errors
///
/// [`Failure::UpstreamProtocol`] for anything ambiguous.
pub fn response_framing(
    headers: &mut HeaderMap,
    version: Version,
    method: &Method,
    status: StatusCode,
) -> Result<Framing, Failure> {
    if is_bodiless(method, status) {
        headers.remove(TRANSFER_ENCODING);
        if status == StatusCode::NO_CONTENT || status.is_informational() {
            headers.remove(CONTENT_LENGTH);
        } else {
            keep_one_length(headers).map_err(|_| Failure::UpstreamProtocol)?;
        }
        return Ok(Framing {
            length: BodyLength::Empty,
            must_close: false,
        });
    }
    let until_close = Framing {
        length: BodyLength::UntilClose,
        must_close: true,
    };
    match by_fields(headers, version) {
        Ok(framing) => Ok(framing.unwrap_or(until_close)),
        Err(_) => Err(Failure::UpstreamProtocol),
    }
}

/// The framing that the fields announce, in the terms of a request; `None` if they say nothing.
fn by_fields(headers: &mut HeaderMap, version: Version) -> Result<Option<Framing>, Failure> {
    if headers.contains_key(TRANSFER_ENCODING) {
        if version != Version::Http11 {
            return Err(Failure::BadTransferEncoding);
        }
        match coding(headers) {
            Coding::Chunked => {}
            Coding::Other => return Err(Failure::UnsupportedTransferCoding),
            Coding::Malformed => return Err(Failure::BadTransferEncoding),
        }
        headers.remove(TRANSFER_ENCODING);
        let has_length = headers.remove(CONTENT_LENGTH).is_some();
        return Ok(Some(Framing {
            length: BodyLength::Chunked,
            must_close: has_length,
        }));
    }
    let length = keep_one_length(headers).map_err(|_| Failure::BadContentLength)?;
    Ok(length.map(|bytes| Framing {
        length: match bytes {
            0 => BodyLength::Empty,
            bytes => BodyLength::Exactly(bytes),
        },
        must_close: false,
    }))
}

/// The lengths are no numbers, or do not agree.
struct BadLength;

/// Folds repeated equal lengths into one field and returns it, if there is one.
fn keep_one_length(headers: &mut HeaderMap) -> Result<Option<u64>, BadLength> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    if let (None, Some(bytes)) = (values.next(), parse_decimal(first.as_bytes())) {
        return Ok(Some(bytes)); // The usual case.
    }
    let bytes = content_length(headers).ok_or(BadLength)?;
    headers.insert(CONTENT_LENGTH, bytes.into());
    Ok(Some(bytes))
}

enum Coding {
    Chunked,
    Other,
    Malformed,
}

/// Reads the list of transfer codings. Only `chunked`, once and alone, is understood.
fn coding(headers: &HeaderMap) -> Coding {
    let mut chunked = 0;
    let mut other = 0;
    for value in headers.get_all(TRANSFER_ENCODING) {
        for coding in value.as_bytes().split(|byte| *byte == b',') {
            let coding = coding.trim_ascii();
            if coding.eq_ignore_ascii_case(b"chunked") {
                chunked += 1;
            } else if !coding.is_empty() && coding.iter().all(u8::is_ascii_graphic) {
                other += 1;
            } else {
                return Coding::Malformed;
            }
        }
    }
    match (chunked, other) {
        (1, 0) => Coding::Chunked,
        (_, 0) => Coding::Malformed,
        _ => Coding::Other,
    }
}

/// The one number all Content-Length values agree on, digits only (RFC 9110 §8.6).
fn content_length(headers: &HeaderMap) -> Option<u64> {
    let mut agreed = None;
    for value in headers.get_all(CONTENT_LENGTH) {
        for number in value.as_bytes().split(|byte| *byte == b',') {
            let number = parse_decimal(number.trim_ascii())?;
            if agreed.is_some_and(|agreed| agreed != number) {
                return None;
            }
            agreed = Some(number);
        }
    }
    agreed
}

/// A decimal number without sign, space or overflow.
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, digit| {
        if !digit.is_ascii_digit() {
            return None;
        }
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests;

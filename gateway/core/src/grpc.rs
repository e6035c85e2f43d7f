//! What gRPC adds to HTTP: statuses, the content type, messages in frames.
//!
//! Owns the numbers and texts, and how a response that is no gRPC counts as one. Sending and
//! receiving are the proxy's. Where gRPC's own documents leave room, this does as Envoy does,
//! because filters written for it see the result.

use std::fmt::Write as _;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;
use http::header::CONTENT_TYPE;

mod frames;

pub use frames::FrameError;
pub use frames::Frames;
pub use frames::HEAD_BYTES;
pub use frames::frame_head;

/// `grpc-status`
pub const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// `grpc-message`
pub const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// `grpc-timeout`
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
/// `application/grpc`
pub const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// The outcome of a call (gRPC: status codes).
pub type Status = u32;

/// It went well.
pub const OK: Status = 0;
/// Nobody knows: there is no status at all.
pub const UNKNOWN: Status = 2;
/// A limit was reached.
pub const RESOURCE_EXHAUSTED: Status = 8;
/// One of the two sides broke the protocol.
pub const INTERNAL: Status = 13;
/// The service could not be reached, or not in time.
pub const UNAVAILABLE: Status = 14;
/// A status that is no number; what Envoy tells filters then.
pub const INVALID: Status = u32::MAX;

/// The largest status there is.
const LARGEST: Status = 16;

/// Bytes of a `grpc-message` that is made here.
const MAX_MESSAGE: usize = 4096;

/// Whether a message is gRPC by its content type. `application/grpc-web` is another protocol.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(CONTENT_TYPE) else {
        return false;
    };
    match content_type.as_bytes().strip_prefix(b"application/grpc") {
        Some(rest) => rest.is_empty() || rest.first() == Some(&b'+'),
        None => false,
    }
}

/// The status that a response without one counts as (gRPC: HTTP to gRPC status code mapping).
pub fn status_of_http(status: StatusCode) -> Status {
    match status.as_u16() {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The HTTP status that is nearest to one of gRPC (google.rpc.Code), for clients that speak no gRPC.
pub fn http_of(status: Status) -> StatusCode {
    let code = match status {
        0 => 200,
        1 => 499,
        3 | 9 | 11 => 400,
        4 => 504,
        5 => 404,
        6 | 10 => 409,
        7 => 403,
        8 => 429,
        12 => 501,
        14 => 503,
        16 => 401,
        _ => 500,
    };
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The status that trailers, or the head of a response without a body, tell. `None` if they tell
/// none.
pub fn status_of(trailers: &HeaderMap) -> Option<Status> {
    let text = trailers.get(GRPC_STATUS)?.as_bytes();
    let digits = std::str::from_utf8(text).ok();
    let number = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|text| text.parse().ok());
    Some(
        number
            .filter(|status| *status <= LARGEST)
            .unwrap_or(INVALID),
    )
}

/// The text that comes with a status, as it is on the wire.
pub fn message_of(trailers: &HeaderMap) -> Bytes {
    trailers
        .get(GRPC_MESSAGE)
        .map_or_else(Bytes::new, |text| Bytes::copy_from_slice(text.as_bytes()))
}

/// A text as `grpc-message` carries it: percent-encoded, cut where it gets too long.
pub fn encode_message(text: &[u8]) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text {
        if encoded.len() >= MAX_MESSAGE {
            break;
        }
        match byte {
            b'%' | 0..=0x1f | 0x7f.. => {
                write!(encoded, "%{byte:02X}").ok();
            }
            plain => encoded.push(char::from(*plain)),
        }
    }
    HeaderValue::try_from(encoded).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// A time limit as `grpc-timeout` carries it: at most eight digits and a unit.
pub fn encode_timeout(millis: u32) -> HeaderValue {
    /// What eight digits can hold.
    const LARGEST: u32 = 99_999_999;
    let text = if millis <= LARGEST {
        format!("{millis}m")
    } else {
        format!("{}S", millis / 1000)
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

/// The time limit that a request carries; `None` without one, or with one that cannot be read.
pub fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.as_bytes();
    let (unit, digits) = text.split_last()?;
    if digits.is_empty() || digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

/// Turns the head of an answer that was made here into that of a gRPC answer without messages:
/// the status moves to `grpc-status` and the body to `grpc-message`. HTTP/1 clients get the same,
/// as from Envoy.
pub fn answer(status: &mut StatusCode, headers: &mut HeaderMap, body: &[u8], given: Option<u8>) {
    let code = given.map_or_else(|| status_of_http(*status), Status::from);
    *status = StatusCode::OK;
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(GRPC_STATUS, HeaderValue::from(code));
    if !body.is_empty() {
        headers.insert(GRPC_MESSAGE, encode_message(body));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn grpc_is_told_by_its_content_type_and_grpc_web_is_not_grpc() {
        for (content_type, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc-web", false),
            ("application/grpcx", false),
            ("text/plain", false),
        ] {
            let headers = headers("content-type", content_type);
            assert_eq!(is_grpc(&headers), expected, "{content_type}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }

    #[test]
    fn each_status_has_a_status_of_http_that_counts_as_a_failure_too() {
        assert_eq!(http_of(OK), StatusCode::OK);
        for status in 1..=LARGEST {
            let http = http_of(status);
            assert!(http.is_client_error() || http.is_server_error(), "{status}");
        }
        assert_eq!(http_of(UNAVAILABLE), StatusCode::SERVICE_UNAVAILABLE);
    }

    #[test]
    fn a_status_is_a_number_up_to_sixteen() {
        for (text, expected) in [
            ("0", Some(0)),
            ("16", Some(16)),
            ("17", Some(INVALID)),
            ("many", Some(INVALID)),
            ("+1", Some(INVALID)),
            ("", Some(INVALID)),
        ] {
            assert_eq!(status_of(&headers("grpc-status", text)), expected, "{text}");
        }
        assert_eq!(status_of(&HeaderMap::new()), None);
    }

    #[test]
    fn a_message_is_percent_encoded_and_bounded() {
        assert_eq!(encode_message("né 100%\n".as_bytes()), "n%C3%A9 100%25%0A");
        assert!(encode_message(&[b'x'; 100_000]).len() <= MAX_MESSAGE + 2);
    }

    #[test]
    fn a_timeout_has_at_most_eight_digits() {
        assert_eq!(encode_timeout(250), "250m");
        assert_eq!(encode_timeout(99_999_999), "99999999m");
        assert_eq!(encode_timeout(u32::MAX), "4294967S");
    }

    #[test]
    fn a_timeout_is_read_in_every_unit_and_nothing_else() {
        for (text, expected) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3M", Some(Duration::from_secs(180))),
            ("4S", Some(Duration::from_secs(4))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("6u", Some(Duration::from_micros(6))),
            ("7n", Some(Duration::from_nanos(7))),
            ("S", None),
            ("", None),
            ("123456789S", None),
            ("-1S", None),
            ("1s", None),
            ("1", None),
        ] {
            assert_eq!(
                timeout_of(&headers("grpc-timeout", text)),
                expected,
                "{text}"
            );
        }
        assert_eq!(timeout_of(&HeaderMap::new()), None);
    }

    #[test]
    fn an_answer_to_grpc_carries_its_status_and_text_in_the_head() {
        let (mut status, mut fields) =
            (StatusCode::FORBIDDEN, headers("content-type", "text/plain"));
        answer(&mut status, &mut fields, b"go away", None);
        assert_eq!(status, StatusCode::OK);
        assert_eq!(fields["content-type"], "application/grpc");
        assert_eq!(
            (&fields["grpc-status"], &fields["grpc-message"]),
            (&HeaderValue::from(7), &HeaderValue::from_static("go away"))
        );
        let (mut status, mut fields) = (StatusCode::FORBIDDEN, HeaderMap::new());
        answer(&mut status, &mut fields, b"", Some(5));
        assert_eq!(fields["grpc-status"], "5");
        assert!(!fields.contains_key("grpc-message"));
    }
}

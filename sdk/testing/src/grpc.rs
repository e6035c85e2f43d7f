//! What gRPC adds to requests and replies: messages in frames, statuses in trailers.
//!
//! Owns how a reply counts for a call with one message each way, as Tidegate and Envoy count it.

use crate::fail;
use crate::fields::Fields;
use crate::reply::{Received, Reply};

/// The bytes before a message: whether it is compressed, and its length.
const HEAD: usize = 5;

/// Statuses of gRPC.
const OK: u32 = 0;
const UNKNOWN: u32 = 2;
const INTERNAL: u32 = 13;
/// The service could not be reached, or not in time.
pub(crate) const UNAVAILABLE: u32 = 14;
/// The largest status there is.
const LARGEST: u32 = 16;

/// How a call ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With its message.
    Message(Vec<u8>),
    /// With a status, and its text.
    Status(u32, String),
}

impl Ended {
    fn wrong(status: u32, why: &str) -> Self {
        Self::Status(status, why.to_owned())
    }
}

impl Reply {
    /// The message that a gRPC call ends well with, serialised. With [`trailer`](Self::trailer) come
    /// more trailers after the status.
    #[must_use]
    pub fn grpc(message: impl AsRef<[u8]>) -> Self {
        Self::status(200)
            .header("content-type", "application/grpc")
            .chunks([framed(message.as_ref())])
            .trailer("grpc-status", "0")
    }

    /// The status and the text that a gRPC call ends with, without a message. The text is sent as it is:
    /// bytes that are no plain ASCII have to be percent-encoded.
    #[must_use]
    pub fn grpc_status(status: u32, text: &str) -> Self {
        let reply = Self::status(200)
            .header("content-type", "application/grpc")
            .chunks::<&[u8]>([])
            .trailer("grpc-status", status.to_string());
        match text {
            "" => reply,
            text => reply.trailer("grpc-message", text),
        }
    }
}

impl Received {
    /// The message of a gRPC call, serialised.
    ///
    /// # Panics
    /// If the body is not one message that is whole and not compressed.
    #[must_use]
    #[track_caller]
    pub fn message(&self) -> &[u8] {
        match message(&self.body) {
            Some((message, [])) => message,
            _ => fail(&format!(
                "the body of {} is not one message of gRPC: {:?}",
                self.path, self.body
            )),
        }
    }
}

/// A message with its frame.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(u32::MAX);
    let mut framed = vec![0];
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed
}

/// The first message, and what follows it; `None` if it is not whole, or compressed.
fn message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(HEAD)?;
    let (flags, length) = head.split_first()?;
    let length = u32::from_be_bytes(length.try_into().ok()?);
    let (message, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (*flags == 0).then_some((message, rest))
}

/// What a whole reply means for a call.
pub(crate) fn ended(reply: &Reply) -> Ended {
    let told = status(&reply.headers);
    let body = reply.body.concat();
    if reply.status != 200 {
        return Ended::wrong(told.unwrap_or_else(|| of_http(reply.status)), "");
    }
    let mut rest = &body[..];
    let mut last = None;
    while !rest.is_empty() {
        if rest.first() != Some(&0) {
            return Ended::wrong(INTERNAL, "a message is compressed or no gRPC");
        }
        let Some((message, after)) = message(rest) else {
            break;
        };
        last = Some(message.to_vec());
        rest = after;
    }
    let trailers = match (body.is_empty(), told, reply.trailers.is_empty()) {
        // A head that is the end as well.
        (true, Some(_), true) => &reply.headers,
        _ => &reply.trailers,
    };
    match (status(trailers), last) {
        (None, _) if !rest.is_empty() => Ended::wrong(UNKNOWN, "the last message was cut"),
        (None, _) => Ended::wrong(UNKNOWN, "there was no status"),
        (Some(OK), Some(message)) => Ended::Message(message),
        (Some(OK), None) => Ended::wrong(INTERNAL, "there was no message"),
        (Some(status), _) => {
            let text = trailers.get("grpc-message").unwrap_or_default();
            Ended::Status(status, text)
        }
    }
}

/// What a reply that breaks off means for a call.
pub(crate) fn cut() -> Ended {
    Ended::wrong(
        INTERNAL,
        "upstream reset after response started: remote reset",
    )
}

/// What it means that there is no reply.
pub(crate) fn unreachable(reason: &str) -> Ended {
    let words = "upstream connect error or disconnect/reset before headers. reset reason: ";
    Ended::Status(UNAVAILABLE, [words, reason].concat())
}

fn status(fields: &Fields) -> Option<u32> {
    let text = fields.get("grpc-status")?;
    let number = text.parse().ok().filter(|it| *it <= LARGEST);
    Some(number.unwrap_or(u32::MAX))
}

/// The status that a response without one counts as (gRPC: HTTP to gRPC status code mapping).
const fn of_http(status: u16) -> u32 {
    match status {
        400 => INTERNAL,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502 | 503 | 504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_framed() {
        let bytes = [framed(b"one"), framed(b"")].concat();
        let (first, rest) = message(&bytes).unwrap();
        assert_eq!(first, b"one");
        assert_eq!(message(rest), Some((&b""[..], &b""[..])));
        for end in 0..8 {
            assert_eq!(message(&bytes[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn a_reply_counts_as_its_last_message_or_its_status() {
        let message = |text: &str| Ended::Message(text.as_bytes().to_vec());
        let status = |status, text: &str| Ended::Status(status, text.to_owned());
        assert_eq!(ended(&Reply::grpc("pong")), message("pong"));
        assert_eq!(ended(&Reply::grpc("")), message(""));
        assert_eq!(ended(&Reply::grpc_status(7, "no")), status(7, "no"));
        assert_eq!(ended(&Reply::status(404)), status(12, ""));
        let told = Reply::status(500).header("grpc-status", "8");
        assert_eq!(ended(&told), status(8, ""));
        let whole_head = Reply::status(200).header("grpc-status", "5");
        assert_eq!(ended(&whole_head), status(5, ""));
        let odd = Reply::status(200).trailer("grpc-status", "many");
        assert_eq!(ended(&odd), status(u32::MAX, ""));
        let without = Reply::status(200).body(framed(b"pong"));
        assert_eq!(ended(&without), status(2, "there was no status"));
    }
}

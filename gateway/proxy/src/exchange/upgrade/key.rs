//! The key of a WebSocket's handshake and the answer to it (RFC 6455 §1.3, §4.1).
//!
//! Owns both where one side of the gateway has them and the other has not: streams of HTTP/2 do
//! without (RFC 8441 §5).

use aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY;
use aws_lc_rs::digest::digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderValue;

use crate::random;

/// What is hashed behind the key, so that nobody but a WebSocket server answers so.
const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A new key: 16 random bytes.
pub(super) fn generate() -> HeaderValue {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    text(&bytes)
}

/// What a server answers to a key.
pub(super) fn answer(key: &HeaderValue) -> HeaderValue {
    let salted = [key.as_bytes().trim_ascii(), SALT].concat();
    text(digest(&SHA1_FOR_LEGACY_USE_ONLY, &salted).as_ref())
}

fn text(bytes: &[u8]) -> HeaderValue {
    let text = HeaderValue::try_from(BASE64_STANDARD.encode(bytes));
    // Base 64 has no byte that a field may not have.
    text.unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::answer;
    use super::generate;

    #[test]
    fn an_answer_is_that_of_the_specification() {
        let key = HeaderValue::from_static("dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer(&key), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn keys_differ_and_are_sixteen_bytes() {
        let (one, other) = (generate(), generate());
        assert_eq!((one.len(), other.len()), (24, 24));
        assert_ne!(one, other);
    }
}

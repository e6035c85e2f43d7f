//! Requests as a rate limit service knows them: descriptors, with the names that Envoy's actions give.

use std::net::IpAddr;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_sdk::prelude::*;

use crate::config::Limit;
use crate::config::Part;
use crate::config::WhenMissing;
use crate::key::part_of;
use crate::state::Context;

/// A longer value is told by its hash.
const LONGEST: usize = 1024;

/// One entry of a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) value: String,
}

/// The entries for a request; `None` if the limit is not for it.
pub(crate) fn of(limit: &Limit, req: &Request, cx: &Context) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity(limit.key.len());
    for (part, key) in limit.key.iter().zip(&limit.descriptor_keys) {
        let value = match part {
            // Services have addresses in their configuration: the whole one, as Envoy tells it.
            Part::ClientIp => req.client_ip().map(address),
            other => part_of(other, req, cx).map(text),
        };
        match (value, limit.when_missing) {
            (Some(value), _) => entries.push(Entry {
                key: key.clone(),
                value,
            }),
            (None, WhenMissing::Share) => {}
            (None, WhenMissing::Skip) => return None,
        }
    }
    (!entries.is_empty()).then_some(entries)
}

/// What Envoy's actions call a part of a key, if nobody says otherwise.
pub(crate) fn usual_key(part: &Part) -> &str {
    match part {
        Part::ClientIp => "remote_address",
        Part::Path => "path",
        Part::Route => "route",
        Part::Method => "method",
        Part::Host => "host",
        Part::Header(name) => name,
        Part::Cookie(name) | Part::Query(name) | Part::Claim(name) => name,
        Part::Const(_) => "generic_key",
    }
}

fn address(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// A value as text, of a length that services can keep.
fn text(value: Vec<u8>) -> String {
    if value.len() > LONGEST {
        let mut text = String::from("sha256:");
        for byte in Sha256::digest(&value) {
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        return text;
    }
    String::from_utf8(value)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_text_and_long_ones_are_hashes() {
        assert_eq!(text(b"ann".to_vec()), "ann");
        assert_eq!(text(b"".to_vec()), "");
        assert_eq!(text(b"k\xe9".to_vec()), "k\u{fffd}");
        assert_eq!(text(vec![b'a'; 1024]).len(), 1024);
        let hashed = text(vec![b'a'; 1025]);
        assert!(hashed.starts_with("sha256:4a8") && hashed.len() == 71);
        assert_ne!(hashed, text(vec![b'a'; 1026]));
    }

    #[test]
    fn addresses_are_whole() {
        for (given, told) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8::7", "2001:db8::7"),
        ] {
            assert_eq!(address(given.parse().unwrap()), told);
        }
    }
}

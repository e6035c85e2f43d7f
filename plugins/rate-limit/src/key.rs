//! Whose limit it is: the parts of a key, as a request has them.

use std::net::IpAddr;
use std::net::Ipv6Addr;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_policy::claim_text;
use tidegate_policy::cookie_values;
use tidegate_policy::query_values;
use tidegate_sdk::prelude::*;

use crate::config::Limit;
use crate::config::Part;
use crate::config::WhenMissing;
use crate::state::Context;

/// A longer value counts by its hash.
const LONGEST: usize = 256;

/// The length of a part that is not there.
const MISSING: u16 = u16::MAX;

/// Whose limit it is: the limit's name, and each part of its key with its length before it, so that no two
/// keys are the same that differ in a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    bytes: Vec<u8>,
    /// Where the parts begin.
    parts: usize,
}

impl Key {
    /// The key of a request; `None` if the limit is not for it.
    pub(crate) fn of(limit: &Limit, req: &Request, cx: &Context) -> Option<Self> {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(limit.name.as_bytes());
        bytes.push(0);
        let mut key = Self {
            parts: bytes.len(),
            bytes,
        };
        for part in &limit.key {
            match (part_of(part, req, cx), limit.when_missing) {
                (Some(value), _) => key.push(&value),
                (None, WhenMissing::Share) => key.bytes.extend_from_slice(&MISSING.to_le_bytes()),
                (None, WhenMissing::Skip) => return None,
            }
        }
        Some(key)
    }

    /// All of it: what differs from the key of every other limit and requester.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "for stores of other services"))]
    /// The values of its parts, in the order of the configuration; `None` is one that is not there.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut rest = self.bytes.get(self.parts..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk()?;
            let len = u16::from_le_bytes(*len);
            if len == MISSING {
                rest = after;
                return Some(None);
            }
            let (value, after) = after.split_at_checked(usize::from(len))?;
            rest = after;
            Some(Some(value))
        })
    }

    fn push(&mut self, value: &[u8]) {
        let digest;
        let mut value = value;
        if value.len() > LONGEST {
            digest = Sha256::digest(value);
            value = &digest;
        }
        let len = u16::try_from(value.len()).unwrap_or(MISSING);
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(value);
    }
}

/// What a request has for a part.
pub(crate) fn part_of(part: &Part, req: &Request, cx: &Context) -> Option<Vec<u8>> {
    match part {
        Part::ClientIp => req.client_ip().map(|it| of_client(it).into_bytes()),
        Part::Path => Some(req.path().into_bytes()),
        Part::Route => cx
            .property_bytes(&["route_name"])
            .filter(|it| !it.is_empty()),
        Part::Method => Some(req.method().into_bytes()),
        Part::Host => Some(req.host().into_bytes()),
        Part::Header(name) => req.headers().get_bytes(name),
        Part::Cookie(name) => first(cookie_values(req, name)),
        Part::Query(name) => first(query_values(req, name)),
        Part::Claim(path) => claim_text(cx, path).map(String::into_bytes),
        Part::Const(text) => Some(text.clone().into_bytes()),
    }
}

fn first(values: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    values.into_iter().next()
}

/// An address, as a client is known by it: IPv6 networks give each of their hosts 64 bits (RFC 4291 2.5.1).
fn of_client(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let network = u128::from(address) & (u128::MAX << 64);
            Ipv6Addr::from(network).to_string() + "/64"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[Option<&[u8]>]) -> Key {
        let mut key = Key {
            bytes: b"name\0".to_vec(),
            parts: 5,
        };
        for value in values {
            match value {
                Some(value) => key.push(value),
                None => key.bytes.extend_from_slice(&MISSING.to_le_bytes()),
            }
        }
        key
    }

    #[test]
    fn keys_differ_if_a_part_does_and_have_their_parts() {
        let all: [&[Option<&[u8]>]; 6] = [
            &[],
            &[None],
            &[Some(b"")],
            &[Some(b"ab"), Some(b"c")],
            &[Some(b"a"), Some(b"bc")],
            &[Some(b"abc")],
        ];
        for (index, parts) in all.iter().enumerate() {
            let found: Vec<Option<Vec<u8>>> = key(parts)
                .parts()
                .map(|it| it.map(<[u8]>::to_vec))
                .collect();
            let expected: Vec<Option<Vec<u8>>> =
                parts.iter().map(|it| it.map(<[u8]>::to_vec)).collect();
            assert_eq!(found, expected);
            for other in all.iter().skip(index + 1) {
                assert_ne!(key(parts), key(other));
            }
        }
    }

    #[test]
    fn a_long_value_counts_by_its_hash() {
        let (one, other) = ([b'x'; 5000], [b'x'; 5001]);
        assert_ne!(key(&[Some(&one)]), key(&[Some(&other)]));
        assert_eq!(key(&[Some(&one)]).as_bytes().len(), 5 + 2 + 32);
    }

    #[test]
    fn clients_of_ipv6_are_known_by_their_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(of_client(address.parse().unwrap()), expected);
        }
    }
}

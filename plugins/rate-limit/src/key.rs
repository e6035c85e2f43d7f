//! Whose limit it is: the parts of a key, as a request has them.

use std::net::IpAddr;

use sha2::Digest as _;
use sha2::Sha256;
use tidegate_policy::claim_text;
use tidegate_policy::client_network;
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
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// The key of a request; `None` if the limit is not for it.
    pub(crate) fn of(limit: &Limit, req: &Request, cx: &Context) -> Option<Self> {
        let mut key = Self::with_name(&limit.name);
        for part in &limit.key {
            let has = match part {
                Part::ClientIp => key.push_if_there(req.client_ip().map(Client::of)),
                Part::Const(text) => key.push_if_there(Some(text)),
                part => key.push_if_there(part_of(part, req, cx)),
            };
            if !has && limit.when_missing == WhenMissing::Skip {
                return None;
            }
        }
        Some(key)
    }

    /// All of it: what differs from the key of every other limit and requester.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn with_name(name: &str) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(0);
        Self(bytes)
    }

    /// A part; whether the request has it.
    fn push_if_there(&mut self, value: Option<impl AsRef<[u8]>>) -> bool {
        match &value {
            Some(value) => self.push(value.as_ref()),
            None => self.0.extend_from_slice(&MISSING.to_le_bytes()),
        }
        value.is_some()
    }

    fn push(&mut self, value: &[u8]) {
        let digest;
        let mut value = value;
        if value.len() > LONGEST {
            digest = Sha256::digest(value);
            value = &digest;
        }
        let len = u16::try_from(value.len()).unwrap_or(MISSING);
        self.0.extend_from_slice(&len.to_le_bytes());
        self.0.extend_from_slice(value);
    }
}

/// What a request has for a part.
pub(crate) fn part_of(part: &Part, req: &Request, cx: &Context) -> Option<Vec<u8>> {
    match part {
        Part::ClientIp => Some(Client::of(req.client_ip()?).as_ref().to_vec()),
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

/// What a client is known by: an address of IPv4, or a network of IPv6.
#[derive(Debug, PartialEq, Eq)]
enum Client {
    Address([u8; 4]),
    Network([u8; 8]),
}

impl Client {
    fn of(address: IpAddr) -> Self {
        match client_network(address) {
            IpAddr::V4(address) => Self::Address(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, g, h, ..] = address.octets();
                Self::Network([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl AsRef<[u8]> for Client {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Address(bytes) => bytes,
            Self::Network(bytes) => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[Option<&[u8]>]) -> Key {
        let mut key = Key::with_name("name");
        for value in values {
            assert_eq!(key.push_if_there(*value), value.is_some());
        }
        key
    }

    #[test]
    fn keys_differ_if_a_part_does() {
        let all: [&[Option<&[u8]>]; 7] = [
            &[],
            &[None],
            &[Some(b"")],
            &[None, Some(b"")],
            &[Some(b"ab"), Some(b"c")],
            &[Some(b"a"), Some(b"bc")],
            &[Some(b"abc")],
        ];
        for (index, parts) in all.iter().enumerate() {
            assert_eq!(key(parts), key(parts));
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
        let of = |text: &str| Client::of(text.parse().unwrap());
        assert_eq!(of("192.0.2.7").as_ref(), [192, 0, 2, 7]);
        assert_eq!(of("::ffff:192.0.2.7").as_ref(), [192, 0, 2, 7]);
        assert_eq!(of("64:ff9b::192.0.2.7").as_ref(), [192, 0, 2, 7]);
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:6:5:4:3"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
    }
}

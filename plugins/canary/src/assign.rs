//! Which version a request gets, and how that came about.

use std::net::IpAddr;

use tidegate_policy::claim_text;
use tidegate_policy::client_network;
use tidegate_policy::cookie_values;
use tidegate_policy::query_values;
use tidegate_sdk::prelude::*;

use crate::State;
use crate::config::Config;
use crate::config::Key;
use crate::split::below;

/// A request's version.
pub(crate) struct Assigned {
    /// Its place.
    pub(crate) version: usize,
    pub(crate) by: By,
}

/// What decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// An entry of `match`.
    Match,
    /// The key.
    Key,
    /// The cookie that the client has.
    Cookie,
    /// Chance, and the client is told the number that it was.
    Issued(u16),
    /// Chance.
    Chance,
}

impl By {
    /// For logs.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Key => "key",
            Self::Cookie => "cookie",
            Self::Issued(_) => "chance, kept by a cookie",
            Self::Chance => "chance",
        }
    }
}

/// The version of a request.
///
/// # Errors
/// If the host has no random numbers and one is needed.
pub(crate) fn assign(req: &Request, cx: &Cx<Config, State>) -> Result<Assigned> {
    let config = &cx.config;
    for (conditions, version) in &config.matches {
        if conditions.meet(req, cx) {
            return Ok(Assigned {
                version: *version,
                by: By::Match,
            });
        }
    }
    let of_bucket = |bucket, by| Assigned {
        version: config.split.version(bucket),
        by,
    };
    let value = config.key.as_ref().and_then(|key| value(key, req, cx));
    if let Some(value) = value {
        return Ok(of_bucket(config.salt.bucket(&value), By::Key));
    }
    let Some(cookie) = &config.cookie else {
        let bucket = below(u64::from_le_bytes(cx.random()?));
        return Ok(of_bucket(bucket, By::Chance));
    };
    if let Some(number) = cookie.number(req) {
        return Ok(of_bucket(config.salt.moved(number), By::Cookie));
    }
    let number = below(u64::from_le_bytes(cx.random()?));
    Ok(of_bucket(config.salt.moved(number), By::Issued(number)))
}

/// What a client is known by, unless the request has nothing of the kind.
fn value(key: &Key, req: &Request, cx: &Cx<Config, State>) -> Option<Vec<u8>> {
    let value = match key {
        Key::ClientIp => of_client(req.client_ip()?).into_bytes(),
        Key::Header(name) => req.headers().get_bytes(name)?,
        Key::Cookie(name) => first(cookie_values(req, name))?,
        Key::Query(name) => first(query_values(req, name))?,
        Key::Claim(path) => claim_text(cx, path)?.into_bytes(),
    };
    (!value.is_empty()).then_some(value)
}

fn first(values: Vec<Vec<u8>>) -> Option<Vec<u8>> {
    values.into_iter().next()
}

/// What a client is known by: an address of IPv4, or a network of IPv6.
fn of_client(address: IpAddr) -> String {
    match client_network(address) {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(network) => network.to_string() + "/64",
    }
}

#[cfg(test)]
mod tests {
    use super::of_client;

    #[test]
    fn clients_of_ipv6_are_known_by_their_network() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("64:ff9b::192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(of_client(address.parse().unwrap()), expected);
        }
    }
}

//! Endpoints that come from names: what is looked up, and what is made of the answers.
//!
//! Owns the decisions: which names are names, which addresses may be endpoints, when a name is looked
//! up again, and how long an answer outlives its server ([`Question`]). Lookups are the resolver's, in
//! the proxy.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::addresses;
use crate::addresses::Special;

mod endpoints;
mod question;

pub use endpoints::Resolved;
pub use endpoints::Target;
pub use endpoints::share;
pub use question::Answer;
pub use question::GRACE;
pub use question::Question;

/// Names that one source may have.
pub const MOST_NAMES: usize = 16;
/// Endpoints that come from one source; of more, always the same ones are taken.
pub const MOST_ENDPOINTS: usize = 256;
/// The least of [`DnsSource::min_ttl`] that makes sense.
pub const SHORTEST_TTL: Duration = Duration::from_secs(1);

/// Where the endpoints of a backend come from, if not from its resource.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsSource {
    /// The names, as [`check_name`] accepts them: the addresses of all of them are the endpoints. A
    /// dot at the end keeps the system's search domains away from a name.
    pub names: Vec<Arc<str>>,
    /// What is asked about them.
    pub records: DnsRecords,
    /// Which addresses are wanted.
    pub family: AddressFamily,
    /// An answer is used for at least so long, whatever its time to live says.
    pub min_ttl: Duration,
    /// An answer is used for at most so long before it is asked for again.
    pub max_ttl: Duration,
    /// Whether link-local addresses and those of cloud metadata services may be endpoints.
    pub allow_link_local: bool,
}

impl DnsSource {
    /// The addresses of one name, with the default limits.
    pub fn addresses(name: &str, port: u16) -> Self {
        Self {
            names: vec![Arc::from(name)],
            records: DnsRecords::Addresses { port },
            family: AddressFamily::Any,
            min_ttl: SHORTEST_TTL,
            max_ttl: Duration::from_secs(300),
            allow_link_local: false,
        }
    }
}

/// Which records tell the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DnsRecords {
    /// A and AAAA; all have this port.
    Addresses {
        /// 1 to 65535.
        port: u16,
    },
    /// SRV (RFC 2782): hosts with ports, weights and priorities. Endpoints of a worse priority are
    /// used when none of a better one accepts a connection.
    Services,
}

/// Which addresses of a name are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AddressFamily {
    /// A and AAAA.
    #[default]
    Any,
    /// A.
    V4,
    /// AAAA.
    V6,
}

/// Why something is not a name to look up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing is there.
    #[error("a name is empty")]
    Empty,
    /// More than 253 characters, or a label of more than 63 (RFC 1035 §2.3.4).
    #[error("a name has at most 253 characters, and 63 between two dots")]
    TooLong,
    /// Two dots without anything between them.
    #[error("there is nothing between two dots")]
    EmptyLabel,
    /// Something other than letters, digits, `-` and `_`.
    #[error("a name has letters, digits, `-` and `_` only, in parts between dots")]
    Character,
    /// It is an IP address, which needs no lookup.
    #[error("an IP address is no name")]
    Address,
}

/// Whether a text is a name that can be looked up: labels of letters, digits, `-` and `_` with dots
/// between them, and one at the end if the name is complete.
///
/// # Errors
///
/// [`NameError`], which says what a name is.
pub fn check_name(name: &str) -> Result<(), NameError> {
    let labels = name.strip_suffix('.').unwrap_or(name);
    if labels.is_empty() {
        return Err(NameError::Empty);
    }
    if labels.parse::<IpAddr>().is_ok() || name.starts_with('[') {
        return Err(NameError::Address);
    }
    if labels.len() > 253 {
        return Err(NameError::TooLong);
    }
    for label in labels.split('.') {
        match label.len() {
            0 => return Err(NameError::EmptyLabel),
            1..=63 => {}
            _ => return Err(NameError::TooLong),
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !label.bytes().all(fits) {
            return Err(NameError::Character);
        }
    }
    Ok(())
}

/// Why an address of an answer is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Unspecified, multicast or broadcast: nothing can be connected to there.
    NoHost,
    /// An IPv4 address in the clothes of IPv6 (`::ffff:0:0/96`): filters of addresses miss it.
    Mapped,
    /// Link-local, or of a cloud's metadata service, which hands out credentials.
    LinkLocal,
}

/// Whether an address that a name leads to may be an endpoint: whoever controls the name must not
/// reach with it what only the gateway's machine can reach. An IPv6 address that stands for an IPv4
/// address somewhere on the way is judged as that address too.
///
/// # Errors
///
/// Why not.
pub fn check_address(address: IpAddr, allow_link_local: bool) -> Result<(), Refused> {
    if let IpAddr::V6(address) = address
        && address.to_ipv4_mapped().is_some()
    {
        return Err(Refused::Mapped);
    }
    for meaning in addresses::meanings(address) {
        match addresses::special(meaning) {
            Some(Special::NoHost) => return Err(Refused::NoHost),
            Some(Special::LinkLocal | Special::Metadata) if !allow_link_local => {
                return Err(Refused::LinkLocal);
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::NameError;
    use super::Refused;
    use super::check_address;
    use super::check_name;

    #[test]
    fn names_are_labels_between_dots() {
        for good in [
            "a",
            "localhost",
            "api.shop.test",
            "api.shop.test.",
            "_http._tcp.shop.test",
            "1.2.3.example",
            "xn--bcher-kva.example",
        ] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        let long = "a".repeat(64);
        let longer = ["a.".repeat(126), "ab".to_owned()].concat();
        for (bad, why) in [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("127.0.0.1", NameError::Address),
            ("::1", NameError::Address),
            ("[::1]", NameError::Address),
            ("a..b", NameError::EmptyLabel),
            (".a", NameError::EmptyLabel),
            ("a b", NameError::Character),
            ("a:80", NameError::Character),
            ("bücher.example", NameError::Character),
            (&long, NameError::TooLong),
            (&longer, NameError::TooLong),
        ] {
            assert_eq!(check_name(bad), Err(why), "{bad}");
        }
    }

    #[test]
    fn addresses_that_only_the_machine_itself_can_reach_are_refused() {
        let check = |text: &str, allow| check_address(text.parse().expect("an address"), allow);
        for fine in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "2001:db8::1",
            "fd00::1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::1",
            "2001:db8:a9fe:a9fe::1",
        ] {
            assert_eq!(check(fine, false), Ok(()), "{fine}");
        }
        for (bad, why) in [
            ("0.0.0.0", Refused::NoHost),
            ("0.1.2.3", Refused::NoHost),
            ("::", Refused::NoHost),
            ("224.0.0.1", Refused::NoHost),
            ("255.255.255.255", Refused::NoHost),
            ("ff02::1", Refused::NoHost),
            ("::ffff:127.0.0.1", Refused::Mapped),
            ("::ffff:169.254.169.254", Refused::Mapped),
            ("64:ff9b::224.0.0.1", Refused::NoHost),
        ] {
            assert_eq!(check(bad, false), Err(why), "{bad}");
            assert_eq!(check(bad, true), Err(why), "{bad}");
        }
        for local in [
            "169.254.169.254",
            "169.254.1.1",
            "fe80::1",
            "fd00:ec2::254",
            "168.63.129.16",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "64:ff9b::169.254.169.254",
            "64:ff9b::100.100.100.200",
            "64:ff9b:1::a9fe:a9fe",
            "::169.254.169.254",
            "::ffff:0:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "2001:0:1:2:0:3:5601:5601",
            "2001:db8::5efe:169.254.169.254",
            "2002:a00:1::5efe:169.254.169.254",
            "64:ff9b:1:a9fe:a9:fe00::",
            "192.0.0.192",
            "fd00:ec2::23",
            "fe80::5efe:10.0.0.1",
        ] {
            assert_eq!(check(local, false), Err(Refused::LinkLocal), "{local}");
            assert_eq!(check(local, true), Ok(()), "{local}");
        }
    }
}

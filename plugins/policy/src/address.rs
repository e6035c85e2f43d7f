//! Addresses: as hosts and header fields write them, and what clients are known by.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

/// Where translators put all of IPv4: `64:ff9b::/96` (RFC 6052, 2.1).
const TRANSLATED: [u8; 12] = [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0];

/// The IP address in a text: alone, in brackets, or with a port (`192.0.2.7:443`, `[2001:db8::1]:443`).
/// One that is IPv4 in the clothes of IPv6 is IPv4.
#[must_use]
pub fn ip_address(text: &str) -> Option<IpAddr> {
    let text = text.trim_matches([' ', '\t']);
    let bare = text.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    let address = match bare {
        // Brackets are for IPv6 only (RFC 3986 3.2.2).
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => text
            .parse()
            .ok()
            .or_else(|| text.parse().ok().map(|it: SocketAddr| it.ip())),
    };
    address.map(|it| it.to_canonical())
}

/// What a client is known by that has this address: its IPv4 address, or the first 64 bits of its IPv6
/// address, with zeros behind them. Whoever has one address of such a network has them all (RFC 4291, 2.5.1).
///
/// An IPv4 address that stands in one of IPv6 (`::ffff:192.0.2.7`, `64:ff9b::192.0.2.7`) counts as itself: its
/// network has those of strangers, too.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address.to_canonical() else {
        return address.to_canonical();
    };
    match address.octets() {
        [prefix @ .., a, b, c, d] if prefix == TRANSLATED => Ipv4Addr::new(a, b, c, d).into(),
        _ => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::client_network;
    use super::ip_address;

    #[test]
    fn clients_are_known_by_their_address_of_ipv4_or_their_network_of_ipv6() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("64:ff9b::192.0.2.7", "192.0.2.7"),
            ("64:ff9b::1:c000:207", "64:ff9b::"),
            ("64:ff9b:1::192.0.2.7", "64:ff9b:1::"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
        ] {
            let known = client_network(address.parse().unwrap());
            assert_eq!(known.to_string(), expected, "{address}");
        }
    }

    #[test]
    fn an_address_is_found_with_and_without_a_port() {
        for (text, expected) in [
            ("192.0.2.7", Some("192.0.2.7")),
            (" 192.0.2.7\t", Some("192.0.2.7")),
            ("192.0.2.7:443", Some("192.0.2.7")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:db8::1]:443", Some("2001:db8::1")),
            ("::ffff:192.0.2.7", Some("192.0.2.7")),
            ("[::ffff:c000:207]:1", Some("192.0.2.7")),
            ("", None),
            ("unknown", None),
            ("[192.0.2.7]", None),
            ("192.0.2.7:", None),
            ("192.0.2.7:70000", None),
            ("192.0.2.07", None),
            ("192.0.2", None),
            ("3221225991", None),
            ("192.0.2.7 10.0.0.1", None),
            ("/run/a.sock", None),
        ] {
            let found = ip_address(text).map(|it| it.to_string());
            assert_eq!(found.as_deref(), expected, "{text:?}");
        }
    }
}

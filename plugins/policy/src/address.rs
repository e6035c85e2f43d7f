//! Addresses as hosts and header fields write them.

use std::net::IpAddr;
use std::net::SocketAddr;

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

#[cfg(test)]
mod tests {
    use super::ip_address;

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

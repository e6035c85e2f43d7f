//! Which addresses plugins must not lead the gateway to, however they are written.
//!
//! Owns the one list of them, and of the forms in which IPv6 carries an address of IPv4. Everything that
//! connects for a plugin asks here: backends by name and by address, and the fetching of code.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

/// What is special about an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Special {
    /// Unspecified, multicast or broadcast: no single machine's.
    NoHost,
    /// Link-local: neighbours, and the metadata services of most clouds.
    LinkLocal,
    /// A service of a cloud that hands out credentials and is not link-local.
    Metadata,
}

/// Services of clouds that hand out credentials, or the way to them, and are not link-local.
const METADATA_4: [Ipv4Addr; 3] = [
    Ipv4Addr::new(100, 100, 100, 200), // Alibaba Cloud
    Ipv4Addr::new(168, 63, 129, 16),   // Azure
    Ipv4Addr::new(192, 0, 0, 192),     // Oracle Cloud
];
/// The same of IPv6.
const METADATA_6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254), // AWS
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0023), // AWS, identities of pods
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254), // Google Cloud
    Ipv6Addr::new(0xfd00, 0x00c1, 0, 0, 0, 0, 0xa9fe, 0xa9fe), // Oracle Cloud
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042), // Scaleway
];

/// What is special about an address, taken as it is written: see [`meanings`].
#[must_use]
pub fn special(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => {
            // All of 0.0.0.0/8 means this host (RFC 1122 §3.2.1.3).
            let is_this = address.octets().first() == Some(&0);
            if is_this || address.is_multicast() || address.is_broadcast() {
                return Some(Special::NoHost);
            }
            if address.is_link_local() {
                return Some(Special::LinkLocal);
            }
            METADATA_4.contains(&address).then_some(Special::Metadata)
        }
        IpAddr::V6(address) => {
            if address.is_unspecified() || address.is_multicast() {
                return Some(Special::NoHost);
            }
            if address.is_unicast_link_local() {
                return Some(Special::LinkLocal);
            }
            METADATA_6.contains(&address).then_some(Special::Metadata)
        }
    }
}

/// An address, and all addresses of IPv4 at which its packets may come out, where a translator or a tunnel
/// stands in the way.
pub fn meanings(address: IpAddr) -> impl Iterator<Item = IpAddr> {
    let behind = match address {
        IpAddr::V4(_) => [None; 11],
        IpAddr::V6(address) => behind(address),
    };
    let behind = behind.into_iter().flatten().map(IpAddr::V4);
    std::iter::once(address).chain(behind)
}

/// The addresses of IPv4 that one of IPv6 carries. A form does not exclude another one: `2002::/16` may end
/// as ISATAP has it.
fn behind(address: Ipv6Addr) -> [Option<Ipv4Addr>; 11] {
    let segments = address.segments();
    let [a, b, c, d, e, f, g, h] = segments;
    let v4 = |high: u16, low: u16| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low));
    let end = v4(g, h);
    let if_so = |is_so: bool, address: Ipv4Addr| is_so.then_some(address);
    let begin = [a, b, c, d, e, f];
    // A network's own translator may place the address at any of four places (RFC 8215, RFC 6052 §2.2).
    let [own_48, own_56, own_64, own_96] = match [a, b, c] == [0x64, 0xff9b, 1] {
        true => own_translator(address),
        false => [None; 4],
    };
    [
        // IPv4-mapped (RFC 4291 §2.5.5.2).
        if_so(begin == [0, 0, 0, 0, 0, 0xffff], end),
        // IPv4-compatible (RFC 4291 §2.5.5.1, deprecated); `::1` is none.
        if_so(begin == [0; 6] && g != 0, end),
        // NAT64, the well-known prefix (RFC 6052 §2.1).
        if_so(begin == [0x64, 0xff9b, 0, 0, 0, 0], end),
        own_48,
        own_56,
        own_64,
        own_96,
        // IPv4-translated (RFC 2765 §2.1).
        if_so(begin == [0, 0, 0, 0, 0xffff, 0], end),
        // 6to4 (RFC 3056 §2).
        if_so(a == 0x2002, v4(b, c)),
        // Teredo: the client's address, inverted (RFC 4380 §4).
        if_so([a, b] == [0x2001, 0], v4(!g, !h)),
        // ISATAP (RFC 5214 §6.1).
        if_so([0, 0x200].contains(&e) && f == 0x5efe, end),
    ]
}

/// The addresses that stand at the places of prefixes of 48, 56, 64 and 96 bits. Bits behind an address are
/// zero; what begins with zero is no address, unless nothing else is there.
fn own_translator(address: Ipv6Addr) -> [Option<Ipv4Addr>; 4] {
    let [
        _,
        _,
        _,
        _,
        _,
        _,
        o6,
        o7,
        o8,
        o9,
        o10,
        o11,
        o12,
        o13,
        o14,
        o15,
    ] = address.octets();
    let found = |octets: [u8; 4], behind: &[u8]| {
        let is_one = o8 == 0 && octets[0] != 0 && behind.iter().all(|octet| *octet == 0);
        is_one.then(|| Ipv4Addr::from(octets))
    };
    let at_48 = found([o6, o7, o9, o10], &[o11, o12, o13, o14, o15]);
    let at_56 = found([o7, o9, o10, o11], &[o12, o13, o14, o15]);
    let at_64 = found([o9, o10, o11, o12], &[o13, o14, o15]);
    let end = [o12, o13, o14, o15];
    let is_end = end != [0; 4] || (at_48.is_none() && at_56.is_none() && at_64.is_none());
    [at_48, at_56, at_64, is_end.then(|| Ipv4Addr::from(end))]
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::Special;
    use super::meanings;
    use super::special;

    fn worst(text: &str) -> Option<Special> {
        let address: IpAddr = text.parse().expect(text);
        meanings(address).find_map(special)
    }

    #[test]
    fn services_that_hand_out_credentials_are_known_however_they_are_written() {
        for (text, expected) in [
            ("169.254.169.254", Special::LinkLocal),
            ("169.254.170.2", Special::LinkLocal),
            ("fe80::a9fe:a9fe", Special::LinkLocal),
            ("100.100.100.200", Special::Metadata),
            ("168.63.129.16", Special::Metadata),
            ("192.0.0.192", Special::Metadata),
            ("fd00:ec2::254", Special::Metadata),
            ("fd00:ec2::23", Special::Metadata),
            ("fd20:ce::254", Special::Metadata),
            ("fd00:c1::a9fe:a9fe", Special::Metadata),
            ("fd00:42::42", Special::Metadata),
            // Mapped, compatible, translated.
            ("::ffff:169.254.169.254", Special::LinkLocal),
            ("::ffff:100.100.100.200", Special::Metadata),
            ("::169.254.169.254", Special::LinkLocal),
            ("::ffff:0:169.254.169.254", Special::LinkLocal),
            ("::ffff:0:168.63.129.16", Special::Metadata),
            // NAT64, the well-known prefix and each form of a network's own.
            ("64:ff9b::169.254.169.254", Special::LinkLocal),
            ("64:ff9b::192.0.0.192", Special::Metadata),
            ("64:ff9b:1::169.254.169.254", Special::LinkLocal),
            ("64:ff9b:1:abcd::169.254.169.254", Special::LinkLocal),
            ("64:ff9b:1:a9fe:a9:fe00::", Special::LinkLocal),
            ("64:ff9b:1:a9:fe:a9fe::", Special::LinkLocal),
            ("64:ff9b:1:0:a9:fea9:fe00:0", Special::LinkLocal),
            // 6to4, Teredo, ISATAP, and one in the other.
            ("2002:a9fe:a9fe::1", Special::LinkLocal),
            ("2002:a83f:8110::", Special::Metadata),
            ("2001:0:1:2:0:3:5601:5601", Special::LinkLocal),
            ("2001:db8::5efe:169.254.169.254", Special::LinkLocal),
            ("2001:db8::200:5efe:169.254.169.254", Special::LinkLocal),
            ("2002:a00:1::5efe:169.254.169.254", Special::LinkLocal),
            // No machine.
            ("0.0.0.0", Special::NoHost),
            ("0.1.2.3", Special::NoHost),
            ("::", Special::NoHost),
            ("255.255.255.255", Special::NoHost),
            ("ff02::1", Special::NoHost),
            ("::ffff:0:0.0.0.0", Special::NoHost),
            ("64:ff9b::224.0.0.1", Special::NoHost),
            ("64:ff9b:1::", Special::NoHost),
        ] {
            assert_eq!(worst(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn addresses_of_machines_are_nothing_special() {
        for text in [
            "127.0.0.1",
            "10.0.0.1",
            "::1",
            "2001:db8::1",
            "fd00::1",
            "fd00:ec2::1",
            "::ffff:10.0.0.1",
            "::ffff:0:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::10.0.0.1",
            "64:ff9b:1:a00:0:100::",
            "2002:a00:1::1",
            "2001:db8:a9fe:a9fe::1",
        ] {
            assert_eq!(worst(text), None, "{text}");
        }
    }
}

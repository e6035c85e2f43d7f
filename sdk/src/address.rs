//! Addresses of sockets as hosts write them: `192.0.2.7:443`, `[2001:db8::1]:443`.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use tidegate_sdk_sys::{Host as _, host};

/// The address that a property has.
pub(crate) fn property(path: &[u8]) -> Option<SocketAddr> {
    parse(&host().property(path).ok().flatten()?)
}

/// Most addresses are IPv4 and plain, and many filters ask for one in each request: those are read
/// here, all others by the standard library.
fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    match plain_ipv4(bytes) {
        Some(address) => Some(address.into()),
        None => std::str::from_utf8(bytes).ok()?.parse().ok(),
    }
}

fn plain_ipv4(bytes: &[u8]) -> Option<SocketAddrV4> {
    let mut numbers = [0_u16; 5];
    let mut rest = bytes;
    for (index, number) in numbers.iter_mut().enumerate() {
        let (most, end) = match index {
            0..3 => (255, Some(b'.')),
            3 => (255, Some(b':')),
            _ => (65_535, None),
        };
        let (value, after) = decimal(rest, most)?;
        *number = value;
        rest = match (end, after) {
            (Some(end), [first, after @ ..]) if *first == end => after,
            (None, []) => after,
            _ => return None,
        };
    }
    let [a, b, c, d, port] = numbers;
    let [a, b, c, d] = [a, b, c, d].map(|it| it.to_le_bytes()[0]);
    Some(SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port))
}

/// A number without zeros before it, up to `most`, and what follows it.
fn decimal(bytes: &[u8], most: u32) -> Option<(u16, &[u8])> {
    let mut value = 0_u32;
    let mut rest = bytes;
    while let [digit @ b'0'..=b'9', after @ ..] = rest {
        let begins_with_zero = value == 0 && rest.len() < bytes.len();
        value = value * 10 + u32::from(digit - b'0');
        if begins_with_zero || value > most {
            return None;
        }
        rest = after;
    }
    let is_number = rest.len() < bytes.len();
    is_number.then_some((u16::try_from(value).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::{parse, plain_ipv4};

    #[test]
    fn addresses_are_read_as_the_standard_library_reads_them() {
        let plain = ["192.0.2.7:443", "0.0.0.0:0", "255.255.255.255:65535"];
        let other = [
            "[2001:db8::1]:443",
            "192.0.2.7:0443",
            "192.0.2.7",
            "192.0.2.7:",
            "192.0.2.7:65536",
            "192.0.2.256:1",
            "192.0.2.07:1",
            "192.0.2:1",
            "192.0.2.7.1:1",
            "192.0..7:1",
            ".0.2.7:1",
            "192.0.2.7:1 ",
            " 192.0.2.7:1",
            "192.0.2.7:99999999999",
            "-1.0.2.7:1",
            "/run/a.sock",
            "",
        ];
        for text in plain.iter().chain(&other) {
            assert_eq!(parse(text.as_bytes()), text.parse().ok(), "{text:?}");
        }
        assert!(plain.iter().all(|it| plain_ipv4(it.as_bytes()).is_some()));
        assert!(other.iter().all(|it| plain_ipv4(it.as_bytes()).is_none()));
        assert_eq!(parse(b"192.0.2.7:1\xff"), None);
    }
}

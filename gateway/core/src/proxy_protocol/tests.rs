//! Both versions of the header, read and written.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::any;
use proptest::prelude::prop_assert;
use proptest::prelude::prop_assert_eq;
use proptest::prelude::proptest;

use super::Beginning;
use super::Ends;
use super::LONGEST;
use super::Malformed;
use super::SIGNATURE;
use super::decode;
use super::encode;
use crate::tcp::ProxyProtocol;

fn ends(source: &str, destination: &str) -> Ends {
    let address = |text: &str| text.parse().expect("an address");
    Ends {
        source: address(source),
        destination: address(destination),
    }
}

/// A header of version 2 with that command, family and rest.
fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).expect("short");
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(rest);
    bytes
}

#[track_caller]
fn reads(bytes: &[u8], expected: Option<Ends>) {
    let header = Beginning::Header {
        length: bytes.len(),
        ends: expected,
    };
    assert_eq!(decode(bytes), Ok(header), "{}", bytes.escape_ascii());
    let mut followed = bytes.to_vec();
    followed.extend(b"GET / HTTP/1.1\r\n\r\nPROXY TCP4");
    assert_eq!(decode(&followed), Ok(header), "with bytes behind it");
    for end in 0..bytes.len() {
        let part = bytes.get(..end).expect("a part");
        assert_eq!(decode(part), Ok(Beginning::Incomplete), "{end} bytes of it");
    }
}

#[test]
fn headers_are_read_at_whatever_place_they_are_cut() {
    let v4 = Some(ends("192.0.2.7:65535", "198.51.100.1:0"));
    let v6 = Some(ends("[2001:db8::7]:1", "[::1]:443"));
    reads(b"PROXY TCP4 192.0.2.7 198.51.100.1 65535 0\r\n", v4);
    reads(b"PROXY TCP6 2001:db8::7 ::1 1 443\r\n", v6);
    reads(b"PROXY UNKNOWN\r\n", None);
    reads(b"PROXY UNKNOWN ffff:f...f:ffff ffff::f 1 2\r\n", None);
    reads(
        &v2(0x21, 0x11, b"\xc0\x00\x02\x07\xc6\x33\x64\x01\xff\xff\0\0"),
        v4,
    );
    let mut long = Vec::new();
    long.extend("2001:db8::7".parse::<Ipv6Addr>().expect("v6").octets());
    long.extend(Ipv6Addr::LOCALHOST.octets());
    long.extend([0, 1, 1, 0xbb]);
    reads(&v2(0x21, 0x21, &long), v6);
    // A TLV (PP2_TYPE_NOOP) behind the addresses.
    long.extend([4, 0, 2, 9, 9]);
    reads(&v2(0x21, 0x21, &long), v6);
}

#[test]
fn a_proxy_that_speaks_for_itself_leaves_the_ends_as_they_are() {
    reads(&v2(0x20, 0x00, b""), None);
    reads(
        &v2(0x20, 0x11, b"\xc0\x00\x02\x07\xc6\x33\x64\x01\xff\xff\0\0"),
        None,
    );
    reads(&v2(0x21, 0x00, b"abc"), None);
    reads(&v2(0x21, 0x31, &[0; 216]), None);
}

#[test]
fn whatever_else_a_connection_begins_with_is_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    let too_long = v2(0x20, 0, &vec![0; LONGEST - 15]);
    let refused: [&[u8]; 20] = [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 0\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 +1 0\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 01 0\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 3\r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY TCP4 192.0.2.7 ::1 1 2\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY UDP4 192.0.2.7 198.51.100.1 1 2\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\rX",
        b"PROXY \xff\r\n",
        long.as_bytes(),
        &v2(0x11, 0x11, &[0; 12]),
        &v2(0x22, 0x11, &[0; 12]),
        &v2(0x21, 0x41, &[0; 12]),
        &too_long,
    ];
    for bytes in refused {
        assert_eq!(decode(bytes), Err(Malformed), "{}", bytes.escape_ascii());
    }
    assert_eq!(decode(&v2(0x21, 0x11, &[0; 11])), Err(Malformed));
    assert_eq!(decode(&v2(0x21, 0x21, &[0; 35])), Err(Malformed));
}

#[test]
fn ends_of_two_families_are_written_as_those_of_the_wider_one() {
    let mixed = ends("192.0.2.7:1", "[2001:db8::1]:2");
    let line = encode(ProxyProtocol::V1, Some(&mixed));
    assert_eq!(
        String::from_utf8_lossy(&line),
        "PROXY TCP6 ::ffff:192.0.2.7 2001:db8::1 1 2\r\n"
    );
    let mapped = ends("[::ffff:192.0.2.7]:1", "192.0.2.8:2");
    let line = encode(ProxyProtocol::V1, Some(&mapped));
    assert_eq!(
        String::from_utf8_lossy(&line),
        "PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"
    );
}

#[test]
fn the_longest_line_is_the_one_of_the_specification() {
    let longest = Ipv6Addr::from([0xff; 16]);
    let address = SocketAddr::new(longest.into(), u16::MAX);
    let ends = Ends {
        source: address,
        destination: address,
    };
    assert!(encode(ProxyProtocol::V1, Some(&ends)).len() <= super::LONGEST_LINE);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        source in any::<(bool, [u8; 16], u16)>(),
        destination in any::<([u8; 16], u16)>(),
        binary in any::<bool>(),
    ) {
        let (is_v4, source, from) = source;
        let (destination, to) = destination;
        let ip = |octets: [u8; 16]| -> std::net::IpAddr {
            let [a, b, c, d, ..] = octets;
            if is_v4 { Ipv4Addr::new(a, b, c, d).into() } else { Ipv6Addr::from(octets).into() }
        };
        let ends = Ends {
            source: SocketAddr::new(ip(source), from),
            destination: SocketAddr::new(ip(destination), to),
        };
        let version = if binary { ProxyProtocol::V2 } else { ProxyProtocol::V1 };
        let bytes = encode(version, Some(&ends));
        let read = decode(&bytes);
        prop_assert_eq!(read, Ok(Beginning::Header { length: bytes.len(), ends: Some(ends) }));
        let nothing = encode(version, None);
        let read = decode(&nothing);
        prop_assert_eq!(read, Ok(Beginning::Header { length: nothing.len(), ends: None }));
    }

    #[test]
    fn no_bytes_make_it_read_past_their_end_or_take_more_than_the_longest(
        start in 0_usize..3,
        tail in vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = match start {
            0 => Vec::new(),
            1 => b"PROXY ".to_vec(),
            _ => SIGNATURE.to_vec(),
        };
        bytes.extend(tail);
        match decode(&bytes) {
            Ok(Beginning::Header { length, .. }) => prop_assert!(length <= bytes.len()),
            Ok(Beginning::Incomplete) => prop_assert!(bytes.len() < LONGEST),
            Err(Malformed) => {}
        }
    }
}

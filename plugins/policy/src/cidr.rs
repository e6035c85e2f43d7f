//! Blocks of IP addresses (RFC 4632, RFC 4291 2.3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// An IPv4 address that is written as IPv6 (`::ffff:10.0.0.1`, RFC 4291 2.5.5.2) is the IPv4 address, in
/// blocks and in what they are compared with: nobody gets around a rule by another spelling.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    /// The first address.
    first: IpAddr,
    /// How many leading bits all addresses of the block share.
    bits: u8,
}

impl Cidr {
    /// The block of the addresses that share the leading `bits` with `address`. `None` if the address
    /// has fewer bits, or has some set after these.
    #[must_use]
    pub fn new(address: IpAddr, bits: u8) -> Option<Self> {
        let (address, bits) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), mapped @ IpAddr::V4(_)) => (mapped, bits.checked_sub(96)?),
            (_, canonical) => (canonical, bits),
        };
        let (number, width) = left_aligned(address);
        let rest = number.checked_shl(u32::from(bits)).unwrap_or(0);
        (bits <= width && rest == 0).then_some(Self {
            first: address,
            bits,
        })
    }

    /// The block that has `address` and all that share the leading `bits` with it. `None` if the address
    /// has fewer bits, or is IPv4 in the clothes of IPv6 and shares fewer than those clothes.
    #[must_use]
    pub fn around(address: IpAddr, bits: u8) -> Option<Self> {
        let rest = |width: u32| width.checked_sub(u32::from(bits));
        let first = match address {
            IpAddr::V4(it) => {
                let mask = u32::MAX.checked_shl(rest(32)?).unwrap_or(0);
                IpAddr::V4((u32::from(it) & mask).into())
            }
            IpAddr::V6(it) => {
                let mask = u128::MAX.checked_shl(rest(128)?).unwrap_or(0);
                let is_clothed = matches!(address.to_canonical(), IpAddr::V4(_));
                if is_clothed && bits < 96 {
                    return None;
                }
                IpAddr::V6((u128::from(it) & mask).into())
            }
        };
        Self::new(first, bits)
    }

    /// Reads a block as [`FromStr`] does, and also one that is written with another of its addresses
    /// than the first: `10.1.2.3/16` is `10.1.0.0/16`.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, with an example.
    pub fn from_any_of(text: &str) -> Result<Self, String> {
        let (address, bits) = split(text)?;
        Self::around(address, bits).ok_or_else(|| expected(text))
    }

    /// Whether the block has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        if address.is_ipv4() != self.first.is_ipv4() {
            return false;
        }
        let differing = left_aligned(address).0 ^ left_aligned(self.first).0;
        differing.leading_zeros() >= u32::from(self.bits)
    }

    /// The first address of the block.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// How many leading bits all addresses of the block share.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        self.bits
    }
}

/// The bits of an address from the left, and how many there are.
fn left_aligned(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(it) => (u128::from(u32::from(it)) << 96, 32),
        IpAddr::V6(it) => (u128::from(it), 128),
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = split(text)?;
        Self::new(address, bits).ok_or_else(|| {
            format!(
                "{text} has bits set after the first {bits}: write the first address of the block"
            )
        })
    }
}

/// The address that is written, and how many of its bits count: not more than it has.
fn split(text: &str) -> Result<(IpAddr, u8), String> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().map_err(|_| expected(text))?;
    let width = left_aligned(address).1;
    let bits = match bits {
        None => width,
        Some(bits) if bits.bytes().all(|it| it.is_ascii_digit()) => bits
            .parse()
            .ok()
            .filter(|bits| *bits <= width)
            .ok_or_else(|| expected(text))?,
        Some(_) => return Err(expected(text)),
    };
    Ok((address, bits))
}

fn expected(text: &str) -> String {
    format!("expected an address or a block such as 10.0.0.0/8 or 2001:db8::/32, found {text:?}")
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FilterConfig for Cidr {
    const SCHEMA: &'static Schema = <String as FilterConfig>::SCHEMA;

    fn read(value: &serde_json::Value) -> Result<Self, Problem> {
        value
            .as_str()
            .ok_or_else(|| expected(&value.to_string()))
            .and_then(str::parse)
            .map_err(Problem::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_block_has_the_addresses_that_begin_as_it_does_and_no_others() {
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.255.255", "11.0.0.0"),
            ("0.0.0.0/0", "255.1.2.3", "::1"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.6/31", "192.0.2.7", "192.0.2.8"),
            ("2001:db8::/32", "2001:db8:ffff::", "2001:db9::"),
            ("::1", "::1", "::2"),
        ] {
            assert!(block(text).contains(inside.parse().unwrap()), "{text}");
            assert!(!block(text).contains(outside.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_ipv4_address_in_the_clothes_of_ipv6_is_the_same_address() {
        let mapped: IpAddr = "::ffff:10.1.2.3".parse().unwrap();
        assert!(block("10.0.0.0/8").contains(mapped));
        assert_eq!(block("::ffff:10.0.0.0/104"), block("10.0.0.0/8"));
    }

    #[test]
    fn a_block_can_be_read_from_any_of_its_addresses() {
        for (text, expected) in [
            ("10.1.2.3/16", "10.1.0.0/16"),
            ("10.1.2.3/0", "0.0.0.0/0"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("2001:db8::1/33", "2001:db8::/33"),
            ("2001:db8::1/0", "::/0"),
            ("::1/128", "::1"),
            ("::ffff:10.1.2.3/112", "10.1.0.0/16"),
            ("::ffff:10.1.2.3/96", "0.0.0.0/0"),
        ] {
            assert_eq!(Cidr::from_any_of(text), Ok(block(expected)), "{text}");
        }
        for text in ["", "10.0.0.1/33", "::1/129", "x/8", "::ffff:10.1.2.3/95"] {
            assert!(Cidr::from_any_of(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_block_is_refused_with_an_example() {
        for text in [
            "",
            "10",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::/129",
            "x/8",
            "10.0.0.0/8/8",
        ] {
            let refused = text.parse::<Cidr>().unwrap_err();
            assert!(refused.contains("10.0.0.0/8 or 2001:db8::/32"), "{refused}");
        }
        let refused = "10.0.0.1/8".parse::<Cidr>().unwrap_err();
        assert!(refused.contains("bits set after the first 8"), "{refused}");
    }
}

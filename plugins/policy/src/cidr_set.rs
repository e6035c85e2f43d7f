//! Many blocks of addresses, and the question whether one of them has an address.
//!
//! Blocks are kept as sorted ranges without overlaps: a look-up is one binary search, so ten thousand
//! blocks cost four steps more than a thousand.

use std::cmp::Ordering;
use std::net::IpAddr;

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::Cidr;

/// A set of addresses, configured as a list of blocks: see [`Cidr`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CidrSet {
    v4: Box<[Range<u32>]>,
    v6: Box<[Range<u128>]>,
}

/// Addresses from the first to the last, both in it.
type Range<N> = (N, N);

impl CidrSet {
    /// Whether one of the blocks has this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(it) => has(&self.v4, it.to_bits()),
            IpAddr::V6(it) => has(&self.v6, it.to_bits()),
        }
    }

    /// Whether there is no block.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<Cidr> for CidrSet {
    fn from_iter<I: IntoIterator<Item = Cidr>>(blocks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for block in blocks {
            let bits = u32::from(block.bits());
            match block.first() {
                IpAddr::V4(first) => {
                    let first = first.to_bits();
                    v4.push((first, first | u32::MAX.checked_shr(bits).unwrap_or(0)));
                }
                IpAddr::V6(first) => {
                    let first = first.to_bits();
                    v6.push((first, first | u128::MAX.checked_shr(bits).unwrap_or(0)));
                }
            }
        }
        Self {
            v4: disjoint(v4),
            v6: disjoint(v6),
        }
    }
}

impl FilterConfig for CidrSet {
    const SCHEMA: &'static Schema = <Vec<Cidr> as FilterConfig>::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        Ok(Vec::<Cidr>::read(value)?.into_iter().collect())
    }
}

/// The same numbers as ranges in order, none of which has the beginning of another.
fn disjoint<N: Ord + Copy>(mut ranges: Vec<Range<N>>) -> Box<[Range<N>]> {
    ranges.sort_unstable();
    let mut merged: Vec<Range<N>> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged.into_boxed_slice()
}

fn has<N: Ord + Copy>(ranges: &[Range<N>], number: N) -> bool {
    ranges
        .binary_search_by(|(first, last)| {
            if *last < number {
                Ordering::Less
            } else if *first > number {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        })
        .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(texts: &[&str]) -> Vec<Cidr> {
        texts.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn a_set_has_what_one_of_its_blocks_has() {
        let all = blocks(&[
            "10.0.0.0/8",
            "10.1.0.0/16",
            "192.0.2.6/31",
            "192.0.2.8",
            "255.255.255.255",
            "2001:db8::/32",
            "2001:db8:1::/48",
            "ffff::/16",
            "::1",
        ]);
        let set: CidrSet = all.iter().copied().collect();
        for text in [
            "0.0.0.0",
            "9.255.255.255",
            "10.0.0.0",
            "10.1.2.3",
            "10.255.255.255",
            "11.0.0.0",
            "192.0.2.5",
            "192.0.2.6",
            "192.0.2.7",
            "192.0.2.8",
            "192.0.2.9",
            "255.255.255.254",
            "255.255.255.255",
            "::",
            "::1",
            "::2",
            "::ffff:10.1.2.3",
            "::ffff:11.1.2.3",
            "2001:db7:ffff::",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ] {
            let address: IpAddr = text.parse().unwrap();
            let expected = all.iter().any(|it| it.contains(address));
            assert_eq!(set.contains(address), expected, "{text}");
        }
    }

    #[test]
    fn a_block_of_all_addresses_has_those_of_its_family_only() {
        let four: CidrSet = blocks(&["0.0.0.0/0"]).into_iter().collect();
        let six: CidrSet = blocks(&["::/0"]).into_iter().collect();
        let (v4, v6): (IpAddr, IpAddr) =
            ("1.2.3.4".parse().unwrap(), "2001:db8::1".parse().unwrap());
        assert!(four.contains(v4) && !four.contains(v6));
        assert!(six.contains(v6) && !six.contains(v4));
    }

    #[test]
    fn without_blocks_a_set_is_empty() {
        let set = CidrSet::default();
        assert!(set.is_empty());
        assert!(!set.contains("::1".parse().unwrap()));
    }
}

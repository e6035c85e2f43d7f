//! Which of two versions of a filter a stream gets.
//!
//! A bucket is one of 10,000, as in the filter `canary`: `XXH64(key, seed = XXH64(salt)) mod 10000`.
//! The canary has the buckets below its share, so that raising the share moves nobody back, and the
//! same client has the same version on every worker, on every gateway and after every restart.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use http::HeaderMap;
use http::HeaderName;
use http::header::COOKIE;
use xxhash_rust::xxh64::Xxh64;
use xxhash_rust::xxh64::xxh64;

/// How many buckets there are: a hundredth of a percent each.
pub const BUCKETS: u16 = 10_000;

/// A share of streams, in hundredths of a percent: 0 to 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Share(u16);

impl Share {
    /// All streams.
    pub const ALL: Self = Self(BUCKETS);
    /// No stream.
    pub const NONE: Self = Self(0);

    /// So many buckets; `None` if there are fewer.
    pub fn of_buckets(buckets: u16) -> Option<Self> {
        (buckets <= BUCKETS).then_some(Self(buckets))
    }

    /// So many hundredths of the streams; more than 100 are all.
    pub const fn percent(percent: u8) -> Self {
        if percent >= 100 {
            return Self::ALL;
        }
        // At most 9,900.
        Self(percent as u16 * 100)
    }

    /// How many buckets it is.
    pub const fn buckets(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.0 / 100, self.0 % 100) {
            (whole, 0) => write!(out, "{whole} %"),
            (whole, part) if part % 10 == 0 => write!(out, "{whole}.{} %", part / 10),
            (whole, part) => write!(out, "{whole}.{part:02} %"),
        }
    }
}

/// One of the two versions of a plugin that are served beside each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The one that was there.
    Stable,
    /// The one that is tried.
    Canary,
}

/// What clients are known by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// The first value of a header.
    Header(HeaderName),
    /// The first cookie of that name.
    Cookie(Box<str>),
    /// The client's address; of IPv6 its first 64 bits.
    ClientIp,
}

/// Deals streams to the versions of one plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    seed: u64,
    key: Option<Key>,
}

impl Split {
    /// A split by a key, or by chance. Two splits with the same salt choose the same clients first.
    pub fn new(salt: &str, key: Option<Key>) -> Self {
        let seed = xxh64(salt.as_bytes(), 0);
        Self { seed, key }
    }

    /// The bucket of a stream: of its key, and by chance if it has none.
    pub fn bucket(&self, headers: &HeaderMap, client: IpAddr, draw: u64) -> Bucket {
        let of_key = match &self.key {
            None => None,
            Some(Key::ClientIp) => Some(self.of_client(client)),
            Some(Key::Header(name)) => self.of_value(headers.get(name).map(|it| it.as_bytes())),
            Some(Key::Cookie(name)) => self.of_value(cookie(headers, name.as_bytes())),
        };
        of_key.unwrap_or_else(|| Bucket::below(draw))
    }

    fn of_value(&self, value: Option<&[u8]>) -> Option<Bucket> {
        let value = value.filter(|value| !value.is_empty())?;
        Some(Bucket::below(xxh64(value, self.seed)))
    }

    /// Hashed as it is written, without a text in memory.
    fn of_client(&self, client: IpAddr) -> Bucket {
        let mut hash = Hash(Xxh64::new(self.seed));
        // Hashing does not fail.
        let _written = match network(client) {
            IpAddr::V4(address) => std::fmt::write(&mut hash, format_args!("{address}")),
            IpAddr::V6(network) => std::fmt::write(&mut hash, format_args!("{network}/64")),
        };
        Bucket::below(hash.0.digest())
    }
}

/// One of the 10,000 groups of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bucket(u16);

impl Bucket {
    fn below(number: u64) -> Self {
        Self(u16::try_from(number % u64::from(BUCKETS)).unwrap_or(0))
    }

    /// Its number, below [`BUCKETS`].
    pub fn number(self) -> u16 {
        self.0
    }

    /// Which version its streams get while the canary has that share.
    pub fn version(self, canary: Share) -> Version {
        match self.0 < canary.0 {
            true => Version::Canary,
            false => Version::Stable,
        }
    }
}

/// Takes text in, as it is written.
struct Hash(Xxh64);

impl std::fmt::Write for Hash {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The address of IPv4, also where it stands in one of IPv6 (RFC 4291 §2.5.5.2, RFC 6052 §2.1), or
/// the first 64 bits of one of IPv6: a client changes the others by itself.
fn network(client: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = client.to_canonical() else {
        return client.to_canonical();
    };
    let [a, b, c, d, e, f, _, _] = address.segments();
    let last = address.to_bits() & u128::from(u32::MAX);
    match [a, b, c, d, e, f] {
        [0x64, 0xff9b, 0, 0, 0, 0] => {
            IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(last).unwrap_or(0)))
        }
        _ => IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)),
    }
}

/// The first cookie of that name (RFC 6265 §4.2.1), as it is written.
fn cookie<'h>(headers: &'h HeaderMap, name: &[u8]) -> Option<&'h [u8]> {
    let fields = headers.get_all(COOKIE).into_iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (found, value) = pair.split_at_checked(at)?;
        let value = value.get(1..)?.trim_ascii();
        (found.trim_ascii() == name).then_some(value)
    });
    values.next()
}

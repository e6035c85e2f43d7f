//! The PROXY protocol: the header by which a proxy says whom its connection is from.
//!
//! Owns both versions, to read and to write (HAProxy's `proxy-protocol.txt`, "PROXY protocol
//! header format"). What is read is only ever the beginning of the bytes that came: nothing behind
//! the header is looked at. Extensions (TLVs) are skipped.

use std::io::Write as _;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;

use crate::tcp::ProxyProtocol;

/// What version 2 begins with (§2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The fixed part of version 2: signature, version and command, family, length.
const FIXED: usize = 16;
/// What version 1 begins with (§2.1).
const WORD: &[u8] = b"PROXY ";
/// The longest line of version 1, its end included (§2.1).
const LONGEST_LINE: usize = 107;
/// How much of addresses and extensions is read behind the fixed part of version 2. Senders use
/// some hundred bytes; the field could announce 64 KiB.
const MOST_BEHIND: usize = 4096;

/// The longest header that is read.
pub const LONGEST: usize = FIXED + MOST_BEHIND;

/// The two ends of a connection as a proxy in front saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    /// The client.
    pub source: SocketAddr,
    /// The address that it connected to.
    pub destination: SocketAddr,
}

/// What the beginning of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// All bytes so far are of a header that goes on.
    Incomplete,
    /// A whole header.
    Header {
        /// How many bytes it has.
        length: usize,
        /// The ends it names; none if the proxy speaks for itself or does not know (`LOCAL`,
        /// `UNKNOWN`), or if they are no addresses of TCP: then the connection's own are meant.
        ends: Option<Ends>,
    },
}

/// The bytes do not begin with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no PROXY protocol header")]
pub struct Malformed;

/// Reads what a connection begins with: all its bytes so far, or more than those of the header.
///
/// # Errors
///
/// [`Malformed`] as soon as it is certain; longer ones than [`LONGEST`] are.
pub fn decode(bytes: &[u8]) -> Result<Beginning, Malformed> {
    if begins(bytes, SIGNATURE) {
        return binary(bytes);
    }
    if begins(bytes, WORD) {
        return line(bytes);
    }
    Err(Malformed)
}

/// Whether `bytes` begin with `word`, or are the beginning of it.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    let shared = bytes.len().min(word.len());
    bytes.get(..shared) == word.get(..shared)
}

fn line(bytes: &[u8]) -> Result<Beginning, Malformed> {
    let seen = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
    let Some(at) = seen.iter().position(|byte| *byte == b'\r') else {
        return match seen.len() {
            LONGEST_LINE => Err(Malformed),
            _ => Ok(Beginning::Incomplete),
        };
    };
    let header = |ends| {
        Ok(Beginning::Header {
            length: at + 2,
            ends,
        })
    };
    match seen.get(at + 1) {
        None if seen.len() < LONGEST_LINE => return Ok(Beginning::Incomplete),
        Some(b'\n') => {}
        _ => return Err(Malformed),
    }
    let text = bytes.get(WORD.len()..at).ok_or(Malformed)?;
    let text = std::str::from_utf8(text).map_err(|_| Malformed)?;
    if text == "UNKNOWN" || text.starts_with("UNKNOWN ") {
        return header(None);
    }
    header(Some(ends_of_line(text).ok_or(Malformed)?))
}

/// `TCP4 source destination port port`, each once and one space apart.
fn ends_of_line(text: &str) -> Option<Ends> {
    let mut words = text.split(' ');
    let family = words.next()?;
    let mut address = || {
        let word = words.next()?;
        Some(match family {
            "TCP4" => IpAddr::V4(word.parse::<Ipv4Addr>().ok()?),
            "TCP6" => IpAddr::V6(word.parse::<Ipv6Addr>().ok()?),
            _ => return None,
        })
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let plain = word.bytes().all(|byte| byte.is_ascii_digit());
        let short = word == "0" || !word.starts_with('0');
        (plain && short).then(|| word.parse::<u16>().ok()).flatten()
    };
    let ends = Ends {
        source: SocketAddr::new(source, port()?),
        destination: SocketAddr::new(destination, port()?),
    };
    words.next().is_none().then_some(ends)
}

fn binary(bytes: &[u8]) -> Result<Beginning, Malformed> {
    let Some((fixed, behind)) = bytes.split_first_chunk::<FIXED>() else {
        // What there is of it must be right already.
        return match bytes.get(SIGNATURE.len()) {
            Some(0x20 | 0x21) | None => Ok(Beginning::Incomplete),
            Some(_) => Err(Malformed),
        };
    };
    let [.., command, family, high, low] = *fixed;
    let length = usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) || length > MOST_BEHIND {
        return Err(Malformed);
    }
    let Some(behind) = behind.get(..length) else {
        return Ok(Beginning::Incomplete);
    };
    let ends = match (command, family) {
        // The proxy speaks for itself: whatever else is there is not to be looked at.
        (0x20, _) => None,
        (_, 0x11) => Some(binary_ends::<4>(behind)?),
        (_, 0x21) => Some(binary_ends::<16>(behind)?),
        // Unspecified, datagrams and local sockets.
        (_, 0x00 | 0x12 | 0x22 | 0x31 | 0x32) => None,
        _ => return Err(Malformed),
    };
    Ok(Beginning::Header {
        length: FIXED + length,
        ends,
    })
}

fn binary_ends<const N: usize>(behind: &[u8]) -> Result<Ends, Malformed>
where
    IpAddr: From<[u8; N]>,
{
    let (source, rest) = behind.split_first_chunk::<N>().ok_or(Malformed)?;
    let (destination, rest) = rest.split_first_chunk::<N>().ok_or(Malformed)?;
    let (from, rest) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
    let (to, _) = rest.split_first_chunk::<2>().ok_or(Malformed)?;
    Ok(Ends {
        source: SocketAddr::new(IpAddr::from(*source), u16::from_be_bytes(*from)),
        destination: SocketAddr::new(IpAddr::from(*destination), u16::from_be_bytes(*to)),
    })
}

/// Writes the header for a connection that is made for a client; without ends, the one that says
/// that the proxy speaks for itself.
pub fn encode(version: ProxyProtocol, ends: Option<&Ends>) -> Vec<u8> {
    let ends = ends.map(of_one_family);
    match version {
        ProxyProtocol::V1 => encode_line(ends),
        ProxyProtocol::V2 => encode_binary(ends),
    }
}

/// Both ends as addresses of the same family: a header has no others.
fn of_one_family(ends: &Ends) -> (IpAddr, IpAddr, u16, u16) {
    let (source, destination) = (
        ends.source.ip().to_canonical(),
        ends.destination.ip().to_canonical(),
    );
    let wide = |ip| match ip {
        IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
        wide @ IpAddr::V6(_) => wide,
    };
    let (source, destination) = if source.is_ipv4() && destination.is_ipv4() {
        (source, destination)
    } else {
        (wide(source), wide(destination))
    };
    (
        source,
        destination,
        ends.source.port(),
        ends.destination.port(),
    )
}

fn encode_line(ends: Option<(IpAddr, IpAddr, u16, u16)>) -> Vec<u8> {
    let Some((source, destination, from, to)) = ends else {
        return b"PROXY UNKNOWN\r\n".to_vec();
    };
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    format!("PROXY {family} {source} {destination} {from} {to}\r\n").into_bytes()
}

fn encode_binary(ends: Option<(IpAddr, IpAddr, u16, u16)>) -> Vec<u8> {
    let mut out = SIGNATURE.to_vec();
    // Writing to a Vec cannot fail.
    let mut put = |bytes: &[u8]| out.write_all(bytes).ok();
    match ends {
        None => {
            put(&[0x20, 0x00, 0, 0]);
        }
        Some((IpAddr::V4(source), IpAddr::V4(destination), from, to)) => {
            put(&[0x21, 0x11, 0, 12]);
            put(&source.octets());
            put(&destination.octets());
            put(&from.to_be_bytes());
            put(&to.to_be_bytes());
        }
        Some((source, destination, from, to)) => {
            let octets = |ip| match ip {
                IpAddr::V4(ip) => Ipv4Addr::to_ipv6_mapped(&ip).octets(),
                IpAddr::V6(ip) => ip.octets(),
            };
            put(&[0x21, 0x21, 0, 36]);
            put(&octets(source));
            put(&octets(destination));
            put(&from.to_be_bytes());
            put(&to.to_be_bytes());
        }
    }
    out
}

#[cfg(test)]
mod tests;

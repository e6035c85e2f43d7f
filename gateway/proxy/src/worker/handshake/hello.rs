//! The first message of a TLS client.

use std::io;

use rustls::server::Accepted;
use rustls::server::Acceptor;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use super::Refusal;

/// What one read takes: never more than the acceptor has room for.
const READ_SIZE: usize = 4096;
/// The first byte of a TLS record of a handshake (RFC 8446 §5.1).
const HANDSHAKE_RECORD: u8 = 22;

/// The extension by which a client shows a ticket (RFC 8446 §4.2).
const PRE_SHARED_KEY: [u8; 2] = 41u16.to_be_bytes();

/// Fatal `decode_error` (RFC 8446 §6.2), as a record in the clear.
const DECODE_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 50];

/// A client's greeting.
pub(super) struct Hello {
    pub(super) accepted: Accepted,
    /// All that was read of the client.
    pub(super) read: Vec<u8>,
}

impl Hello {
    /// Whether the client shows a ticket of an earlier session (RFC 8446 §4.2.11). A greeting that is
    /// cut into several records is not looked into.
    pub(super) fn shows_ticket(&self) -> bool {
        shows_ticket(&self.read).unwrap_or(false)
    }
}

fn shows_ticket(record: &[u8]) -> Option<bool> {
    // A record's head (§5.1), then a handshake message's (§4), version and random (§4.1.2).
    let rest = record.get(5 + 4 + 2 + 32..)?;
    let (_, rest) = sized::<1>(rest)?; // The session of older versions.
    let (_, rest) = sized::<2>(rest)?; // Suites.
    let (_, rest) = sized::<1>(rest)?; // Compression.
    let (mut extensions, _) = sized::<2>(rest)?;
    while let Some((kind, rest)) = extensions.split_first_chunk::<2>() {
        if *kind == PRE_SHARED_KEY {
            return Some(true);
        }
        (_, extensions) = sized::<2>(rest)?;
    }
    Some(false)
}

/// What follows its length of so many bytes, and the rest.
fn sized<const N: usize>(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<N>()?;
    let length = length
        .iter()
        .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    rest.split_at_checked(length)
}

/// Reads the greeting. Its length is bounded by the library; the caller limits the time.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Hello, Refusal> {
    let mut acceptor = Acceptor::default();
    let mut read = Vec::with_capacity(READ_SIZE);
    loop {
        let before = read.len();
        read.reserve(READ_SIZE);
        let taken = (&mut *stream)
            .take(READ_SIZE as u64)
            .read_buf(&mut read)
            .await;
        match taken {
            Ok(0) | Err(_) => return Err(Refusal::Closed),
            Ok(_) => {}
        }
        match read.first() {
            Some(&HANDSHAKE_RECORD) => {}
            // Methods of HTTP are capital letters.
            Some(first) if first.is_ascii_uppercase() => return Err(Refusal::PlainHttp),
            _ => return Err(Refusal::NotTls),
        }
        let mut new = read.get(before..).unwrap_or_default();
        while !new.is_empty() {
            let took = acceptor.read_tls(&mut new).map_err(|_| Refusal::NotTls)?;
            if took == 0 {
                return Err(Refusal::NotTls);
            }
        }
        match acceptor.accept() {
            Ok(Some(accepted)) => return Ok(Hello { accepted, read }),
            Ok(None) => {}
            Err((err, mut alert)) => {
                let mut bytes = Vec::new();
                alert.write_all(&mut io::Cursor::new(&mut bytes)).ok();
                if bytes.is_empty() {
                    bytes.extend_from_slice(DECODE_ERROR);
                }
                return Err(Refusal::BadHello(err, bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::shows_ticket;

    /// A greeting with these extensions, each with its bytes.
    fn hello(extensions: &[(u16, &[u8])]) -> Vec<u8> {
        let mut hello = vec![0; 5 + 4 + 2 + 32];
        hello.extend([2, 7, 7]); // A session of two bytes.
        hello.extend([0, 2, 0x13, 0x01]); // One suite.
        hello.extend([1, 0]); // No compression.
        let mut all = Vec::new();
        for (kind, bytes) in extensions {
            all.extend(kind.to_be_bytes());
            all.extend(u16::try_from(bytes.len()).expect("short").to_be_bytes());
            all.extend_from_slice(bytes);
        }
        hello.extend(u16::try_from(all.len()).expect("short").to_be_bytes());
        hello.extend(all);
        hello
    }

    #[test]
    fn a_ticket_is_seen_among_the_extensions() {
        let with = hello(&[(0, b"name"), (43, &[]), (41, &[0; 300])]);
        assert_eq!(shows_ticket(&with), Some(true));
        let without = hello(&[(0, &41u16.to_be_bytes()), (43, &[0, 41])]);
        assert_eq!(shows_ticket(&without), Some(false));
        assert_eq!(shows_ticket(&hello(&[])), Some(false));
    }

    #[test]
    fn a_greeting_that_is_cut_anywhere_shows_no_ticket() {
        let whole = hello(&[(0, b"name"), (43, &[]), (41, &[0; 30])]);
        let begins = whole.len() - 34;
        for end in 0..begins {
            assert_ne!(shows_ticket(&whole[..end]), Some(true), "cut at {end}");
        }
    }
}

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

/// Fatal `decode_error` (RFC 8446 §6.2), as a record in the clear.
const DECODE_ERROR: &[u8] = &[21, 3, 3, 0, 2, 2, 50];

/// A client's greeting.
pub(super) struct Hello {
    pub(super) accepted: Accepted,
    /// All that was read of the client.
    pub(super) read: Vec<u8>,
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

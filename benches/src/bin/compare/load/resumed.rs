//! One request on each TLS connection, with the session of an earlier one.
//!
//! There is no tool that does this and says whether it did: here every connection is asked.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustls::client::Resumption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};
use tidegate_benches::process::pinned;

use crate::configs::NAME;
use crate::load::Load;

/// How many clients there are at a time.
const CLIENTS: u32 = 16;

/// How long a proxy may take for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// How many connections a client counts as a start: tickets have to come first.
const FIRST: u64 = 1;

/// What a client did.
#[derive(Debug, Default, Clone, Copy)]
struct Done {
    requests: u64,
    resumed: u64,
}

/// Puts load on a proxy and returns how many requests it answered.
pub(super) fn run(load: &Load<'_>, to: SocketAddr, seconds: u32) -> Result<u64> {
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let certificate = CertificateDer::from_pem_slice(load.identity.certificate.as_bytes())?;
    let bytes = load.bytes;
    let clients = pinned(load.core, || {
        (0..CLIENTS)
            .map(|_| {
                let config = config(certificate.clone())?;
                Ok(thread::spawn(move || {
                    client(&Arc::new(config), to, bytes, end)
                }))
            })
            .collect::<Result<Vec<_>>>()
    })??;
    let mut all = Done::default();
    for client in clients {
        let done = client
            .join()
            .unwrap_or_else(|_| bail!("a client panicked"))?;
        all.requests += done.requests;
        all.resumed += done.resumed;
    }
    let full = all.requests - all.resumed;
    if full > u64::from(CLIENTS) * FIRST {
        bail!("{full} of {} sessions were not resumed", all.requests);
    }
    Ok(all.requests)
}

/// TLS 1.3 with one group and one suite, so that everybody does the same work.
fn config(certificate: CertificateDer<'static>) -> Result<ClientConfig> {
    let provider = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        ..aws_lc_rs::default_provider()
    };
    let mut roots = RootCertStore::empty();
    roots.add(certificate)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(8);
    Ok(config)
}

fn client(config: &Arc<ClientConfig>, to: SocketAddr, bytes: u32, end: Instant) -> Result<Done> {
    let request = format!("GET /{bytes} HTTP/1.1\r\nhost: {NAME}\r\n\r\n");
    let mut done = Done::default();
    while Instant::now() < end {
        let resumed = exchange(config, to, &request)
            .with_context(|| format!("request {} of a client", done.requests + 1))?;
        done.requests += 1;
        done.resumed += u64::from(resumed);
    }
    Ok(done)
}

/// One connection with one request; says whether its session was resumed.
fn exchange(config: &Arc<ClientConfig>, to: SocketAddr, request: &str) -> Result<bool> {
    let tcp = TcpStream::connect_timeout(&to, LIMIT)?;
    tcp.set_nodelay(true)?;
    tcp.set_read_timeout(Some(LIMIT))?;
    let tls = ClientConnection::new(Arc::clone(config), ServerName::try_from(NAME)?)?;
    let mut stream = StreamOwned::new(tls, tcp);
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 16 << 10];
    while !is_whole(&answer)? {
        let read = stream.read(&mut buffer)?;
        if read == 0 {
            bail!("the answer was cut");
        }
        answer.extend_from_slice(buffer.get(..read).unwrap_or_default());
    }
    let resumed = stream.conn.handshake_kind() == Some(HandshakeKind::Resumed);
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(resumed)
}

/// Whether an answer with a length is there as a whole.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let Some(head) = answer.windows(4).position(|it| it == b"\r\n\r\n") else {
        return Ok(false);
    };
    let text = String::from_utf8_lossy(answer.get(..head).unwrap_or_default());
    let mut lines = text.lines();
    let status = lines.next().unwrap_or_default();
    if !status.starts_with("HTTP/1.1 200") {
        bail!("answered {status:?}");
    }
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    let length: usize = length.context("an answer without length")?.trim().parse()?;
    Ok(answer.len() >= head + 4 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_last_byte() {
        assert!(!is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na").unwrap());
        assert!(is_whole(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab").unwrap());
        assert!(is_whole(b"HTTP/1.1 503 No\r\n\r\n").is_err());
    }
}

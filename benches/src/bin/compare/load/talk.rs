//! Messages there and back on many connections, one at a time on each: WebSocket frames, or bytes.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_benches::process::pinned;

use crate::load::Load;

/// How long a proxy may take for anything.
const LIMIT: Duration = Duration::from_secs(10);

/// A request for a WebSocket (RFC 6455 §1.2).
const UPGRADE: &str = "GET / HTTP/1.1\r\nhost: bench.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
     sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/// What is said.
#[derive(Debug)]
pub(super) struct Talk {
    is_websocket: bool,
    /// Bytes of a message, without a frame's head.
    size: usize,
    /// Connections, if not those of the command line.
    connections: Option<u32>,
}

impl Talk {
    /// Frames of a client with 100 bytes in them; the origin sends them back as they are.
    pub(super) const WEBSOCKET: Self = Self {
        is_websocket: true,
        size: 100,
        connections: None,
    };
    /// Bytes of no protocol.
    pub(super) const BYTES: Self = Self {
        is_websocket: false,
        size: 64 << 10,
        connections: Some(16),
    };

    /// The size of a message in MiB.
    pub(super) fn mebibytes(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let size = self.size as f64;
        size / f64::from(1 << 20)
    }

    fn message(&self) -> Vec<u8> {
        let mut message = Vec::new();
        if self.is_websocket {
            // A whole binary message, masked with zeros (RFC 6455 §5.2); sizes below 126 fit here.
            message.extend([0x82, 0x80 | 100, 0, 0, 0, 0]);
        }
        message.resize(message.len() + self.size, b'.');
        message
    }
}

/// Puts load on a proxy and returns how many messages came back.
pub(super) fn run(load: &Load<'_>, talk: &Talk, to: SocketAddr, seconds: u32) -> Result<u64> {
    let end = Instant::now() + Duration::from_secs(seconds.into());
    let count = talk.connections.unwrap_or(load.connections);
    let clients: Vec<_> = pinned(load.core, || {
        let client = |_| {
            let (message, is_websocket) = (talk.message(), talk.is_websocket);
            thread::spawn(move || client(to, &message, is_websocket, end))
        };
        (0..count).map(client).collect()
    })?;
    let mut sum = 0;
    for client in clients {
        sum += client
            .join()
            .unwrap_or_else(|_| bail!("a client panicked"))?;
    }
    if sum == 0 {
        bail!("no message came back");
    }
    Ok(sum)
}

fn client(to: SocketAddr, message: &[u8], is_websocket: bool, end: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect_timeout(&to, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    if is_websocket {
        upgrade(&mut stream).context("ask for a WebSocket")?;
    }
    let mut back = vec![0; message.len()];
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(message)?;
        stream.read_exact(&mut back)?;
        if back != message {
            bail!("a message came back changed");
        }
        count += 1;
    }
    Ok(count)
}

fn upgrade(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(UPGRADE.as_bytes())?;
    let mut head = Vec::new();
    let mut byte = [0];
    // Nothing may come behind the head before we have spoken.
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head);
    if !head.starts_with("HTTP/1.1 101") {
        bail!("answered {:?}", head.lines().next().unwrap_or_default());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_says_its_size() {
        let message = Talk::WEBSOCKET.message();
        assert_eq!((message.len(), message.get(1)), (106, Some(&228)));
        assert_eq!(Talk::BYTES.message().len(), 65_536);
        assert_eq!(Talk::BYTES.mebibytes().to_string(), "0.0625");
    }
}

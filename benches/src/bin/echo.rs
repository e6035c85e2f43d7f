//! `echo LISTEN`: sends back what it is sent; to whoever asks for a WebSocket, from then on.
//!
//! It looks at no frame: what clients send masked comes back masked. Like `origin`, it exists to be
//! faster than any proxy in front of it.

use std::env;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use slab::Slab;
use tidegate_benches::poller::{Interest, Poller, Socket, Step, accept};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// The number of the listening socket; connections count from 0.
const LISTENER: usize = usize::MAX;

/// The most that is read at once.
const BUFFER: usize = 256 << 10;

/// The longest request head; whoever sends more is cut off.
const LONGEST_HEAD: usize = 64 << 10;

/// How a request begins.
const REQUEST: &[u8] = b"GET ";

/// The end of a request head.
const HEAD_END: &[u8] = b"\r\n\r\n";

/// One connection.
struct Client {
    socket: Socket,
    /// The beginning of a request; `None` once it is clear that no request comes any more.
    begun: Option<Vec<u8>>,
}

struct Echo {
    poller: Poller,
    clients: Slab<Client>,
    buffer: Vec<u8>,
}

fn main() -> Result<()> {
    let listen: SocketAddr = env::args().nth(1).context("usage: echo LISTEN")?.parse()?;
    let listener = TcpListener::bind(listen).with_context(|| format!("listen at {listen}"))?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::Read)?;
    let mut echo = Echo {
        poller,
        clients: Slab::new(),
        buffer: vec![0; BUFFER],
    };
    let mut ready = Vec::new();
    loop {
        echo.poller.wait(&mut ready)?;
        for number in &ready {
            match *number {
                LISTENER => echo.accept(&listener)?,
                number => echo.go_on(number)?,
            }
        }
    }
}

impl Echo {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let Some(stream) = accept(listener) else {
            return Ok(());
        };
        let number = self.clients.insert(Client {
            socket: Socket::new(stream)?,
            begun: Some(Vec::new()),
        });
        if let Some(client) = self.clients.get(number) {
            self.poller
                .add(client.socket.stream(), number, Interest::Read)?;
        }
        Ok(())
    }

    fn go_on(&mut self, number: usize) -> Result<()> {
        let Some(client) = self.clients.get_mut(number) else {
            return Ok(());
        };
        let was_blocked = client.socket.has_unsent();
        let step = if was_blocked {
            client.socket.flush()
        } else {
            match client.socket.read(&mut self.buffer) {
                Step::Done(read) => client.answer(self.buffer.get(..read).unwrap_or_default()),
                Step::Later => return Ok(()),
                Step::Over => Step::Over,
            }
        };
        match step {
            Step::Done(_) if was_blocked => self.watch(number, Interest::Read),
            Step::Later if !was_blocked => self.watch(number, Interest::Write),
            Step::Done(_) | Step::Later => Ok(()),
            Step::Over => {
                self.clients.remove(number);
                Ok(())
            }
        }
    }

    fn watch(&self, number: usize, interest: Interest) -> Result<()> {
        if let Some(client) = self.clients.get(number) {
            self.poller
                .change(client.socket.stream(), number, interest)?;
        }
        Ok(())
    }
}

impl Client {
    fn answer(&mut self, bytes: &[u8]) -> Step {
        let Some(begun) = &mut self.begun else {
            return self.socket.send(bytes);
        };
        begun.extend_from_slice(bytes);
        if !begins_alike(begun, REQUEST) {
            let bytes = std::mem::take(begun);
            self.begun = None;
            return self.socket.send(&bytes);
        }
        let end = begun.windows(HEAD_END.len()).position(|it| it == HEAD_END);
        let Some(end) = end else {
            return if begun.len() > LONGEST_HEAD {
                Step::Over
            } else {
                Step::Done(0)
            };
        };
        let answer = answer_to(&String::from_utf8_lossy(
            begun.get(..end).unwrap_or_default(),
        ));
        let rest = begun.split_off(end + HEAD_END.len());
        self.begun = None;
        match self.socket.send(answer.as_bytes()) {
            Step::Done(_) => self.socket.send(&rest),
            other => other,
        }
    }
}

/// Whether one is the beginning of the other.
fn begins_alike(bytes: &[u8], request: &[u8]) -> bool {
    bytes.iter().zip(request).all(|(one, other)| one == other)
}

/// The answer that makes a WebSocket of a connection (RFC 6455 §4.2.2).
fn answer_to(head: &str) -> String {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then(|| value.trim())
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {accept}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_websocket_is_accepted_as_in_the_rfc() {
        let answer = answer_to("GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
        assert!(
            answer.contains("accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{answer}"
        );
    }

    #[test]
    fn what_is_no_request_is_known_at_once() {
        assert!(begins_alike(b"GE", REQUEST) && begins_alike(b"GET /", REQUEST));
        assert!(!begins_alike(b"....", REQUEST));
    }
}

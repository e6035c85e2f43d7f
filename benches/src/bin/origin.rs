//! `origin LISTEN`: answers every GET with as many bytes as the path says, `/100` with a hundred.
//!
//! It exists to be faster than any proxy in front of it, so that it never is what is measured. It
//! understands just enough HTTP for that: requests without bodies, keep-alive, pipelining.

use std::collections::HashMap;
use std::env;
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context, Result};
use slab::Slab;
use tidegate_benches::poller::{Interest, Poller, Socket, Step, accept};

/// The number of the listening socket; connections count from 0.
const LISTENER: usize = usize::MAX;

/// The most that is read at once.
const BUFFER: usize = 64 << 10;

/// The longest request head; whoever sends more is cut off.
const LONGEST_HEAD: usize = 64 << 10;

/// The largest answer.
const LARGEST: usize = 16 << 20;

/// The end of a request head.
const HEAD_END: &[u8] = b"\r\n\r\n";

struct Client {
    socket: Socket,
    /// The beginning of a request whose end has not come yet.
    begun: Vec<u8>,
}

struct Origin {
    poller: Poller,
    clients: Slab<Client>,
    buffer: Vec<u8>,
    answers: HashMap<usize, Vec<u8>>,
}

fn main() -> Result<()> {
    let listen: SocketAddr = env::args()
        .nth(1)
        .context("usage: origin LISTEN")?
        .parse()?;
    let listener = TcpListener::bind(listen).with_context(|| format!("listen at {listen}"))?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::Read)?;

    let (clients, buffer) = (Slab::new(), vec![0; BUFFER]);
    let mut origin = Origin {
        poller,
        clients,
        buffer,
        answers: HashMap::new(),
    };
    let mut ready = Vec::new();
    loop {
        origin.poller.wait(&mut ready)?;
        for number in &ready {
            match *number {
                LISTENER => origin.accept(&listener)?,
                number => origin.go_on(number)?,
            }
        }
    }
}

impl Origin {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let Some(stream) = accept(listener) else {
            return Ok(());
        };
        let client = Client {
            socket: Socket::new(stream)?,
            begun: Vec::new(),
        };
        let number = self.clients.insert(client);
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
                Step::Done(read) => {
                    client
                        .begun
                        .extend_from_slice(self.buffer.get(..read).unwrap_or_default());
                    client.answer(&mut self.answers)
                }
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
    /// Answers every request that is whole.
    fn answer(&mut self, answers: &mut HashMap<usize, Vec<u8>>) -> Step {
        while let Some((head, rest)) = split_head(&self.begun) {
            let Some(size) = wanted_size(head) else {
                return Step::Over;
            };
            let head = self.begun.len() - rest.len();
            let answer = answers.entry(size).or_insert_with(|| answer_of(size));
            let sent = self.socket.send(answer);
            self.begun.drain(..head);
            if sent == Step::Over {
                return Step::Over;
            }
        }
        match (self.begun.len() > LONGEST_HEAD, self.socket.has_unsent()) {
            (true, _) => Step::Over,
            (false, true) => Step::Later,
            (false, false) => Step::Done(0),
        }
    }
}

/// The first request head, and what is behind it.
fn split_head(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes
        .windows(HEAD_END.len())
        .position(|it| it == HEAD_END)?;
    bytes.split_at_checked(end + HEAD_END.len())
}

/// The number that is the path of a GET.
fn wanted_size(head: &[u8]) -> Option<usize> {
    let path = head.strip_prefix(b"GET /")?;
    let digits = path.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let text = std::str::from_utf8(path.get(..digits)?).ok()?;
    text.parse().ok().filter(|size| *size <= LARGEST)
}

fn answer_of(size: usize) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {size}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + size, b'.');
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_how_much_is_wanted() {
        assert_eq!(wanted_size(b"GET /100 HTTP/1.1\r\n\r\n"), Some(100));
        assert_eq!(wanted_size(b"GET / HTTP/1.1\r\n\r\n"), None);
        assert_eq!(wanted_size(b"POST /1 HTTP/1.1\r\n\r\n"), None);
    }

    #[test]
    fn a_head_ends_at_an_empty_line() {
        assert_eq!(
            split_head(b"GET /1\r\n\r\nGET"),
            Some((&b"GET /1\r\n\r\n"[..], &b"GET"[..]))
        );
        assert_eq!(split_head(b"GET /1\r\n\r"), None);
    }
}

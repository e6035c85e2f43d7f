//! Somebody who asks for the same page all the time, on one connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// One connection.
#[derive(Debug)]
pub(crate) struct Visitor {
    stream: TcpStream,
}

impl Visitor {
    pub(crate) fn new(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream })
    }

    /// Asks, and returns which version of the configuration answered.
    pub(crate) fn version(&mut self) -> Result<u64> {
        self.stream
            .write_all(b"GET /1 HTTP/1.1\r\nhost: others.test\r\n\r\n")?;
        let head = self.answer()?;
        ensure!(
            head.starts_with("HTTP/1.1 200 "),
            "a request failed:\n{head}"
        );
        let version = head
            .lines()
            .find_map(|line| line.strip_prefix("x-version: "));
        version
            .context("an answer has no version")?
            .parse()
            .context("a version is a number")
    }

    /// Reads one answer with its body of one byte, and returns its head.
    fn answer(&mut self) -> Result<String> {
        let mut read = Vec::new();
        let mut some = [0; 4096];
        loop {
            let count = self.stream.read(&mut some)?;
            ensure!(count > 0, "the connection was closed");
            read.extend(some.iter().take(count));
            let text = String::from_utf8_lossy(&read);
            if let Some((head, body)) = text.split_once("\r\n\r\n")
                && !body.is_empty()
            {
                return Ok(head.to_owned());
            }
        }
    }
}

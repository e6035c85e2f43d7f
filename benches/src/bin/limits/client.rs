//! A connection that asks as fast as it is answered.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// What became of requests.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) admitted: u64,
    pub(crate) refused: u64,
    /// When the first answer came.
    pub(crate) first: Option<Instant>,
}

impl Seen {
    pub(crate) fn add(&mut self, other: Self) {
        self.admitted += other.admitted;
        self.refused += other.refused;
        self.first = [self.first, other.first].into_iter().flatten().min();
    }
}

/// Asks until that time. Any answer but 200 and 429 is an error.
pub(crate) fn ask_until(address: SocketAddr, end: Instant) -> Result<Seen> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_nodelay(true)?;
    let mut seen = Seen::default();
    let mut read = Vec::new();
    while Instant::now() < end {
        stream.write_all(b"GET /100 HTTP/1.1\r\nhost: shop.test\r\n\r\n")?;
        match answer(&mut stream, &mut read)? {
            200 => seen.admitted += 1,
            429 => seen.refused += 1,
            status => bail!("status {status}"),
        }
        seen.first.get_or_insert_with(Instant::now);
    }
    Ok(seen)
}

/// Reads one answer whose length its head says, and returns its status.
fn answer(stream: &mut TcpStream, read: &mut Vec<u8>) -> Result<u16> {
    read.clear();
    let mut some = [0; 4096];
    loop {
        let count = stream.read(&mut some)?;
        ensure!(count > 0, "the connection was closed");
        read.extend(some.iter().take(count));
        let Some((status, length)) = head(read) else {
            continue;
        };
        if read.len() >= length {
            return Ok(status);
        }
    }
}

/// The status, and how long the whole message is; `None` if the head is not whole.
fn head(read: &[u8]) -> Option<(u16, usize)> {
    let text = String::from_utf8_lossy(read);
    let (head, _) = text.split_once("\r\n\r\n")?;
    let status = head.get(9..12)?.parse().ok()?;
    let body = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim().parse::<usize>().ok())?
    });
    Some((status, head.len() + 4 + body?))
}

//! Clients that ask at fixed times, whether they have been answered or not.
//!
//! Owns what is counted. A request waits for its connection if the answer before is late, and that
//! wait is part of its time: nothing that the gateway holds up goes unseen. Each answer must be of a
//! version that was in force while its request ran.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tidegate_benches::process::{Core, pinned};

use crate::site::DIGITS;
use crate::wait_for;

/// Connections; more than any answer takes at a time.
const CLIENTS: u32 = 16;
/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Failures whose words are kept.
const MOST_WORDS: usize = 5;

/// What all clients share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The newest version that anybody may have been answered by.
    pub(crate) written: AtomicU64,
    /// The version that all workers have, at least.
    pub(crate) confirmed: AtomicU64,
    /// Whether versions change now.
    pub(crate) changing: AtomicBool,
    stop: AtomicBool,
    seen: Mutex<Seen>,
}

/// What came of the requests.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Times while nothing changed.
    pub(crate) steady: Vec<Duration>,
    /// Times while versions changed.
    pub(crate) changing: Vec<Duration>,
    /// Requests that failed.
    pub(crate) failed: u64,
    /// Answers of a version that was not in force.
    pub(crate) wrong: u64,
    /// What was said of the first of both.
    pub(crate) words: Vec<String>,
}

/// Clients that run.
pub(crate) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Begins with so many requests a second.
    pub(crate) fn start(
        address: SocketAddr,
        rate: u32,
        shared: &Arc<Shared>,
        core: Core,
    ) -> Result<Self> {
        let pace = Duration::from_secs(1) * CLIENTS / rate.max(1);
        let begin = Instant::now();
        let client = |number| {
            let shared = Arc::clone(shared);
            let first = begin + pace * number / CLIENTS;
            let run = move || run(address, &shared, first, pace);
            std::thread::Builder::new().spawn(run)
        };
        let clients = pinned(core, || (0..CLIENTS).map(client).collect::<Result<_, _>>())??;
        Ok(Self {
            shared: Arc::clone(shared),
            clients,
        })
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<Seen> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            if client.join().is_err() {
                bail!("a client failed");
            }
        }
        let mut seen = self
            .shared
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(std::mem::take(&mut *seen))
    }
}

fn run(address: SocketAddr, shared: &Shared, first: Instant, pace: Duration) {
    let mut connection = None;
    let mut due = first;
    while !shared.stop.load(Ordering::Relaxed) {
        wait_for(due.saturating_duration_since(Instant::now()));
        let is_changing = shared.changing.load(Ordering::Relaxed);
        let oldest = shared.confirmed.load(Ordering::SeqCst);
        let answered = ask(&mut connection, address);
        let newest = shared.written.load(Ordering::SeqCst);
        let time = due.elapsed();
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match answered {
            Ok(version) if (oldest..=newest).contains(&version) => {}
            Ok(version) => {
                seen.wrong += 1;
                let words = format!("{version} answered, from {oldest} to {newest} may");
                seen.say(words);
            }
            Err(err) => {
                connection = None;
                seen.failed += 1;
                seen.say(format!("{err:#}"));
            }
        }
        let times = if is_changing {
            &mut seen.changing
        } else {
            &mut seen.steady
        };
        times.push(time);
        drop(seen);
        due += pace;
    }
}

impl Seen {
    fn say(&mut self, words: String) {
        if self.words.len() < MOST_WORDS {
            self.words.push(words);
        }
    }
}

/// Asks; the version that answered.
fn ask(connection: &mut Option<TcpStream>, address: SocketAddr) -> Result<u64> {
    let stream = match connection {
        Some(stream) => stream,
        None => {
            let stream = TcpStream::connect_timeout(&address, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            stream.set_nodelay(true)?;
            connection.insert(stream)
        }
    };
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")?;
    let mut read = Vec::new();
    let mut some = [0; 1024];
    loop {
        let count = stream.read(&mut some)?;
        ensure!(count > 0, "the connection was closed");
        read.extend(some.iter().take(count));
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= DIGITS
        {
            ensure!(
                head.starts_with("HTTP/1.1 200 "),
                "a request failed:\n{head}"
            );
            return body.trim().parse().context("a version is a number");
        }
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            ensure!(
                head.starts_with("HTTP/1.1 200 "),
                "a request failed:\n{head}"
            );
        }
    }
}

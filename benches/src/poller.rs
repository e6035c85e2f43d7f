//! A minimal event loop: `epoll`, level-triggered, and sockets that keep what they could not send.
//!
//! Used by the floor proxy and the origin, which must cost as little as a program can. It knows no
//! protocol and has no timers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

/// How many events are taken at once.
const BATCH: usize = 256;

/// What to wait for on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Something to read.
    Read,
    /// Room to write.
    Write,
    /// Nothing for now.
    Nothing,
}

impl Interest {
    const fn flags(self) -> EventFlags {
        match self {
            Self::Read => EventFlags::IN,
            Self::Write => EventFlags::OUT,
            Self::Nothing => EventFlags::empty(),
        }
    }
}

/// The sockets waited for.
pub struct Poller {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poller {
    /// An empty set of sockets.
    ///
    /// # Errors
    /// If the system has no room for it.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll,
            events: Vec::with_capacity(BATCH),
        })
    }

    /// Adds a socket under a number; closing it takes it out again.
    ///
    /// # Errors
    /// If the system has no room for it.
    pub fn add(&self, socket: &impl AsFd, number: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(number as u64),
            interest.flags(),
        )?)
    }

    /// Waits for something else on a socket.
    ///
    /// # Errors
    /// If it was not added.
    pub fn change(&self, socket: &impl AsFd, number: usize, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            socket,
            EventData::new_u64(number as u64),
            interest.flags(),
        )?)
    }

    /// Waits for events and puts the numbers of their sockets into `numbers`.
    ///
    /// # Errors
    /// If the system fails.
    pub fn wait(&mut self, numbers: &mut Vec<usize>) -> io::Result<()> {
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
        numbers.clear();
        // The numbers were a `usize` when they were added.
        numbers.extend(
            self.events
                .iter()
                .filter_map(|event| usize::try_from(event.data.u64()).ok()),
        );
        Ok(())
    }
}

impl fmt::Debug for Poller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Poller")
            .field("epoll", &self.epoll)
            .finish_non_exhaustive()
    }
}

/// What came of reading or writing without waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many bytes were read; or all was written, which counts as none.
    Done(usize),
    /// Come back when the socket is ready.
    Later,
    /// The connection is over.
    Over,
}

/// A connected socket, and what it still has to send.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    unsent: Vec<u8>,
}

impl Socket {
    /// Takes a connection over.
    ///
    /// # Errors
    /// If its options cannot be set.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unsent: Vec::new(),
        })
    }

    /// The connection itself.
    #[must_use]
    pub const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether there is something left to send.
    #[must_use]
    pub const fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// Reads what is there.
    pub fn read(&mut self, buffer: &mut [u8]) -> Step {
        match self.stream.read(buffer) {
            Ok(0) => Step::Over,
            Ok(read) => Step::Done(read),
            Err(err) => after(&err),
        }
    }

    /// Sends bytes, and keeps those that do not fit.
    pub fn send(&mut self, bytes: &[u8]) -> Step {
        if self.has_unsent() {
            self.unsent.extend_from_slice(bytes);
            return Step::Later;
        }
        match self.stream.write(bytes) {
            Ok(written) if written == bytes.len() => Step::Done(0),
            Ok(written) => {
                self.unsent
                    .extend_from_slice(bytes.get(written..).unwrap_or_default());
                Step::Later
            }
            Err(err) => {
                self.unsent.extend_from_slice(bytes);
                after(&err)
            }
        }
    }

    /// Sends what was kept.
    pub fn flush(&mut self) -> Step {
        match self.stream.write(&self.unsent) {
            Ok(written) => {
                self.unsent.drain(..written);
                if self.has_unsent() {
                    Step::Later
                } else {
                    Step::Done(0)
                }
            }
            Err(err) => after(&err),
        }
    }
}

/// Takes a waiting connection, if there is one that did not go away again.
#[must_use]
pub fn accept(listener: &TcpListener) -> Option<TcpStream> {
    listener.accept().ok().map(|(stream, _)| stream)
}

fn after(err: &io::Error) -> Step {
    match err.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Step::Later,
        _ => Step::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_kept_and_sent_later() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut sender = Socket::new(stream).unwrap();
        let mut reader = accept(&listener).unwrap();
        let mut poller = Poller::new().unwrap();
        poller.add(sender.stream(), 7, Interest::Write).unwrap();

        let sent = vec![1; 64 << 20];
        assert_eq!(sender.send(&sent), Step::Later);
        let reading = std::thread::spawn(move || {
            let mut received = Vec::new();
            reader.read_to_end(&mut received).unwrap();
            received.len()
        });
        let mut numbers = Vec::new();
        while sender.has_unsent() {
            poller.wait(&mut numbers).unwrap();
            assert_eq!(numbers, [7]);
            sender.flush();
        }
        drop(sender);
        assert_eq!(reading.join().unwrap(), sent.len());
    }
}

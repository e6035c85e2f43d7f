//! `floor LISTEN ORIGIN`: a proxy that does the least a proxy can.
//!
//! It reads bytes on one side and writes them on the other; it parses nothing, and each client
//! has its own connection to the origin. What it costs is what the system calls of proxying cost,
//! so that other proxies can be given as a fraction of it.

use std::env;
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::{Context, Result};
use slab::Slab;
use tidegate_benches::poller::{Interest, Poller, Socket, Step, accept};

/// The number of the listening socket; connections count from 0.
const LISTENER: usize = usize::MAX;

/// The most that is read at once.
const BUFFER: usize = 64 << 10;

/// One end of a proxied connection.
struct End {
    socket: Socket,
    /// The number of the other end.
    other: usize,
}

struct Floor {
    poller: Poller,
    origin: SocketAddr,
    ends: Slab<End>,
    buffer: Vec<u8>,
}

fn main() -> Result<()> {
    let mut arguments = env::args().skip(1);
    let mut address = || -> Result<SocketAddr> {
        Ok(arguments
            .next()
            .context("usage: floor LISTEN ORIGIN")?
            .parse()?)
    };
    let (listen, origin) = (address()?, address()?);
    let listener = TcpListener::bind(listen).with_context(|| format!("listen at {listen}"))?;
    let poller = Poller::new()?;
    poller.add(&listener, LISTENER, Interest::Read)?;

    let mut floor = Floor {
        poller,
        origin,
        ends: Slab::new(),
        buffer: vec![0; BUFFER],
    };
    let mut ready = Vec::new();
    loop {
        floor.poller.wait(&mut ready)?;
        for number in &ready {
            match *number {
                LISTENER => floor.accept(&listener)?,
                number => floor.go_on(number)?,
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        let Some(client) = accept(listener) else {
            return Ok(());
        };
        let origin = TcpStream::connect(self.origin).context("connect to the origin")?;
        let client = self.ends.insert(End {
            socket: Socket::new(client)?,
            other: LISTENER,
        });
        let origin = self.ends.insert(End {
            socket: Socket::new(origin)?,
            other: client,
        });
        if let Some(end) = self.ends.get_mut(client) {
            end.other = origin;
        }
        for number in [client, origin] {
            if let Some(end) = self.ends.get(number) {
                self.poller
                    .add(end.socket.stream(), number, Interest::Read)?;
            }
        }
        Ok(())
    }

    /// Reads on, or writes what the other end could not take before.
    fn go_on(&mut self, number: usize) -> Result<()> {
        // An event may be older than the end of its connection.
        let Some(end) = self.ends.get_mut(number) else {
            return Ok(());
        };
        if end.socket.has_unsent() {
            return self.unblock(number);
        }
        let other = end.other;
        match end.socket.read(&mut self.buffer) {
            Step::Done(read) => self.forward(number, other, read),
            Step::Later => Ok(()),
            Step::Over => {
                self.close(number, other);
                Ok(())
            }
        }
    }

    fn forward(&mut self, from: usize, to: usize, read: usize) -> Result<()> {
        let bytes = self.buffer.get(..read).unwrap_or_default();
        let Some(target) = self.ends.get_mut(to) else {
            return Ok(());
        };
        match target.socket.send(bytes) {
            Step::Done(_) => {}
            Step::Over => self.close(from, to),
            Step::Later => self.wait_for(to, from)?,
        }
        Ok(())
    }

    /// Waits until `blocked` can be written, and reads nothing for it meanwhile.
    fn wait_for(&self, blocked: usize, source: usize) -> Result<()> {
        self.watch(blocked, Interest::Write)?;
        self.watch(source, Interest::Nothing)
    }

    fn unblock(&mut self, number: usize) -> Result<()> {
        let Some(end) = self.ends.get_mut(number) else {
            return Ok(());
        };
        let other = end.other;
        match end.socket.flush() {
            Step::Done(_) => {
                self.watch(number, Interest::Read)?;
                self.watch(other, Interest::Read)?;
            }
            Step::Later => {}
            Step::Over => self.close(number, other),
        }
        Ok(())
    }

    fn watch(&self, number: usize, interest: Interest) -> Result<()> {
        if let Some(end) = self.ends.get(number) {
            self.poller.change(end.socket.stream(), number, interest)?;
        }
        Ok(())
    }

    fn close(&mut self, one: usize, other: usize) {
        for number in [one, other] {
            if self.ends.contains(number) {
                self.ends.remove(number);
            }
        }
    }
}

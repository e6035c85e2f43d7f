//! Bytes on their way from one connection to another inside the kernel (`splice`).
//!
//! Owns a worker's pipes: what nobody looks at need not be copied to us and back. A pipe is lent for
//! as long as there are bytes in it, so that connections which wait have none. Where the system does
//! not have it, or has no more pipes, bodies are copied as before.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe takes: a few reads' worth, and as much as a slow peer may keep of a body.
const PIPE_SIZE: usize = 256 * 1024;
/// Pipes of one worker that may have bytes in them at a time: 16 MiB.
const MOST: usize = 64;
/// Empty pipes that a worker keeps.
const KEPT: usize = 8;

/// The pipes of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pipes {
    empty: RefCell<Vec<Pipe>>,
    lent: Cell<usize>,
    /// The system does not do it: nobody asks again.
    refused: Cell<bool>,
}

#[derive(Debug)]
struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
}

/// A pipe, for the length of one piece.
#[derive(Debug)]
pub(crate) struct LentPipe<'a> {
    pipes: &'a Pipes,
    pipe: Option<Pipe>,
    held: usize,
}

/// What came of filling a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Filled {
    /// So many bytes are in it.
    Some(usize),
    /// There is nothing to read yet.
    NotYet,
    /// An ordinary read does it, or says why not: the end of the stream, an error, no such thing.
    Refused,
}

impl Pipes {
    /// An empty pipe, if there is one to be had.
    pub(crate) fn lend(&self) -> Option<LentPipe<'_>> {
        if self.refused.get() || self.lent.get() >= MOST {
            return None;
        }
        let kept = self.empty.borrow_mut().pop();
        let pipe = match kept {
            Some(pipe) => pipe,
            None => self.open()?,
        };
        self.lent.set(self.lent.get() + 1);
        Some(LentPipe {
            pipes: self,
            pipe: Some(pipe),
            held: 0,
        })
    }

    fn open(&self) -> Option<Pipe> {
        match system::pipe(PIPE_SIZE) {
            Ok((out, into)) => Some(Pipe { out, into }),
            Err(err) => {
                tracing::debug!(%err, "bodies are copied: there is no pipe");
                self.refused.set(system::is_missing(&err));
                None
            }
        }
    }
}

impl LentPipe<'_> {
    /// Takes what a connection has, up to `most` bytes.
    pub(crate) fn fill(&mut self, from: &TcpStream, most: u64) -> Filled {
        let Some(pipe) = &self.pipe else {
            return Filled::Refused;
        };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(PIPE_SIZE);
        match from.try_io(Interest::READABLE, || {
            system::splice(from, &pipe.into, most)
        }) {
            Ok(0) => Filled::Refused,
            Ok(moved) => {
                self.held += moved;
                Filled::Some(moved)
            }
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => Filled::NotYet,
            Err(err) => {
                if system::is_missing(&err) {
                    tracing::debug!(%err, "bodies are copied: the system does not move them");
                    self.pipes.refused.set(true);
                }
                Filled::Refused
            }
        }
    }

    /// Whether nothing is in it.
    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Gives a connection some of what is in it.
    ///
    /// # Errors
    ///
    /// The connection's.
    pub(crate) fn poll_drain(
        &mut self,
        to: &TcpStream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(pipe) = &self.pipe else {
            return Poll::Ready(Ok(0));
        };
        loop {
            ready!(to.poll_write_ready(cx))?;
            match to.try_io(Interest::WRITABLE, || {
                system::splice(&pipe.out, to, self.held)
            }) {
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {}
                Err(err) => return Poll::Ready(Err(err)),
                Ok(moved) => {
                    self.held = self.held.saturating_sub(moved);
                    return Poll::Ready(Ok(moved));
                }
            }
        }
    }
}

impl Drop for LentPipe<'_> {
    fn drop(&mut self) {
        self.pipes.lent.set(self.pipes.lent.get().saturating_sub(1));
        let mut empty = self.pipes.empty.borrow_mut();
        // One with bytes in it is closed: they are nobody else's.
        if self.held == 0 && empty.len() < KEPT {
            empty.extend(self.pipe.take());
        }
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::AsFd;
    use std::os::fd::OwnedFd;

    use rustix::io::Errno;
    use rustix::pipe::PipeFlags;
    use rustix::pipe::SpliceFlags;
    use rustix::pipe::fcntl_setpipe_size;
    use rustix::pipe::pipe_with;

    /// A pipe with room for so many bytes, or as many as a pipe has by itself: the reading end, and
    /// the writing end.
    pub(super) fn pipe(size: usize) -> io::Result<(OwnedFd, OwnedFd)> {
        let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if let Err(err) = fcntl_setpipe_size(&into, size) {
            // The user has many large pipes already.
            tracing::debug!(%err, "a pipe stays small");
        }
        Ok((out, into))
    }

    /// Moves what is there, without a wait. Writing to a connection that is closed would raise
    /// SIGPIPE, which Rust programs ignore.
    pub(super) fn splice(from: impl AsFd, to: impl AsFd, most: usize) -> io::Result<usize> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            match rustix::pipe::splice(from.as_fd(), None, to.as_fd(), None, most, flags) {
                Err(Errno::INTR) => {}
                moved => return Ok(moved?),
            }
        }
    }

    /// Whether that error means that the system does not do it at all.
    pub(super) fn is_missing(err: &io::Error) -> bool {
        let missing = [Errno::INVAL, Errno::NOSYS, Errno::PERM, Errno::OPNOTSUPP];
        Errno::from_io_error(err).is_some_and(|errno| missing.contains(&errno))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::os::fd::OwnedFd;

    pub(super) fn pipe(_: usize) -> io::Result<(OwnedFd, OwnedFd)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn splice<F, T>(_: F, _: T, _: usize) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn is_missing(_: &io::Error) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncReadExt as _;
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;
    use tokio::net::TcpStream;

    use super::Filled;
    use super::KEPT;
    use super::MOST;
    use super::Pipes;

    fn run(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        runtime.block_on(test);
    }

    async fn connected() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let near = TcpStream::connect(address).await.expect("connected");
        let (far, _) = listener.accept().await.expect("accepted");
        (near, far)
    }

    #[test]
    fn bytes_go_through_a_pipe_in_order_and_no_further_than_asked() {
        run(async {
            let (mut origin, from) = connected().await;
            let (to, mut client) = connected().await;
            let pipes = Pipes::default();
            let sent: Vec<u8> = (0..=250).cycle().take(1_000_000).collect();
            let copy = sent.clone();
            let writing = async {
                origin.write_all(&copy).await.expect("written");
                origin
                    .write_all(b"the next message")
                    .await
                    .expect("written");
            };
            let moving = async {
                let mut left = sent.len();
                while left > 0 {
                    from.readable().await.expect("bytes");
                    let mut pipe = pipes.lend().expect("a pipe");
                    match pipe.fill(&from, left as u64) {
                        Filled::Some(moved) => left -= moved,
                        Filled::NotYet => continue,
                        Filled::Refused => panic!("the system moves bytes"),
                    }
                    while !pipe.is_empty() {
                        let drained = poll_fn(|cx| pipe.poll_drain(&to, cx)).await;
                        drained.expect("moved");
                    }
                }
            };
            let reading = async {
                let mut got = vec![0; sent.len()];
                client.read_exact(&mut got).await.expect("bytes");
                got
            };
            let ((), (), got) = tokio::join!(writing, moving, reading);
            assert!(got == sent, "all bytes in order");
            let mut rest = [0; 16];
            let mut from = from;
            from.read_exact(&mut rest).await.expect("the rest stays");
            assert_eq!(&rest, b"the next message");
        });
    }

    #[test]
    fn a_pipe_with_bytes_in_it_is_lent_to_nobody_else() {
        run(async {
            let (mut origin, from) = connected().await;
            let pipes = Pipes::default();
            origin.write_all(b"secret").await.expect("written");
            from.readable().await.expect("bytes");
            let mut pipe = pipes.lend().expect("a pipe");
            assert_eq!(pipe.fill(&from, 100), Filled::Some(6));
            drop(pipe);
            assert!(pipes.empty.borrow().is_empty());
        });
    }

    #[test]
    fn pipes_are_bounded() {
        run(async {
            let pipes = Pipes::default();
            let lent: Vec<_> = (0..MOST).map(|_| pipes.lend().expect("one")).collect();
            assert!(pipes.lend().is_none());
            drop(lent);
            assert_eq!(pipes.empty.borrow().len(), KEPT);
            assert!(pipes.lend().is_some());
        });
    }

    #[test]
    fn the_end_of_a_stream_is_left_to_an_ordinary_read() {
        run(async {
            let (origin, from) = connected().await;
            drop(origin);
            from.readable().await.expect("the end");
            let pipes = Pipes::default();
            let mut pipe = pipes.lend().expect("a pipe");
            assert_eq!(pipe.fill(&from, 100), Filled::Refused);
        });
    }
}

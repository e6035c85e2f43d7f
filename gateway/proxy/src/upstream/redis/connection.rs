//! One connection to a Redis server, with any number of commands under way.
//!
//! Owns the login and the order of replies: the first command sent gets the first reply. A command that
//! gets none in time fails alone, and its reply, if it comes, goes nowhere: a server that was busy for
//! a moment keeps its connections. One that owes a reply for a second more is given up, with all
//! that wait.

mod login;
mod overdue;
mod replica;
mod wire;

use std::collections::VecDeque;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use bytes::Buf as _;
use bytes::Bytes;
use bytes::BytesMut;
use tidegate_core::resp::ValueEnd;
use tokio::io::AsyncReadExt as _;

use super::Client;
use super::Command;
use super::Login;
use super::Reply;
use crate::tls::Offer;
use crate::transport::ReadHalf;
use crate::transport::Transport;
use crate::transport::WriteHalf;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Lease;
use crate::upstream::dial;
use crate::worker::Worker;
use wire::broken;
use wire::push;
use wire::read_some;

/// Bytes gathered for one write.
const WRITE_BYTES: usize = 64 * 1024;
/// Room for one read.
const READ_BYTES: usize = 4 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Nobody wanted it any more.
    Idle,
    /// It broke, or never was.
    Failed {
        why: String,
        /// It has brought a reply before.
        served: bool,
    },
}

/// Runs a connection from its making to its end.
pub(super) async fn run(
    client: &Rc<Client>,
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
) -> Ended {
    let mut link = match connect(client, worker, backend).await {
        Ok(link) => link,
        Err(why) => return Ended::Failed { why, served: false },
    };
    match link.serve(client, worker.timeouts().upstream_idle).await {
        Ok(()) => Ended::Idle,
        Err(why) => Ended::Failed {
            why,
            served: link.served,
        },
    }
}

/// Connects and logs in. That may take longer than a command may: those that wait fail by their
/// deadlines meanwhile.
async fn connect(
    client: &Client,
    worker: &Worker,
    backend: &Rc<BackendState>,
) -> Result<Link, String> {
    let limit = Instant::now() + worker.timeouts().connect;
    let mut opened = pin!(open(worker, backend, &client.login));
    loop {
        let next = client.first_deadline().map_or(limit, |it| it.min(limit));
        let wait = next.saturating_duration_since(Instant::now());
        tokio::select! {
            biased;
            opened = &mut opened => {
                let owes = client.waiting.get() > 0;
                client.owes_since.set(owes.then(Instant::now));
                return opened;
            }
            () = client.changed.notified() => {}
            () = tokio::time::sleep(wait) => client.fail_overdue(),
        }
        if Instant::now() >= limit {
            return Err("no connection in time".to_owned());
        }
    }
}

/// Connects to the endpoint that the load balancer picks, or the next one, and logs in.
async fn open(worker: &Worker, backend: &Rc<BackendState>, login: &Login) -> Result<Link, String> {
    let mut tried = Vec::new();
    let mut last = "the backend has no endpoint".to_owned();
    while let Some((place, endpoint)) = backend.pick(worker.ids.draw(), &tried) {
        match dial(backend, endpoint, Offer::Nothing, None).await {
            Ok(stream) => {
                let limit = worker.sizes().callout_body_bytes;
                let mut link = Link::new(stream, backend.lease(place), limit);
                link.log_in(login).await?;
                return Ok(link);
            }
            Err(failure) => last = format!("{endpoint}: {}", failure.verdict().flag),
        }
        tried.push(place);
    }
    Err(last)
}

/// A connection with what is under way on it.
struct Link {
    read: ReadHalf,
    write: WriteHalf,
    out: BytesMut,
    /// There is something to send: here, or held back by TLS.
    unflushed: bool,
    came: BytesMut,
    end: ValueEnd,
    /// Commands that were sent, with their deadlines, the oldest first.
    sent: VecDeque<(Instant, Reply)>,
    /// How many of them, from the oldest on, have failed because they are overdue.
    overdue: usize,
    limit: usize,
    served: bool,
    /// It gets no more commands, and ends with the replies that it owes.
    leaves: bool,
    _lease: Lease,
}

impl Link {
    fn new(stream: Transport, lease: Lease, limit: usize) -> Self {
        let (read, write) = stream.into_split();
        Self {
            read,
            write,
            out: BytesMut::new(),
            unflushed: false,
            came: BytesMut::new(),
            end: ValueEnd::default(),
            sent: VecDeque::new(),
            overdue: 0,
            limit,
            served: false,
            leaves: false,
            _lease: lease,
        }
    }

    /// Sends commands and hands out replies, until nothing was to do for `idle`.
    async fn serve(&mut self, client: &Client, idle: Duration) -> Result<(), String> {
        loop {
            if self.leaves && self.sent.is_empty() {
                return Ok(());
            }
            self.gather(client);
            self.came.reserve(READ_BYTES);
            let limit = match self.next_deadline(client) {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => idle,
            };
            let step = tokio::select! {
                biased;
                read = self.read.read_buf(&mut self.came) => Step::Read(read),
                sent = push(&mut self.write, &self.out), if self.unflushed => Step::Sent(sent),
                () = client.changed.notified() => Step::Changed,
                () = tokio::time::sleep(limit) => Step::Late,
            };
            match step {
                // Servers close connections that are not used.
                Step::Read(Ok(0)) if self.sent.is_empty() => return Ok(()),
                Step::Read(read) => {
                    read_some(read)?;
                    self.hand_out(client)?;
                }
                Step::Sent(sent) => self.note_sent(sent)?,
                Step::Changed => {}
                Step::Late if self.sent.is_empty() && client.queue.borrow().is_empty() => {
                    return Ok(());
                }
                Step::Late => self.fail_overdue(client)?,
            }
        }
    }

    /// Takes commands from the queue, as many as one write holds.
    fn gather(&mut self, client: &Client) {
        while self.out.len() < WRITE_BYTES && !self.leaves {
            let Some(command) = client.next() else { return };
            let Command {
                query,
                deadline,
                reply,
            } = command;
            self.out.extend_from_slice(&query);
            self.unflushed = true;
            self.sent.push_back((deadline, reply));
        }
    }

    /// Takes note of what has left; with nothing left here, that TLS holds nothing back either.
    fn note_sent(&mut self, sent: io::Result<usize>) -> Result<(), String> {
        let bytes = sent.map_err(|err| broken(&err))?;
        self.unflushed = bytes > 0;
        self.out.advance(bytes);
        Ok(())
    }

    fn hand_out(&mut self, client: &Client) -> Result<(), String> {
        while let Some(value) = self.reply()? {
            if value.starts_with(b">") {
                continue; // A push of RESP 3 answers nothing.
            }
            let Some((_, mut reply)) = self.sent.pop_front() else {
                return Err("a reply that nobody asked for".to_owned());
            };
            self.served = true;
            self.overdue = self.overdue.saturating_sub(1);
            self.leaves |= replica::says_so(&value) && client.may_leave();
            reply.send(Ok(value));
            let begun = |deadline: Instant| deadline.checked_sub(client.login.timeout);
            let oldest = self.sent.front().map(|(deadline, _)| *deadline);
            let oldest = oldest.or_else(|| client.first_deadline());
            client.owes_since.set(oldest.and_then(begun));
        }
        Ok(())
    }

    /// The next whole reply among what has come.
    fn reply(&mut self) -> Result<Option<Bytes>, String> {
        match self.end.find(&self.came) {
            Ok(Some(length)) => {
                self.end = ValueEnd::default();
                Ok(Some(self.came.split_to(length).freeze()))
            }
            Ok(None) if self.came.len() > self.limit => {
                Err(format!("a reply is longer than {} bytes", self.limit))
            }
            Ok(None) => Ok(None),
            Err(_) => Err("what came is not RESP".to_owned()),
        }
    }

    async fn receive(&mut self) -> Result<(), String> {
        read_some(self.read.read_buf(&mut self.came).await)
    }
}

/// What happened on a connection.
enum Step {
    Read(io::Result<usize>),
    Sent(io::Result<usize>),
    Changed,
    Late,
}

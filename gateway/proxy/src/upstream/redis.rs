//! Connections to Redis servers, one for each backend and login.
//!
//! Owns the queue of commands before each connection, its bounds, and when a connection is made:
//! with the first command, and after a failure not before a pause has passed, which doubles with
//! each failure. Until then commands fail at once instead of waiting for a server that is gone; so
//! they do while the oldest waits for twice as long as it may. What travels on a connection is
//! [`connection`]'s.

mod connection;

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use foldhash::fast::RandomState;
use tidegate_core::backend::BackendName;
use tidegate_host_abi::RedisFailed;
use tokio::sync::Notify;
use tokio::sync::oneshot;

use crate::upstream::balance::BackendState;
use crate::worker::Worker;
use connection::Ended;

/// Commands that may wait for a reply on one connection.
const MAX_WAITING: usize = 4096;
/// Bytes of commands that may wait to be sent on one connection.
const MAX_WAITING_BYTES: usize = 4 * 1024 * 1024;
/// Ways to log in to one backend: each has a connection.
const MAX_LOGINS: usize = 64;
/// The pause after the first failure.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How to log in to a server. Who logs in alike shares a connection.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Login {
    pub(crate) username: Bytes,
    pub(crate) password: Bytes,
    pub(crate) database: u32,
    /// How long one command may take.
    pub(crate) timeout: Duration,
}

/// Passwords are not for logs.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("database", &self.database)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Filters log in to a backend in more than [`MAX_LOGINS`] ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyLogins;

/// All Redis connections of one worker.
#[derive(Debug, Default)]
pub(crate) struct RedisPool {
    clients: RefCell<HashMap<(BackendName, Login), Rc<Client>, RandomState>>,
}

/// One connection and what waits for it.
#[derive(Debug)]
struct Client {
    login: Login,
    /// Where its connection leads; a backend that has changed gets another client.
    backend: Rc<BackendState>,
    queue: RefCell<VecDeque<Command>>,
    queued_bytes: Cell<usize>,
    /// Commands that were submitted and have no reply, sent or not.
    waiting: Cell<usize>,
    /// Since when the server owes a reply; a new connection owes it from its beginning.
    owes_since: Cell<Option<Instant>>,
    /// When a connection was left because its server only reads.
    left: Cell<Option<Instant>>,
    changed: Notify,
    running: Cell<bool>,
    failures: Cell<u32>,
    paused_until: Cell<Option<Instant>>,
}

/// What comes of a command. A sender that is dropped has failed otherwise.
pub(crate) type Outcome = Result<Bytes, RedisFailed>;

/// A command with whoever waits for its reply.
#[derive(Debug)]
struct Command {
    query: Bytes,
    deadline: Instant,
    reply: Reply,
}

/// Where a reply goes. Dropping it is a failure; until then the command counts as waiting, also if
/// nobody wants its reply any more.
#[derive(Debug)]
struct Reply {
    sender: Option<oneshot::Sender<Outcome>>,
    client: Rc<Client>,
}

impl Reply {
    fn send(&mut self, outcome: Outcome) {
        if let Some(sender) = self.sender.take() {
            sender.send(outcome).ok();
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let waiting = &self.client.waiting;
        waiting.set(waiting.get().saturating_sub(1));
    }
}

impl RedisPool {
    /// Queues a command for a backend. The receiver gets its reply, or nothing.
    ///
    /// # Errors
    ///
    /// [`TooManyLogins`].
    pub(crate) fn submit(
        &self,
        worker: &Rc<Worker>,
        backend: &Rc<BackendState>,
        login: &Login,
        query: Bytes,
    ) -> Result<oneshot::Receiver<Outcome>, TooManyLogins> {
        let client = self.client(backend, login).ok_or(TooManyLogins)?;
        let (sender, receiver) = oneshot::channel();
        let now = Instant::now();
        if client.is_paused(now) || client.is_late(now) || !client.has_room(query.len()) {
            return Ok(receiver); // Its sender is dropped: the command has failed.
        }
        if client.owes_since.get().is_none() {
            client.owes_since.set(Some(now));
        }
        client.waiting.set(client.waiting.get() + 1);
        client
            .queued_bytes
            .set(client.queued_bytes.get() + query.len());
        client.queue.borrow_mut().push_back(Command {
            query,
            deadline: now + login.timeout,
            reply: Reply {
                sender: Some(sender),
                client: Rc::clone(&client),
            },
        });
        client.changed.notify_one();
        if !client.running.replace(true) {
            let (worker, backend) = (Rc::clone(worker), Rc::clone(backend));
            // The worker's runtime owns the task; it ends with its connection.
            tokio::task::spawn_local(async move { client.serve(&worker, &backend).await });
        }
        Ok(receiver)
    }

    /// The client of a backend as it is now; `None` if there are too many ways to log in to it.
    fn client(&self, backend: &Rc<BackendState>, login: &Login) -> Option<Rc<Client>> {
        let mut clients = self.clients.borrow_mut();
        let key = (backend.backend.name.clone(), login.clone());
        if let Some(known) = clients.get(&key)
            && Rc::ptr_eq(&known.backend, backend)
        {
            return Some(Rc::clone(known));
        }
        // One whose backend has changed ends with the replies that it waits for.
        let of_backend = clients.keys().filter(|(name, _)| *name == key.0).count();
        if of_backend >= MAX_LOGINS && !clients.contains_key(&key) {
            return None;
        }
        let client = Rc::new(Client::new(login, backend));
        clients.insert(key, Rc::clone(&client));
        Some(client)
    }

    /// Forgets what has no connection and owes no pause.
    pub(crate) fn sweep(&self) {
        let mut clients = self.clients.borrow_mut();
        let now = Instant::now();
        clients.retain(|_, client| client.running.get() || client.is_paused(now));
    }

    /// Forgets all of them: connections close when their last command has its reply.
    pub(crate) fn clear(&self) {
        self.clients.borrow_mut().clear();
    }
}

impl Client {
    fn new(login: &Login, backend: &Rc<BackendState>) -> Self {
        Self {
            login: login.clone(),
            backend: Rc::clone(backend),
            queue: RefCell::default(),
            queued_bytes: Cell::new(0),
            waiting: Cell::new(0),
            owes_since: Cell::new(None),
            left: Cell::new(None),
            changed: Notify::new(),
            running: Cell::new(false),
            failures: Cell::new(0),
            paused_until: Cell::new(None),
        }
    }

    fn is_paused(&self, now: Instant) -> bool {
        self.paused_until.get().is_some_and(|until| now < until)
    }

    /// Whether the server is so late that one more command would wait in vain, most probably.
    fn is_late(&self, now: Instant) -> bool {
        let since = self.owes_since.get();
        since.is_some_and(|since| now.saturating_duration_since(since) > self.login.timeout * 2)
    }

    fn has_room(&self, bytes: usize) -> bool {
        let fits = self.waiting.get() < MAX_WAITING
            && self.queued_bytes.get().saturating_add(bytes) <= MAX_WAITING_BYTES;
        if !fits {
            tracing::warn!("filters run Redis commands faster than their backend answers");
        }
        fits
    }

    fn next(&self) -> Option<Command> {
        let command = self.queue.borrow_mut().pop_front()?;
        let bytes = self.queued_bytes.get();
        self.queued_bytes
            .set(bytes.saturating_sub(command.query.len()));
        Some(command)
    }

    /// Fails all commands that were not sent. They are dropped outside the queue: a drop may wake
    /// whoever waits.
    fn fail_queued(&self) {
        let queued = self.queue.take();
        self.queued_bytes.set(0);
        drop(queued);
    }

    /// Serves commands on one connection until it ends, and says when there may be another.
    async fn serve(self: Rc<Self>, worker: &Rc<Worker>, backend: &Rc<BackendState>) {
        while let Ended::Idle = self.serve_once(worker, backend).await {
            self.failures.set(0);
            if self.queue.borrow().is_empty() {
                break;
            }
        }
        self.fail_queued();
        self.owes_since.set(None);
        self.running.set(false);
    }

    async fn serve_once(self: &Rc<Self>, worker: &Rc<Worker>, backend: &Rc<BackendState>) -> Ended {
        let ended = connection::run(self, worker, backend).await;
        if let Ended::Failed { why, served } = &ended {
            let name = backend.backend.name.as_str();
            tracing::warn!(backend = name, "Redis: {why}");
            let failures = if *served {
                0
            } else {
                self.failures.get().min(16)
            };
            let pause = FIRST_PAUSE.saturating_mul(1 << failures).min(LONGEST_PAUSE);
            self.failures.set(failures + 1);
            self.paused_until.set(Some(Instant::now() + pause));
        }
        ended
    }
}

//! The backends of a test: closures by name, and the application behind the filter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::redis::{self, RedisCommand, RedisReply};
use crate::reply::{Received, Reply};
use crate::split::Split;

/// What answers requests.
pub(crate) type Handler = Box<dyn FnMut(&Received) -> Reply + Send>;

/// What a server answers to what has come since its last answer; nothing if it awaits more.
pub(crate) type Server = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// A backend that filters call.
pub(crate) enum Backend {
    Answers(Handler),
    /// The same over HTTP/2, for gRPC.
    AnswersGrpc(Handler),
    /// A Redis server.
    Redis(redis::Handler),
    /// Nothing listens.
    Down,
}

/// What listens at a backend's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listens {
    Http,
    Grpc,
    Redis,
    Nothing,
}

impl Backend {
    const fn listens(&self) -> Listens {
        match self {
            Self::Answers(_) => Listens::Http,
            Self::AnswersGrpc(_) => Listens::Grpc,
            Self::Redis(_) => Listens::Redis,
            Self::Down => Listens::Nothing,
        }
    }
}

/// All of them.
#[derive(Clone)]
pub(crate) struct Backends(Arc<Mutex<Table>>);

struct Table {
    app: Handler,
    /// The application answers as soon as it has the headers.
    app_is_early: bool,
    /// Behind network filters.
    server: Server,
    /// What it says first.
    greeting: Vec<u8>,
    named: BTreeMap<String, Backend>,
    split: Split,
}

impl Default for Backends {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Table {
            app: Box::new(echo),
            app_is_early: false,
            server: Box::new(|bytes| Some(bytes.to_vec())),
            greeting: Vec::new(),
            named: BTreeMap::new(),
            split: Split::AsGiven,
        })))
    }
}

impl Backends {
    pub(crate) fn set_app(&self, app: Handler, early: bool) {
        self.with(|table| {
            table.app = app;
            table.app_is_early = early;
        });
    }

    pub(crate) fn set_server(&self, server: Server) {
        self.with(|table| table.server = server);
    }

    pub(crate) fn set_greeting(&self, greeting: Vec<u8>) {
        self.with(|table| table.greeting = greeting);
    }

    /// What the server says first, in parts.
    pub(crate) fn greeting(&self) -> Vec<Vec<u8>> {
        self.with(|table| table.split.cut(std::slice::from_ref(&table.greeting)))
    }

    /// What the server answers, in parts; what it has answered to is taken out of `pending`.
    pub(crate) fn serve(&self, pending: &mut Vec<u8>) -> Vec<Vec<u8>> {
        self.with(|table| match (table.server)(pending) {
            Some(answer) => {
                pending.clear();
                table.split.cut(&[answer])
            }
            None => Vec::new(),
        })
    }

    pub(crate) fn set(&self, name: &str, backend: Backend) {
        self.with(|table| table.named.insert(name.to_owned(), backend));
    }

    pub(crate) fn app_is_early(&self) -> bool {
        self.with(|table| table.app_is_early)
    }

    pub(crate) fn app(&self, request: &Received) -> Reply {
        self.with(|table| {
            let mut reply = (table.app)(request);
            reply.body = table.split.cut(&reply.body);
            reply
        })
    }

    /// Sets how bodies are cut from now on.
    pub(crate) fn set_split(&self, split: Split) {
        self.with(|table| table.split = split);
    }

    /// The chunks of a request's body.
    pub(crate) fn cut(&self, body: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.with(|table| table.split.cut(body))
    }

    /// The names, and what listens there.
    pub(crate) fn names(&self) -> Vec<(String, Listens)> {
        self.with(|table| {
            let named = table.named.iter();
            named
                .map(|(name, it)| (name.clone(), it.listens()))
                .collect()
        })
    }

    /// What listens at a backend.
    pub(crate) fn listens(&self, name: &str) -> Listens {
        self.with(|table| {
            let backend = table.named.get(name);
            backend.map_or(Listens::Nothing, Backend::listens)
        })
    }

    /// The answer of a backend; `None` if nothing listens.
    pub(crate) fn call(&self, name: &str, request: &Received) -> Option<Reply> {
        self.with(|table| match table.named.get_mut(name)? {
            Backend::Answers(handler) => Some(handler(request)),
            Backend::AnswersGrpc(handler) => {
                let mut reply = handler(request);
                reply.body = table.split.cut(&reply.body);
                Some(reply)
            }
            Backend::Redis(_) | Backend::Down => None,
        })
    }

    /// The answer of a Redis server; `None` if nothing listens, or something else.
    pub(crate) fn command(&self, name: &str, command: &RedisCommand) -> Option<RedisReply> {
        self.with(|table| match table.named.get_mut(name)? {
            Backend::Redis(handler) => Some(handler(command)),
            Backend::Answers(_) | Backend::AnswersGrpc(_) | Backend::Down => None,
        })
    }

    fn with<T>(&self, look: impl FnOnce(&mut Table) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an application answers without a closure: what it got.
fn echo(request: &Received) -> Reply {
    let mut reply = Reply::status(200).body(&request.body);
    if let Some(kind) = request.header("content-type") {
        reply = reply.header("content-type", kind);
    }
    reply
}

//! Redis commands, run by the host and awaited here.
//!
//! ```
//! # use tidegate_sdk::prelude::*;
//! # async fn count(cx: &Cx) -> Result<()> {
//! let redis = cx.redis("counters").timeout(Duration::from_millis(20));
//! let seen = redis.run(&[b"INCR", b"seen"]).await?.ok()?;
//! assert_eq!(seen.integer(), Some(1));
//! # Ok(()) }
//! ```
//!
//! The host keeps the connections, logs in, and sends many commands on one. Tidegate can; on other hosts
//! commands fail with [`CallFailure::Unsupported`].

mod value;

use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk_sys::{Host as _, Status, host};

use crate::backend;
use crate::config::Secret;
use crate::error::{CallFailure, Error, Result};
use crate::runtime::Runtime;

pub use value::Value;

/// The version of the argument (docs/foreign-functions.md).
const VERSION: u32 = 1;
/// The status of a command that got no reply in time.
const TIMED_OUT: u32 = 2;

/// A Redis server: a backend, and how to log in to it. Cloning it is cheap.
#[derive(Clone)]
pub struct Client {
    backend: backend::Client,
    login: Rc<Login>,
}

#[derive(Clone)]
struct Login {
    backend: Box<str>,
    user: String,
    password: String,
    database: u32,
    timeout: u32,
}

/// Passwords are not for logs.
impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("backend", &self.login.backend)
            .field("database", &self.login.database)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(name: &str, backend: backend::Client) -> Self {
        let login = Login {
            backend: name.into(),
            user: String::new(),
            password: String::new(),
            database: 0,
            timeout: milliseconds(backend::DEFAULT_TIMEOUT),
        };
        Self {
            backend,
            login: Rc::new(login),
        }
    }

    /// Logs in with this user; without it, as the default user.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut Rc::make_mut(&mut self.login).user);
        self
    }

    /// Logs in with this password.
    #[must_use]
    pub fn password(mut self, password: &Secret) -> Self {
        let own = &mut Rc::make_mut(&mut self.login).password;
        password.expose().clone_into(own);
        self
    }

    /// Chooses a database; without it, 0.
    #[must_use]
    pub fn database(mut self, number: u32) -> Self {
        Rc::make_mut(&mut self.login).database = number;
        self
    }

    /// Sets how long a command may take; 5 s without it. Commands with another timeout have another
    /// connection.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        Rc::make_mut(&mut self.login).timeout = milliseconds(timeout);
        self
    }

    /// The name of the backend.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.login.backend
    }

    /// Runs one command, the first word of which is its name. An error that the server answers with is
    /// a [`Value`], too: [`Value::ok`] makes it an error of the filter.
    ///
    /// The host refuses commands that would change the connection, which others use too, or make it
    /// wait: `SELECT`, `SUBSCRIBE`, `BLPOP`. Dropping the future forgets the command; the server may
    /// still run it.
    ///
    /// # Errors
    /// If there is no reply: [`Error::call_failure`] says why.
    pub async fn run(&self, words: &[&[u8]]) -> Result<Value> {
        let failed = |why| Error::call(&self.login.backend, why);
        let answer = host()
            .call_foreign_function(b"tidegate.redis", &self.message(words))
            .map_err(|status| failed(refusal(status)))?;
        let token = answer.try_into().map(u32::from_le_bytes);
        let token = token.map_err(|_| failed(CallFailure::Refused(Status::INTERNAL_FAILURE)))?;
        self.backend.waits();
        match Runtime::current().answers.redis(token).await {
            Ok(reply) => Value::read(&reply).ok_or_else(|| {
                Error::new("it answered with what is no RESP 2")
                    .context(["command to Redis ", &self.login.backend].concat())
            }),
            Err(TIMED_OUT) => Err(failed(CallFailure::Timeout)),
            Err(_) => Err(failed(CallFailure::Unreachable)),
        }
    }

    /// The argument of the foreign function.
    fn message(&self, words: &[&[u8]]) -> Vec<u8> {
        let Login {
            backend,
            user,
            password,
            database,
            timeout,
        } = &*self.login;
        let texts = [backend.as_bytes(), user.as_bytes(), password.as_bytes()];
        let texts_len: usize = texts.iter().map(|text| text.len()).sum();
        // A word has its length before it.
        let words_len: usize = words.iter().map(|word| word.len() + 16).sum();
        let mut message = Vec::with_capacity(28 + texts_len + 16 + words_len);
        for number in [VERSION, *timeout, *database] {
            message.extend_from_slice(&number.to_le_bytes());
        }
        for text in texts {
            message.extend_from_slice(&length(text).to_le_bytes());
        }
        let command_length = message.len();
        message.extend_from_slice(&[0; 4]);
        message.extend(texts.into_iter().flatten());
        let command = message.len();
        value::encode(&mut message, words);
        let length = u32::try_from(message.len() - command).unwrap_or(u32::MAX);
        let place = message.get_mut(command_length..command_length + 4);
        if let Some(place) = place {
            place.copy_from_slice(&length.to_le_bytes());
        }
        message
    }
}

fn length(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

/// At least one: 0 is the host's default.
fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis())
        .unwrap_or(u32::MAX)
        .max(1)
}

fn refusal(status: Status) -> CallFailure {
    match status {
        Status::NOT_FOUND | Status::UNIMPLEMENTED => CallFailure::Unsupported,
        Status::BAD_ARGUMENT => CallFailure::Unknown,
        other => CallFailure::Refused(other),
    }
}

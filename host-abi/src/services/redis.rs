//! Redis commands of guests (Higress: `proxy_redis_*`), as data.
//!
//! Owns what a guest asks for and what comes of it. The embedder keeps connections.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::CalloutToken;

/// A command that a guest wants run; the embedder answers once by
/// [`crate::Instance::on_redis_call_response`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedisCall {
    /// Names the call in the answer.
    pub token: CalloutToken,
    /// The backend to call, and how.
    pub login: Arc<RedisLogin>,
    /// One command, encoded as RESP. Any bytes: the embedder checks that it is one command.
    pub query: Bytes,
}

/// How a plugin reaches a Redis backend, as `proxy_redis_init` said.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RedisLogin {
    /// The backend.
    pub backend: String,
    /// The user; empty is the default user.
    pub username: Bytes,
    /// The password; empty is none.
    pub password: Bytes,
    /// The number of the database.
    pub database: u32,
    /// How long one command may take in milliseconds; 0 is the embedder's default.
    pub timeout_ms: u32,
}

/// Passwords are not for logs.
impl fmt::Debug for RedisLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLogin")
            .field("backend", &self.backend)
            .field("database", &self.database)
            .field("timeout_ms", &self.timeout_ms)
            .finish_non_exhaustive()
    }
}

/// Why there is no reply. The number is the status that the guest gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum RedisFailed {
    /// The server could not be reached, refused the login, left, or answered something that is no
    /// RESP; or the command was not sent.
    Unreachable = 1,
    /// The server did not answer in time.
    Timeout = 2,
}

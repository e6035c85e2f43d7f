//! Connections between two requests.
//!
//! Owns the few that wait for the next request to the same host, reached by the same rules. A pull
//! asks one registry several times, and TLS costs more than what it asks for.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

use hyper::client::conn::http1::SendRequest;
use tokio::task::JoinSet;

use crate::http::body::Upload;
use crate::http::networks::Loopback;
use crate::http::redirect::Origin;
use crate::http::trust::Trust;

/// Most connections that wait.
const MOST: usize = 16;
/// How long one may wait; servers close them after a minute or so.
const LONGEST: Duration = Duration::from_secs(20);

/// What requests must have in common to share a connection.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) origin: Origin,
    pub(crate) loopback: Loopback,
    pub(crate) trust: Arc<Trust>,
}

/// A connection, driven by a task that ends with it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<Upload>,
    /// Ends with it.
    pub(crate) _driver: JoinSet<()>,
}

/// Those that wait.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    waiting: Mutex<Vec<(Key, Connection, Instant)>>,
}

impl Key {
    fn is(&self, other: &Self) -> bool {
        self.origin == other.origin
            && self.loopback == other.loopback
            && self.trust.is_same(&other.trust)
    }
}

impl Idle {
    /// A connection for such requests, if one waits.
    pub(crate) fn take(&self, key: &Key) -> Option<Connection> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|(_, connection, since)| {
            since.elapsed() < LONGEST && !connection.sender.is_closed()
        });
        let place = waiting.iter().position(|(other, _, _)| other.is(key))?;
        Some(waiting.swap_remove(place).1)
    }

    /// Keeps a connection whose last answer has been read to its end.
    pub(crate) fn put(&self, key: Key, connection: Connection) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() >= MOST {
            waiting.remove(0);
        }
        waiting.push((key, connection, Instant::now()));
    }
}

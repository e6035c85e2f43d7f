//! Servers that only read. One that was the primary when the connection was made may be a replica now, and
//! the backend's name or load balancer may lead to the new primary: so the next command gets a new
//! connection, once in [`PAUSE`], because a backend may have nothing but replicas.

use std::time::Duration;
use std::time::Instant;

use crate::upstream::redis::Client;

/// Between two connections that are left.
const PAUSE: Duration = Duration::from_secs(1);

/// Whether a reply says that its server is a replica.
pub(super) fn says_so(reply: &[u8]) -> bool {
    reply.starts_with(b"-READONLY")
}

impl Client {
    /// Whether the connection may be left for a new one, which is taken note of.
    pub(super) fn may_leave(&self) -> bool {
        let now = Instant::now();
        let left = self.left.get();
        let may = left.is_none_or(|left| now.saturating_duration_since(left) >= PAUSE);
        if may {
            self.left.set(Some(now));
        }
        may
    }
}

//! Kept connections of one worker.
//!
//! Owns how many are kept and for how long. The most recently used is taken first, so that the
//! surplus of a busy minute ages out. Nothing is shared with other workers: no lock, no wake-up.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use std::time::Instant;

use foldhash::fast::RandomState;

use crate::tls::ConnectorId;
use crate::upstream::UpstreamConnection;

/// A connection that was not used for so long gives its read buffer back.
const COLD: Duration = Duration::from_secs(1);

/// Kept connections by endpoint, and by what TLS to it was done with.
#[derive(Debug)]
pub(crate) struct Pool {
    idle: RefCell<HashMap<(SocketAddr, ConnectorId), Vec<Kept>, RandomState>>,
    per_endpoint: Cell<usize>,
    max_idle: Cell<Duration>,
}

#[derive(Debug)]
struct Kept {
    connection: Box<UpstreamConnection>,
    since: Instant,
}

impl Pool {
    pub(crate) fn new(per_endpoint: usize, max_idle: Duration) -> Self {
        Self {
            idle: RefCell::default(),
            per_endpoint: Cell::new(per_endpoint),
            max_idle: Cell::new(max_idle),
        }
    }

    /// Other limits, for what comes and for the next sweep.
    pub(crate) fn set_limits(&self, per_endpoint: usize, max_idle: Duration) {
        self.per_endpoint.set(per_endpoint);
        self.max_idle.set(max_idle);
    }

    /// A kept connection that its origin has not closed, as far as is known.
    pub(crate) fn take(
        &self,
        endpoint: SocketAddr,
        connector: ConnectorId,
    ) -> Option<Box<UpstreamConnection>> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(&(endpoint, connector))?;
        while let Some(Kept { connection, since }) = kept.pop() {
            if since.elapsed() < self.max_idle.get() && connection.reader.is_quiet() {
                return Some(connection);
            }
        }
        None
    }

    /// Keeps a connection, or drops it if enough are kept.
    pub(crate) fn put(&self, connection: Box<UpstreamConnection>) {
        let mut idle = self.idle.borrow_mut();
        let place = (connection.endpoint, connection.connector);
        let kept = idle.entry(place).or_default();
        if kept.len() < self.per_endpoint.get() {
            kept.push(Kept {
                connection,
                since: Instant::now(),
            });
        }
    }

    /// Closes what is too old or was closed by its origin; what was idle since the last sweep gives
    /// its buffer back.
    pub(crate) fn sweep(&self) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.retain_mut(|kept| {
                let idle = kept.since.elapsed();
                if idle > COLD {
                    kept.connection.reader.release();
                }
                idle < self.max_idle.get() && kept.connection.reader.is_quiet()
            });
            !kept.is_empty()
        });
    }

    /// Closes those to an endpoint that is one no more.
    pub(crate) fn close(&self, endpoint: SocketAddr) {
        let mut idle = self.idle.borrow_mut();
        idle.retain(|(address, _), _| *address != endpoint);
    }

    /// Closes all of them.
    pub(crate) fn clear(&self) {
        self.idle.borrow_mut().clear();
    }
}

//! The endpoints of a backend that were tried for one connection, and how that went.
//!
//! Owns when to stop, and which failure to tell in the end. Before a request was sent, trying the next
//! endpoint is always safe.

use std::net::SocketAddr;

use tidegate_core::failure::Failure;

use crate::upstream::balance::BackendState;
use crate::upstream::balance::Picked;
use crate::worker::Worker;

/// Endpoints that may each use up the time for connecting before a request is given up.
const MAX_TIMED_OUT: usize = 3;

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ConnectError {
    pub(crate) failure: Failure,
    /// The endpoint that was tried last.
    pub(crate) endpoint: Option<SocketAddr>,
}

/// The endpoints that were tried.
#[derive(Debug)]
pub(crate) struct Attempts {
    tried: Vec<usize>,
    timed_out: usize,
    error: ConnectError,
}

impl Default for Attempts {
    fn default() -> Self {
        Self {
            tried: Vec::new(),
            timed_out: 0,
            error: ConnectError {
                failure: Failure::NoEndpoint,
                endpoint: None,
            },
        }
    }
}

impl Attempts {
    /// The endpoint to be tried now, as the load balancer picks it, each once; `None` if none is left
    /// or too many have used up their time.
    pub(crate) fn next(&self, worker: &Worker, backend: &BackendState) -> Option<Picked> {
        if self.timed_out >= MAX_TIMED_OUT {
            return None;
        }
        backend.pick(worker.ids.draw(), &self.tried)
    }

    /// That one is of no use.
    pub(crate) fn failed(&mut self, (place, endpoint): Picked, failure: Failure) {
        self.tried.push(place);
        self.timed_out += usize::from(failure == Failure::ConnectTimeout);
        // An endpoint that was reached and whose TLS failed says more than another one that is down.
        if self.error.failure.is_of_origins_tls() && !failure.is_of_origins_tls() {
            return;
        }
        self.error = ConnectError {
            failure,
            endpoint: Some(endpoint),
        };
    }

    /// Why there is no connection: how the last attempt failed, and where.
    pub(crate) fn error(self) -> ConnectError {
        self.error
    }
}

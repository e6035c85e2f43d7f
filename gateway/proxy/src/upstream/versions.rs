//! Which version of HTTP endpoints with TLS choose (ALPN, RFC 7301), as far as this worker knows.
//!
//! Owns whose turn it is to dial. One connection of HTTP/2 serves many requests: while an endpoint's choice
//! is not known, or is HTTP/2, one request dials and the others wait for it. Whoever dials may give up: then
//! another one has the turn. An endpoint that chose HTTP/1.1 is dialled by all at once.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use foldhash::fast::RandomState;
use tidegate_core::failure::Failure;
use tokio::sync::Notify;

use crate::tls::ConnectorId;

/// An endpoint, and what TLS to it is done with.
type Key = (SocketAddr, ConnectorId);

/// What endpoints have chosen.
#[derive(Debug, Default)]
pub(crate) struct Versions {
    endpoints: RefCell<HashMap<Key, Rc<Endpoint>, RandomState>>,
}

/// What an endpoint has chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// HTTP/1.1, or nothing.
    Http1,
    /// HTTP/2.
    Http2,
}

#[derive(Debug)]
struct Endpoint {
    chosen: Cell<Option<Chosen>>,
    /// The connection attempt that others wait for.
    attempt: RefCell<Option<Rc<Attempt>>>,
    used: Cell<Instant>,
}

/// A connection attempt.
#[derive(Debug)]
struct Attempt {
    state: Cell<AttemptState>,
    over: Notify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptState {
    UnderWay,
    /// Who made it no longer wants it.
    GivenUp,
    Failed(Failure),
    Connected,
}

/// What a request without a connection does next.
#[derive(Debug)]
pub(crate) enum Turn {
    /// It dials, and says what came of it.
    Dials(Dialing),
    /// It waits for who dials, and looks again.
    Waits(Waiting),
}

/// Says what came of a connection attempt; dropped without that, it was given up.
#[derive(Debug)]
pub(crate) struct Dialing {
    endpoint: Rc<Endpoint>,
    /// `None` if nobody waits for it.
    attempt: Option<Rc<Attempt>>,
}

/// Waits for somebody else's attempt.
#[derive(Debug)]
pub(crate) struct Waiting(Rc<Attempt>);

impl Versions {
    /// What a request does that wants a new connection to an endpoint.
    pub(crate) fn turn(&self, key: Key) -> Turn {
        let mut endpoints = self.endpoints.borrow_mut();
        let endpoint = endpoints.entry(key).or_insert_with(|| {
            Rc::new(Endpoint {
                chosen: Cell::new(None),
                attempt: RefCell::new(None),
                used: Cell::new(Instant::now()),
            })
        });
        endpoint.used.set(Instant::now());
        if endpoint.chosen.get() == Some(Chosen::Http1) {
            return Turn::Dials(Dialing {
                endpoint: Rc::clone(endpoint),
                attempt: None,
            });
        }
        let mut attempt = endpoint.attempt.borrow_mut();
        if let Some(attempt) = &*attempt {
            return Turn::Waits(Waiting(Rc::clone(attempt)));
        }
        let new = Rc::new(Attempt {
            state: Cell::new(AttemptState::UnderWay),
            over: Notify::new(),
        });
        *attempt = Some(Rc::clone(&new));
        Turn::Dials(Dialing {
            endpoint: Rc::clone(endpoint),
            attempt: Some(new),
        })
    }

    /// Forgets endpoints that nobody has dialled for so long.
    pub(crate) fn sweep(&self, max_idle: Duration) {
        let now = Instant::now();
        self.endpoints.borrow_mut().retain(|_, endpoint| {
            let idle = now.saturating_duration_since(endpoint.used.get());
            idle < max_idle || endpoint.attempt.borrow().is_some()
        });
    }
}

impl Dialing {
    /// What came of it.
    pub(crate) fn ended(self, outcome: Result<Chosen, Failure>) {
        if let Ok(chosen) = outcome {
            self.endpoint.chosen.set(Some(chosen));
        }
        if let Some(attempt) = &self.attempt {
            attempt.state.set(match outcome {
                Ok(_) => AttemptState::Connected,
                Err(failure) => AttemptState::Failed(failure),
            });
        }
    }
}

impl Drop for Dialing {
    fn drop(&mut self) {
        let Some(attempt) = &self.attempt else {
            return;
        };
        if attempt.state.get() == AttemptState::UnderWay {
            attempt.state.set(AttemptState::GivenUp);
        }
        *self.endpoint.attempt.borrow_mut() = None;
        attempt.over.notify_waiters();
    }
}

impl Waiting {
    /// Waits until the attempt is over. Cancel-safe; the caller limits the time.
    ///
    /// # Errors
    ///
    /// How it failed: it would not be better a moment later.
    pub(crate) async fn outcome(&self) -> Result<(), Failure> {
        let over = self.0.over.notified();
        if self.0.state.get() == AttemptState::UnderWay {
            over.await;
        }
        match self.0.state.get() {
            AttemptState::Failed(failure) => Err(failure),
            AttemptState::UnderWay | AttemptState::GivenUp | AttemptState::Connected => Ok(()),
        }
    }
}

//! What one worker knows of its backends: whose turn it is, and how busy each endpoint is.
//!
//! Owns the state behind `core::balance`. A backend that does not change keeps it through
//! generations.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendName;
use tidegate_core::balance::Balancer;
use tidegate_core::failure::Failure;
use tidegate_core::snapshot::Backends;

use crate::tls::Connector;
use crate::tls::ConnectorId;
use crate::tls::TlsPlan;

/// An endpoint that was picked: its place and its address.
pub(crate) type Picked = (usize, SocketAddr);

/// A backend, with what TLS to it is done with.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) backend: Arc<Backend>,
    connector: Option<Arc<Connector>>,
}

impl Target {
    /// A backend of the generation that `tls` is of.
    pub(crate) fn of(backend: &Arc<Backend>, tls: &TlsPlan) -> Self {
        Self {
            backend: Arc::clone(backend),
            connector: tls.connector(backend).cloned(),
        }
    }
}

/// One backend on one worker.
#[derive(Debug)]
pub(crate) struct BackendState {
    pub(crate) backend: Arc<Backend>,
    connector: Option<Arc<Connector>>,
    /// How TLS failed last.
    tls_failure: RefCell<String>,
    balancer: RefCell<Balancer>,
    /// Exchanges of this worker by endpoint.
    loads: Vec<Cell<u32>>,
}

impl BackendState {
    fn new(target: &Target, seed: u64) -> Self {
        let Target { backend, connector } = target;
        Self {
            connector: connector.clone(),
            tls_failure: RefCell::default(),
            balancer: RefCell::new(Balancer::new(
                backend.load_balancer,
                &backend.endpoints,
                seed,
            )),
            loads: backend.endpoints.iter().map(|_| Cell::new(0)).collect(),
            backend: Arc::clone(backend),
        }
    }

    /// What TLS to it is done with; `None` is without TLS.
    ///
    /// # Errors
    ///
    /// [`Failure::UpstreamTlsHandshake`] if there should be TLS, and there is nothing to do it with.
    pub(crate) fn connector(&self) -> Result<Option<&Arc<Connector>>, Failure> {
        if self.backend.tls.is_some() && self.connector.is_none() {
            return Err(Failure::UpstreamTlsHandshake);
        }
        Ok(self.connector.as_ref())
    }

    /// Notes how TLS failed.
    pub(crate) fn note_tls_failure(&self, why: String) {
        *self.tls_failure.borrow_mut() = why;
    }

    /// More about a failure that an attempt has just ended with, if it is one of TLS.
    pub(crate) fn more_about(&self, failure: Failure) -> Option<String> {
        let more = failure.is_of_origins_tls();
        more.then(|| self.tls_failure.borrow().clone())
    }

    /// What tells its connections from those of other backends with the same endpoints.
    pub(crate) fn connector_id(&self) -> ConnectorId {
        self.connector
            .as_ref()
            .map_or(ConnectorId::PLAIN, |connector| connector.id)
    }

    fn is_of(&self, target: &Target) -> bool {
        let mine = self.connector.as_ref().map(Arc::as_ptr);
        self.backend == target.backend && mine == target.connector.as_ref().map(Arc::as_ptr)
    }

    /// The endpoint for the next attempt; `None` if all have been tried.
    pub(crate) fn pick(&self, draw: u64, tried: &[usize]) -> Option<Picked> {
        let load = |place: usize| self.loads.get(place).map_or(0, Cell::get);
        let endpoints = &self.backend.endpoints;
        if let ([only], []) = (endpoints.as_slice(), tried) {
            return (only.weight > 0).then_some((0, only.address));
        }
        let mut balancer = self.balancer.borrow_mut();
        let place = balancer.pick(endpoints, &load, draw, tried)?;
        Some((place, endpoints.get(place)?.address))
    }

    /// The endpoint of that address, if requests may go there.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Picked> {
        let mut endpoints = self.backend.endpoints.iter();
        let place = endpoints.position(|one| one.address == address && one.weight > 0)?;
        Some((place, address))
    }

    /// Counts an exchange for an endpoint until the lease is dropped.
    pub(crate) fn lease(self: &Rc<Self>, place: usize) -> Lease {
        if let Some(load) = self.loads.get(place) {
            load.set(load.get() + 1);
        }
        Lease {
            state: Rc::clone(self),
            place,
        }
    }
}

/// One exchange that an endpoint works on.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Rc<BackendState>,
    place: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(load) = self.state.loads.get(self.place) {
            load.set(load.get().saturating_sub(1));
        }
    }
}

/// All backends that a worker has met.
#[derive(Debug)]
pub(crate) struct BackendStates {
    known: RefCell<HashMap<BackendName, Rc<BackendState>, RandomState>>,
    /// Workers do not march in step.
    seed: u64,
}

impl BackendStates {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            known: RefCell::default(),
            seed,
        }
    }

    /// The state of a backend: the one there is, unless the backend has changed.
    pub(crate) fn of(&self, target: &Target) -> Rc<BackendState> {
        let mut known = self.known.borrow_mut();
        let name = &target.backend.name;
        match known.get(name.as_str()) {
            Some(state) if state.is_of(target) => Rc::clone(state),
            _ => {
                let state = Rc::new(BackendState::new(target, self.seed));
                known.insert(name.clone(), Rc::clone(&state));
                state
            }
        }
    }

    /// Forgets what neither `backends` nor an exchange has any more.
    pub(crate) fn sweep(&self, backends: &Backends) {
        self.known.borrow_mut().retain(|name, state| {
            let current = backends.id(name.as_str()).and_then(|id| backends.get(id));
            current.is_some_and(|current| state.backend == *current) || Rc::strong_count(state) > 1
        });
    }
}

//! What one worker knows of its backends: whose turn it is, and how busy each endpoint is.
//!
//! Owns the state behind `core::balance`. A backend that does not change keeps it through
//! generations; one whose endpoints come from DNS keeps it through changes of them.

mod members;

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::rc::Weak;
use std::sync::Arc;

use foldhash::fast::RandomState;
use tidegate_core::backend::Backend;
use tidegate_core::backend::BackendName;
use tidegate_core::backend::Endpoint;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::Resolved;
use tidegate_core::failure::Failure;
use tidegate_core::snapshot::Backends;

use crate::tls::Connector;
use crate::tls::ConnectorId;
use crate::tls::TlsPlan;
use crate::upstream::balance::members::Load;
use crate::upstream::balance::members::Members;

/// An endpoint that was picked: its place and its address. A place belongs to one address for as
/// long as it is an endpoint, and for a while after.
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
    members: RefCell<Members>,
    seed: u64,
}

impl BackendState {
    fn new(target: &Target, resolved: Option<&Resolved>, seed: u64) -> Self {
        let Target { backend, connector } = target;
        let mut members = Members::default();
        let policy = backend.load_balancer;
        match (&backend.dns, resolved) {
            (None, _) => members.set(policy, &[&backend.endpoints], seed),
            (Some(_), Some(resolved)) => members.set(policy, &tiers(resolved), seed),
            (Some(_), None) => Vec::new(),
        };
        Self {
            connector: connector.clone(),
            tls_failure: RefCell::default(),
            backend: Arc::clone(backend),
            members: RefCell::new(members),
            seed,
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
        self.members.borrow_mut().pick(draw, tried)
    }

    /// The endpoint of that address, if requests may go there.
    pub(crate) fn at(&self, address: SocketAddr) -> Option<Picked> {
        let place = self.members.borrow().place_of(address)?;
        Some((place, address))
    }

    /// Counts an exchange for an endpoint until the lease is dropped.
    pub(crate) fn lease(&self, place: usize) -> Lease {
        Lease::on(self.members.borrow().load(place))
    }

    /// All endpoints as they are now, the best first.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        self.members.borrow().endpoints().copied().collect()
    }

    /// How many endpoints there are now.
    pub(crate) fn count(&self) -> usize {
        self.members.borrow().endpoints().count()
    }

    /// Has these endpoints from now on; returns the addresses that went.
    fn learn(&self, resolved: &Resolved) -> Vec<SocketAddr> {
        let policy = self.backend.load_balancer;
        let mut members = self.members.borrow_mut();
        members.set(policy, &tiers(resolved), self.seed)
    }
}

fn tiers(resolved: &Resolved) -> Vec<&[Endpoint]> {
    resolved.tiers.iter().map(Vec::as_slice).collect()
}

/// One exchange that an endpoint works on.
#[derive(Debug)]
pub(crate) struct Lease {
    load: Option<Rc<Load>>,
}

impl Lease {
    fn on(load: Option<Rc<Load>>) -> Self {
        if let Some(load) = &load {
            load.begin();
        }
        Self { load }
    }

    /// Whether the endpoint is one no more: its connections are not worth keeping.
    pub(crate) fn is_gone(&self) -> bool {
        self.load.as_ref().is_some_and(|load| load.is_gone())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(load) = &self.load {
            load.end();
        }
    }
}

/// All backends that a worker has met.
#[derive(Debug)]
pub(crate) struct BackendStates {
    known: RefCell<HashMap<BackendName, Rc<BackendState>, RandomState>>,
    /// Those whose endpoints come from DNS, of older generations too.
    looked_up: RefCell<Vec<Weak<BackendState>>>,
    /// What names have led to.
    resolved: RefCell<HashMap<Arc<DnsSource>, Arc<Resolved>, RandomState>>,
    /// Workers do not march in step.
    seed: u64,
}

impl BackendStates {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            known: RefCell::default(),
            looked_up: RefCell::default(),
            resolved: RefCell::default(),
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
                let state = self.make(target);
                known.insert(name.clone(), Rc::clone(&state));
                state
            }
        }
    }

    fn make(&self, target: &Target) -> Rc<BackendState> {
        let Some(source) = &target.backend.dns else {
            return Rc::new(BackendState::new(target, None, self.seed));
        };
        let resolved = self.resolved.borrow();
        let now = resolved.get(source).map(|resolved| &**resolved);
        let state = Rc::new(BackendState::new(target, now, self.seed));
        self.looked_up.borrow_mut().push(Rc::downgrade(&state));
        state
    }

    /// Takes what names have led to; returns addresses that are no endpoints of theirs any more.
    pub(crate) fn learn(&self, source: Arc<DnsSource>, now: Arc<Resolved>) -> Vec<SocketAddr> {
        let mut gone = Vec::new();
        self.looked_up.borrow_mut().retain(|state| {
            let Some(state) = state.upgrade() else {
                return false;
            };
            if state.backend.dns.as_ref() == Some(&source) {
                gone.extend(state.learn(&now));
            }
            true
        });
        self.resolved.borrow_mut().insert(source, now);
        gone
    }

    /// Forgets what neither `backends` nor an exchange has any more.
    pub(crate) fn sweep(&self, backends: &Backends) {
        self.known.borrow_mut().retain(|name, state| {
            let current = backends.id(name.as_str()).and_then(|id| backends.get(id));
            current.is_some_and(|current| state.backend == *current) || Rc::strong_count(state) > 1
        });
        self.looked_up
            .borrow_mut()
            .retain(|state| state.strong_count() > 0);
        let mut resolved = self.resolved.borrow_mut();
        if !resolved.is_empty() {
            let used = backends.iter().filter_map(|backend| backend.dns.as_ref());
            let used: std::collections::HashSet<&Arc<DnsSource>> = used.collect();
            resolved.retain(|source, _| used.contains(source));
        }
    }
}

//! What is shared between the driver of a connection and the filters in its path.
//!
//! Owns what is known of the connection, the bytes that filters hold back, and what filters asked
//! for. The driver and every guest call borrow it for moments only, never across a wait or a guest
//! entry.

use std::cell::Cell;
use std::cell::Ref;
use std::cell::RefCell;
use std::cell::RefMut;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;
use std::time::Instant;

use tidegate_core::tcp::TcpRule;
use tidegate_host_abi::BodyBuffer;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::PeerType;
use tidegate_host_abi::Side;

use crate::filters::Filter;
use crate::filters::vm::Vm;
use crate::metrics::TcpCounters;
use crate::tls::Secured;
use crate::upstream::balance::BackendState;

/// One connection as filters reach it.
#[derive(Debug)]
pub(crate) struct ConnectionCell(RefCell<ConnectionState>);

impl ConnectionCell {
    pub(crate) fn new(state: ConnectionState) -> Self {
        Self(RefCell::new(state))
    }

    /// Borrows the state for a moment.
    pub(crate) fn state(&self) -> RefMut<'_, ConnectionState> {
        self.0.borrow_mut()
    }

    /// The same for who only looks, and can do without.
    pub(crate) fn try_state(&self) -> Option<Ref<'_, ConnectionState>> {
        self.0.try_borrow().ok()
    }
}

/// All of one connection that is not sockets.
#[derive(Debug)]
pub(crate) struct ConnectionState {
    pub(crate) facts: Facts,
    /// What it passes, in order.
    pub(crate) chain: Rc<[Filter]>,
    /// The part of each filter of the chain.
    pub(crate) filters: Vec<FilterState>,
    /// A filter asked for the connection to be closed.
    pub(crate) closed: bool,
    /// Custom properties that filters set.
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// The task to wake when a filter asks for something from outside a callback.
    pub(crate) waker: Option<Waker>,
}

/// What is known of a connection.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) rule: Arc<TcpRule>,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) id: u64,
    pub(crate) server_name: Option<Arc<str>>,
    pub(crate) secured: Option<Rc<Secured>>,
    pub(crate) started: Instant,
    pub(crate) started_unix_nanos: u64,
    pub(crate) backend: Option<Rc<BackendState>>,
    pub(crate) endpoint: Option<SocketAddr>,
    /// Our end of the connection to the origin.
    pub(crate) origin_local: Option<SocketAddr>,
    pub(crate) attempts: u32,
    pub(crate) tally: Rc<Tally>,
    /// Why it ended; empty while it has not, or if both peers had said their last.
    pub(crate) flag: &'static str,
    /// Who has closed the client's connection, for filters.
    pub(crate) closed_by: PeerType,
    /// More of it, for the log.
    pub(crate) details: String,
}

/// The bytes of one connection, counted as they come.
#[derive(Debug)]
pub(crate) struct Tally {
    received: Cell<u64>,
    sent: Cell<u64>,
    pub(super) listener: Arc<TcpCounters>,
}

/// One filter's part in one connection.
#[derive(Debug, Default)]
pub(crate) struct FilterState {
    /// Its stream context, and the generation of the instance that knows it.
    pub(crate) context: Option<(ContextId, u64)>,
    /// The instance that it has for this connection alone, with `isolation: Stream`.
    pub(crate) own: Option<Rc<Vm>>,
    /// It failed open: it no longer sees this connection.
    pub(crate) bypassed: bool,
    up: SideState,
    down: SideState,
}

/// One direction of one filter. A new connection is held in the direction from the client.
#[derive(Debug, Default)]
pub(crate) struct SideState {
    /// It is held back.
    pub(crate) held: bool,
    /// `continue_stream` was called for it.
    pub(crate) resume: bool,
    /// What the filter holds back, or sees now.
    pub(crate) data: BodyBuffer,
    /// The data may be read and edited now.
    pub(crate) visible: bool,
    /// The filter has seen the end.
    pub(crate) ended: bool,
}

impl Tally {
    pub(super) fn new(listener: Arc<TcpCounters>) -> Self {
        Self {
            received: Cell::new(0),
            sent: Cell::new(0),
            listener,
        }
    }

    /// So many bytes more came from the client.
    pub(super) fn add_received(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.received.set(self.received.get() + bytes);
        self.listener.received(bytes);
    }

    /// So many bytes more went to the client.
    pub(super) fn add_sent(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.sent.set(self.sent.get() + bytes);
        self.listener.sent(bytes);
    }

    /// Bytes that came from the client.
    pub(crate) fn received(&self) -> u64 {
        self.received.get()
    }

    /// Bytes that went to the client.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.get()
    }
}

impl FilterState {
    pub(crate) fn side(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Request => &mut self.up,
            Side::Response => &mut self.down,
        }
    }

    pub(crate) fn side_ref(&self, side: Side) -> &SideState {
        match side {
            Side::Request => &self.up,
            Side::Response => &self.down,
        }
    }
}

impl ConnectionState {
    pub(super) fn new(facts: Facts) -> Self {
        Self {
            facts,
            chain: Rc::from([]),
            filters: Vec::new(),
            closed: false,
            properties: Vec::new(),
            waker: None,
        }
    }

    /// Makes these the filters that it passes.
    pub(super) fn follow(&mut self, chain: Vec<Filter>) {
        self.filters.resize_with(chain.len(), FilterState::default);
        self.chain = chain.into();
    }

    /// One direction of one filter.
    pub(crate) fn side(&mut self, at: usize, side: Side) -> Option<&mut SideState> {
        self.filters.get_mut(at).map(|filter| filter.side(side))
    }

    /// Whether a filter holds the connection back, and is the one at that place of its instance.
    pub(crate) fn is_held_by(&self, filter: usize, place: usize) -> bool {
        let known = self.chain.get(filter);
        known.is_some_and(|known| known.place == place)
            && self
                .filters
                .get(filter)
                .is_some_and(|filter| filter.up.held || filter.down.held)
    }

    /// Wakes the driver to look at what was asked for.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

//! What is shared between the driver of an exchange and the filters in its path.
//!
//! Owns the heads, the bodies that filters hold back, and what filters asked for. The driver and
//! every guest call borrow it for moments only and never across a wait or a guest entry, so that a
//! call made for one stream may reach another.

use std::cell::Cell;
use std::cell::Ref;
use std::cell::RefCell;
use std::cell::RefMut;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use http::HeaderMap;
use http::HeaderValue;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;
use tidegate_core::message::Version;
use tidegate_core::route::RuleId;
use tidegate_host_abi::AttemptFault;
use tidegate_host_abi::BodyBuffer;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::LocalResponse;
use tidegate_host_abi::Side;

use crate::exchange::injection::Injection;
use crate::exchange::injection::Injections;
use crate::exchange::intake::Progress;
use crate::exchange::request::Routed;
use crate::filters::Chain;
use crate::filters::canary::Picks;
use crate::filters::shadow::feed::Feed;
use crate::filters::vm::Vm;
use crate::tls::Secured;
use crate::upstream::Upstream;
use crate::upstream::balance::BackendState;
use crate::worker::Generation;

/// One exchange as filters reach it.
#[derive(Debug)]
pub(crate) struct StreamCell {
    state: RefCell<State>,
    /// Pieces of bodies that have come, in both directions.
    moves: Cell<u64>,
    /// Of a copy: its filter was kept from a call that it made for it.
    deprived: Cell<bool>,
}

impl StreamCell {
    pub(crate) fn new(state: State) -> Self {
        Self {
            state: RefCell::new(state),
            moves: Cell::new(0),
            deprived: Cell::new(false),
        }
    }

    /// Borrows the state for a moment: never across a wait or a guest entry.
    pub(crate) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// The same for who only looks, and can do without.
    pub(crate) fn try_state(&self) -> Option<Ref<'_, State>> {
        self.state.try_borrow().ok()
    }

    /// The filter of a copy was kept from a call that it made for it.
    pub(crate) fn deprive(&self) {
        self.deprived.set(true);
    }

    /// Whether it was.
    pub(crate) fn is_deprived(&self) -> bool {
        self.deprived.get()
    }

    /// A piece of a body has come.
    pub(crate) fn moved(&self) {
        self.moves.set(self.moves.get().wrapping_add(1));
    }

    /// Something that changes with every piece that comes, in either direction.
    pub(crate) fn moves(&self) -> u64 {
        self.moves.get()
    }
}

/// All of one exchange that is not sockets.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) request: RequestHead,
    pub(crate) request_trailers: Option<Box<HeaderMap>>,
    pub(crate) response: ResponseHead,
    pub(crate) response_trailers: Option<Box<HeaderMap>>,
    pub(crate) phase: Phase,
    pub(crate) facts: Facts,
    pub(crate) filters: Vec<FilterState>,
    /// What was read of the request body before its head could leave.
    pub(crate) ahead: Option<Box<Progress>>,
    /// The change of protocol that the client asks for.
    pub(crate) upgrade: Option<Box<Upgrade>>,
    /// The client waits to be told that its body is wanted.
    pub(crate) expects_continue: bool,
    /// What the exchange passes; grows when a rule has it.
    pub(crate) chain: Rc<Chain>,
    /// How many steps of the chain the request head has passed.
    pub(crate) passed_steps: usize,
    /// The rule that has it.
    pub(crate) routed: Option<Routed>,
    /// A response that a filter made and that was not acted on yet.
    pub(crate) local: Option<Local>,
    /// The filter that made one, the first of them.
    pub(crate) answered_by: Option<usize>,
    /// The versions that it got of plugins of which two are there.
    pub(crate) picks: Picks,
    /// A filter asked for the stream to be reset.
    pub(crate) closed: bool,
    /// That filter, the first of them.
    pub(crate) closed_by: Option<usize>,
    /// A filter edited the request head: it is normalised once more.
    pub(crate) request_edited: bool,
    /// A filter wrote a header that cannot be sent.
    pub(crate) invalid_header: bool,
    /// What the log is told about a failure that a filter is to blame for: which one, and where; or
    /// about one of TLS with the origin.
    pub(crate) blame: Option<String>,
    /// What it was begun with.
    pub(crate) generation: Option<Rc<Generation>>,
    /// The endpoint that a filter chose.
    pub(crate) chosen_endpoint: Option<Box<SocketAddr>>,
    /// What filters want of the next attempts, one wish of each.
    pub(crate) faults: Vec<Faults>,
    /// An attempt was late because a filter wanted it.
    pub(crate) delayed: bool,
    /// The exchange's random bits, by which its backend is chosen.
    pub(crate) draw: u64,
    /// The backend of a rule that a filter chose, by its place.
    pub(crate) chosen_share: Option<(RuleId, usize)>,
    /// Bytes of the response body that were sent, where there are filters that may ask.
    pub(crate) body_sent: u64,
    /// The way to the origin, where there are filters that may ask.
    pub(crate) way: Option<Box<Way>>,
    /// Custom properties that filters set.
    pub(crate) properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// What filters may inject into the response.
    pub(crate) injections: Injections,
    /// The task to wake when a filter asks for something from outside a callback.
    pub(crate) waker: Option<Waker>,
}

/// A change of protocol on its way.
#[derive(Debug)]
pub(crate) struct Upgrade {
    /// What the client asks for; once a rule has the request, what the origin is asked for.
    pub(crate) protocols: HeaderValue,
    /// The client asks on a stream: it can do nothing with another answer.
    pub(crate) by_stream: bool,
    /// The key of a client that waits for an answer to it.
    pub(crate) client_key: Option<HeaderValue>,
    /// What the origin must answer to a key that was made here.
    pub(crate) expected: Option<HeaderValue>,
    /// The origin has answered that it changes.
    pub(crate) accepted: bool,
    /// The way to it, once the client has been told.
    pub(crate) origin: Option<Upstream>,
}

/// What a filter wants of the next attempts.
#[derive(Debug)]
pub(crate) struct Faults {
    /// Its place in the chain.
    pub(crate) filter: usize,
    pub(crate) fault: AttemptFault,
    /// How many come to that; never 0.
    pub(crate) attempts: u32,
}

/// A response made here.
#[derive(Debug)]
pub(crate) struct Local {
    pub(crate) response: LocalResponse,
    /// Short reason for the log.
    pub(crate) flag: &'static str,
}

/// What filters may ask about an exchange's way to its origin.
#[derive(Debug, Clone, Default)]
pub(crate) struct Way {
    /// Our end of the connection.
    pub(crate) local: Option<SocketAddr>,
    /// How long it took to have one.
    pub(crate) ready_after: Duration,
    /// When the request head was written.
    pub(crate) asked: Option<Instant>,
    /// When the last byte of the answer came.
    pub(crate) answered: Option<Instant>,
}

/// How far an exchange has come; later phases can no longer edit what earlier ones sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Filters see the request head.
    RequestHeaders,
    /// The request head has left; its body may still be passing.
    RequestSent,
    /// Filters see the response head.
    ResponseHeaders,
    /// The response head has left.
    ResponseSent,
    /// All is sent; filters log.
    Done,
}

/// What does not change, or only ever gets known.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) started: Instant,
    pub(crate) started_unix_nanos: u64,
    pub(crate) version: Version,
    pub(crate) client: IpAddr,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
    pub(crate) connection_id: u64,
    /// The client connection's TLS, if it has.
    pub(crate) secured: Option<Rc<Secured>>,
    pub(crate) backend: Option<Rc<BackendState>>,
    pub(crate) endpoint: Option<SocketAddr>,
    pub(crate) attempts: u32,
    /// Bytes of the request body received.
    pub(crate) received: u64,
    /// Bytes of the response sent, head included.
    pub(crate) sent: u64,
    /// Why it did not end with a forwarded response.
    pub(crate) flag: &'static str,
    /// The details of a local response.
    pub(crate) details: bytes::Bytes,
}

impl Facts {
    /// The client, as it is trusted. Behind proxies of ours its port is not known, and 0.
    pub(crate) fn source(&self) -> SocketAddr {
        if self.client == self.peer.ip() {
            self.peer
        } else {
            SocketAddr::new(self.client, 0)
        }
    }
}

/// One filter's part in one exchange.
#[derive(Debug, Default)]
pub(crate) struct FilterState {
    /// Its stream context, and the generation of the instance that knows it.
    pub(crate) context: Option<(ContextId, u64)>,
    /// The instance that it has for this exchange alone, with `isolation: Stream`.
    pub(crate) own: Option<Rc<Vm>>,
    /// It failed open: it no longer sees this exchange.
    pub(crate) bypassed: bool,
    /// It could not decide because it failed.
    pub(crate) faulted: bool,
    /// Of a filter that only looks on: what its copy is fed through.
    pub(crate) shadow: Option<Box<Feed>>,
    /// What it has injected into the response and what has not gone on yet.
    pub(crate) injection: Option<Box<Injection>>,
    request: SideState,
    response: SideState,
}

/// One direction of one filter.
#[derive(Debug, Default)]
pub(crate) struct SideState {
    /// The generation of the instance that saw this direction's head.
    pub(crate) generation: Option<u64>,
    pub(crate) hold: Hold,
    /// A strict filter has let the head go: it is not there for it any more, as in Envoy.
    pub(crate) head_gone: bool,
    /// `continue_stream` was called for this direction.
    pub(crate) resume: bool,
    /// What the filter holds back, or sees now.
    pub(crate) body: BodyBuffer,
    /// It injects while it holds the head: that goes.
    pub(crate) lets_go: bool,
    /// The body may be read and edited now.
    pub(crate) body_visible: bool,
    /// The filter has seen the end of the message.
    pub(crate) ended: bool,
    /// The filter made trailers at the end of a body that had none.
    pub(crate) made_trailers: bool,
}

/// Whether a filter holds a direction back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// It does not.
    #[default]
    No,
    /// It paused at the head or trailers: nothing moves.
    Fields,
    /// It paused at the head and wants to see the body meanwhile.
    Head,
    /// It paused in the body and wants to see more.
    Body,
    /// It paused in the body and wants to see no more for now.
    Watermark,
}

impl FilterState {
    pub(crate) fn side(&mut self, side: Side) -> &mut SideState {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Both directions.
    pub(crate) fn sides(&self) -> impl Iterator<Item = &SideState> {
        [&self.request, &self.response].into_iter()
    }

    pub(crate) fn side_ref(&self, side: Side) -> &SideState {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }
}

impl State {
    pub(crate) fn new(facts: Facts, request: RequestHead, chain: &Rc<Chain>) -> Self {
        let mut states = Vec::new();
        states.resize_with(chain.filters.len(), FilterState::default);
        Self {
            ahead: None,
            upgrade: None,
            expects_continue: false,
            chain: Rc::clone(chain),
            passed_steps: 0,
            routed: None,
            request,
            request_trailers: None,
            response: ResponseHead::default(),
            response_trailers: None,
            phase: Phase::RequestHeaders,
            facts,
            filters: states,
            local: None,
            answered_by: None,
            picks: Picks::default(),
            closed: false,
            closed_by: None,
            request_edited: false,
            invalid_header: false,
            blame: None,
            generation: None,
            chosen_endpoint: None,
            faults: Vec::new(),
            delayed: false,
            draw: 0,
            chosen_share: None,
            body_sent: 0,
            way: None,
            properties: Vec::new(),
            injections: Injections::default(),
            waker: None,
        }
    }

    /// Makes another chain the exchange's, of which it has passed so many steps. The plugins that
    /// it has met keep their places in it.
    pub(crate) fn follow(&mut self, chain: &Rc<Chain>, passed_steps: usize) {
        self.filters
            .resize_with(chain.filters.len(), FilterState::default);
        self.chain = Rc::clone(chain);
        self.passed_steps = passed_steps;
    }

    /// One filter's part, if there is such a filter.
    pub(crate) fn filter(&mut self, at: usize) -> Option<&mut FilterState> {
        self.filters.get_mut(at)
    }

    /// One direction of one filter.
    pub(crate) fn side(&mut self, at: usize, side: Side) -> Option<&mut SideState> {
        self.filters.get_mut(at).map(|filter| filter.side(side))
    }

    /// Whether a filter holds the exchange back, and is the one at that place of its instance.
    pub(crate) fn is_held_by(&self, filter: usize, place: usize) -> bool {
        let known = self.chain.filters.get(filter);
        known.is_some_and(|known| known.place == place)
            && self
                .filters
                .get(filter)
                .is_some_and(|filter| filter.sides().any(|side| side.hold != Hold::No))
    }

    /// Fields of a head, pseudo-headers included.
    pub(crate) fn field_count(&self, side: Side) -> u32 {
        let count = match side {
            Side::Request => self.request.headers.len() + 4,
            Side::Response => self.response.headers.len() + 1,
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Fields of trailers.
    pub(crate) fn trailer_count(&self, side: Side) -> u32 {
        let trailers = match side {
            Side::Request => self.request_trailers.as_deref(),
            Side::Response => self.response_trailers.as_deref(),
        };
        u32::try_from(trailers.map_or(0, HeaderMap::len)).unwrap_or(u32::MAX)
    }

    /// The last byte of the origin's answer has come.
    pub(crate) fn note_answered(&mut self) {
        if let Some(way) = &mut self.way {
            way.answered = Some(Instant::now());
        }
    }

    /// Wakes the driver to look at what was asked for.
    pub(crate) fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

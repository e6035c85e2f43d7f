//! The way from an exchange to its shadow.
//!
//! Owns what is copied, and the bound on what waits: a shadow that does not keep up is given up, the
//! exchange never waits for it. Bytes are copied, so that no buffer of a connection is kept by them.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use tidegate_core::message::ResponseHead;
use tidegate_core::rollout::shadow::Happened;
use tidegate_host_abi::Side;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::Instant;

use crate::exchange::request::Routed;
use crate::exchange::state::Facts;
use crate::exchange::state::State;
use crate::exchange::state::Way;
use crate::filters::shadow::gate::Gate;
use crate::filters::shadow::gate::Slot;

/// What a waiting piece takes beside its bytes.
const PIECE_OVERHEAD: usize = 128;

/// What a shadow is told, in the order in which it happened.
#[derive(Debug)]
pub(super) enum Piece {
    /// A part of a body; the last one at the `end`.
    Body { side: Side, data: Bytes, end: bool },
    /// Trailers: the end of their message.
    Trailers { side: Side, fields: HeaderMap },
    /// The head of the response.
    Response(Box<Response>),
    /// The exchange has ended.
    End(Box<Outcome>),
}

/// The head of a response, and what is known with it.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) head: ResponseHead,
    pub(super) ends: bool,
    pub(super) facts: Facts,
    pub(super) routed: Option<Routed>,
    pub(super) way: Option<Box<Way>>,
}

/// How an exchange has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) happened: Happened,
    pub(super) facts: Facts,
    pub(super) body_sent: u64,
    pub(super) method: Method,
    pub(super) path: HeaderValue,
    pub(super) request_id: Option<HeaderValue>,
}

impl Response {
    pub(super) fn of(state: &State, ends: bool) -> Self {
        Self {
            head: state.response.clone(),
            ends,
            facts: state.facts.clone(),
            routed: state.routed.clone(),
            way: state.way.clone(),
        }
    }
}

/// The exchange's end. Dropped before [`Feed::end`], it leaves the shadow without an outcome.
#[derive(Debug)]
pub(crate) struct Feed {
    pieces: Option<UnboundedSender<Piece>>,
    load: Rc<Load>,
}

/// The shadow's end.
#[derive(Debug)]
pub(super) struct Fed {
    pub(super) pieces: UnboundedReceiver<Piece>,
    pub(super) load: Rc<Load>,
}

/// What one shadow holds; it is given back when the shadow ends.
#[derive(Debug)]
pub(super) struct Load {
    gate: Rc<Gate>,
    /// Until it has decided.
    slot: RefCell<Option<Slot>>,
    held: Cell<usize>,
    /// What the heads and trailers take of that, which stay to the end.
    heads: Cell<usize>,
    limit: usize,
    /// More came than it may hold.
    overflowed: Cell<bool>,
    /// It has decided: nothing more need be copied.
    decided: Cell<bool>,
    /// When its exchange has ended.
    ended: Cell<Option<Instant>>,
    changed: Notify,
}

impl Drop for Load {
    fn drop(&mut self) {
        self.gate.free(self.held.get());
    }
}

impl Load {
    pub(super) fn gate(&self) -> &Rc<Gate> {
        &self.gate
    }

    fn take(&self, bytes: usize) -> bool {
        let held = self.held.get().saturating_add(bytes);
        let fits = held <= self.limit && self.gate().hold(bytes);
        if fits {
            self.held.set(held);
        }
        fits
    }

    /// So many bytes of what is held stay to the end.
    fn keep(&self, bytes: usize) {
        let heads = self.heads.get().saturating_add(bytes + PIECE_OVERHEAD);
        self.heads.set(heads);
    }

    /// So many bytes are no longer held.
    pub(super) fn give_back(&self, bytes: usize) {
        let bytes = bytes.min(self.held.get());
        self.held.set(self.held.get() - bytes);
        self.gate().free(bytes);
    }

    /// It has decided: nothing more need be copied. Another may take its place, and have what it held but
    /// for the heads.
    pub(super) fn decide(&self) {
        self.decided.set(true);
        self.slot.take();
        let bodies = self.held.get().saturating_sub(self.heads.get());
        self.give_back(bodies);
    }

    /// It has ended, and holds nothing.
    pub(super) fn clear(&self) {
        self.give_back(self.held.get());
    }

    /// Whether more came than it may hold.
    pub(super) fn has_overflowed(&self) -> bool {
        self.overflowed.get()
    }

    /// When its exchange has ended, if it has.
    pub(super) fn ended(&self) -> Option<Instant> {
        self.ended.get()
    }

    /// Resolves when one of the two has changed.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }
}

impl Feed {
    /// Both ends for a shadow that may hold so many bytes.
    pub(super) fn new(slot: Slot, limit: usize) -> (Self, Fed) {
        let (pieces, coming) = unbounded_channel();
        let load = Rc::new(Load {
            gate: Rc::clone(slot.gate()),
            slot: RefCell::new(Some(slot)),
            held: Cell::new(0),
            heads: Cell::new(0),
            limit,
            overflowed: Cell::new(false),
            decided: Cell::new(false),
            ended: Cell::new(None),
            changed: Notify::new(),
        });
        let feed = Self {
            pieces: Some(pieces),
            load: Rc::clone(&load),
        };
        let fed = Fed {
            pieces: coming,
            load,
        };
        (feed, fed)
    }

    /// Whether half of what the shadow may hold waits for it.
    pub(super) fn is_behind(&self) -> bool {
        self.is_live() && self.load.held.get() > self.load.limit / 2
    }

    /// Whether it wants copies of what comes.
    pub(super) fn is_live(&self) -> bool {
        self.pieces.is_some() && !self.load.decided.get()
    }

    /// Takes room for the request's head; without it there is no shadow.
    pub(super) fn takes(&self, fields: &HeaderMap) -> bool {
        let size = kept_of(fields) + PIECE_OVERHEAD;
        let fits = self.load.take(size);
        if fits {
            self.load.heads.set(size);
        }
        fits
    }

    /// A part of a body.
    pub(super) fn body(&mut self, side: Side, pieces: &VecDeque<Bytes>, end: bool) {
        let size: usize = pieces.iter().map(Bytes::len).sum();
        if size == 0 && !end {
            return;
        }
        let _sent = self.send(size, || {
            let mut data = Vec::with_capacity(size);
            pieces
                .iter()
                .for_each(|piece| data.extend_from_slice(piece));
            let data = data.into();
            Piece::Body { side, data, end }
        });
    }

    /// Trailers.
    pub(super) fn trailers(&mut self, side: Side, fields: HeaderMap) {
        let size = kept_of(&fields);
        if self.send(size, || Piece::Trailers { side, fields }) {
            self.load.keep(size);
        }
    }

    /// The head of the response.
    pub(super) fn response(&mut self, make: impl FnOnce() -> Response) {
        if !self.is_live() {
            return;
        }
        let response = make();
        let size = kept_of(&response.head.headers);
        if self.send(size, || Piece::Response(Box::new(response))) {
            self.load.keep(size);
        }
    }

    /// The exchange has ended.
    pub(super) fn end(&mut self, outcome: impl FnOnce() -> Outcome) {
        let Some(pieces) = self.pieces.take() else {
            return;
        };
        // It is one, and small: room for it is not asked for.
        pieces.send(Piece::End(Box::new(outcome()))).ok();
        self.load.ended.set(Some(Instant::now()));
        self.load.changed.notify_one();
    }

    /// Says whether it is on its way.
    fn send(&mut self, size: usize, make: impl FnOnce() -> Piece) -> bool {
        let Some(pieces) = self.pieces.as_ref().filter(|_| !self.load.decided.get()) else {
            return false;
        };
        if !self.load.take(size + PIECE_OVERHEAD) {
            // It does not keep up.
            self.pieces = None;
            self.load.overflowed.set(true);
            self.load.changed.notify_one();
            return false;
        }
        pieces.send(make()).is_ok()
    }
}

/// What so many bytes of a body take in so many pieces, until they have passed the filter.
pub(super) fn size_of(bytes: usize, pieces: usize) -> usize {
    bytes.saturating_add(pieces.saturating_mul(PIECE_OVERHEAD))
}

/// What the fields of a message take until the shadow ends: as they were, and as the filter has them.
fn kept_of(fields: &HeaderMap) -> usize {
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    2 * fields.iter().map(size).sum::<usize>()
}

//! One direction of a stream: whether its headers may go on, and what happens to its body.

use std::cell::{Cell, RefCell};
use std::task::Waker;

use tidegate_sdk_sys::MapType;

use crate::error::Result;

/// What a rewriter of chunks is: it gets what came and whether that was the end.
pub(crate) type Rewriter = Box<dyn FnMut(Vec<u8>, bool) -> Result<Vec<u8>>>;
/// What a rewriter of whole bodies is.
pub(crate) type WholeRewriter = Box<dyn FnOnce(Vec<u8>) -> Result<Vec<u8>>>;
/// What looks at trailers when they come.
pub(crate) type TrailersRewriter =
    Box<dyn FnOnce(&mut crate::headers::HeadersMut<'_>) -> Result<()>>;

/// The request or the response of a stream.
pub(crate) struct Side {
    pub(crate) direction: Direction,
    /// The headers have come.
    pub(crate) begun: Cell<bool>,
    /// The filter lets the headers go on.
    pub(crate) released: Cell<bool>,
    /// A connection may begin although the filter has not decided: its bytes are held.
    pub(crate) opened: Cell<bool>,
    /// The host holds something because our last callback told it so.
    pub(crate) held: Cell<Held>,
    /// Its callback runs: what it answers decides, not a host call.
    pub(crate) in_callback: Cell<bool>,
    /// Bytes of the body that the host holds for us, as of the last callback.
    pub(crate) body_size: Cell<usize>,
    /// Nothing more of the body comes.
    pub(crate) ended: Cell<bool>,
    pub(crate) body: RefCell<Body>,
    pub(crate) trailers: RefCell<Option<TrailersRewriter>>,
    /// They have come.
    pub(crate) trailers_came: Cell<bool>,
    /// Who waits for the headers, or for more of the body.
    pub(crate) waiter: Cell<Waiter>,
}

/// Who waits for something of a stream.
#[derive(Default)]
pub(crate) enum Waiter {
    #[default]
    Nobody,
    /// The stream's own future, as nearly always.
    Stream,
    /// Another task, or a part of the future that is woken by itself.
    Other(Waker),
}

/// What happens to a body.
pub(crate) enum Body {
    /// It passes.
    Pass,
    /// It is held until somebody has read it and lets it go on.
    Collect,
    /// What there is of it is held until somebody lets it go on.
    Parts,
    /// Each part is rewritten as it comes.
    Chunks(Rewriter),
    /// It is held until it is there, up to `limit` bytes, then rewritten.
    Whole {
        limit: usize,
        rewrite: Option<WholeRewriter>,
    },
}

/// What the host holds of a direction because a callback told it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Held {
    Nothing,
    /// Headers, and no part of the body has come to us.
    Headers,
    /// What has come of the body, and the headers if they were held before.
    Body,
}

/// Which direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Request,
    Response,
}

impl Direction {
    pub(crate) const fn headers(self) -> MapType {
        match self {
            Self::Request => MapType::RequestHeaders,
            Self::Response => MapType::ResponseHeaders,
        }
    }

    pub(crate) const fn trailers(self) -> MapType {
        match self {
            Self::Request => MapType::RequestTrailers,
            Self::Response => MapType::ResponseTrailers,
        }
    }

    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
        }
    }
}

impl Side {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            begun: Cell::new(false),
            released: Cell::new(false),
            opened: Cell::new(false),
            held: Cell::new(Held::Nothing),
            in_callback: Cell::new(false),
            body_size: Cell::new(0),
            ended: Cell::new(false),
            body: RefCell::new(Body::Pass),
            trailers: RefCell::new(None),
            trailers_came: Cell::new(false),
            waiter: Cell::default(),
        }
    }

    /// As new, for another stream; there is nothing to drop.
    pub(crate) fn begin_again(&mut self) {
        self.begun.set(false);
        self.released.set(false);
        self.held.set(Held::Nothing);
        self.in_callback.set(false);
        self.body_size.set(0);
        self.ended.set(false);
        self.trailers_came.set(false);
    }

    /// Whether nothing is left there that has to be dropped.
    pub(crate) fn is_bare(&self) -> bool {
        let waiter = self.waiter.take();
        let nobody = matches!(waiter, Waiter::Nobody);
        self.waiter.set(waiter);
        nobody && matches!(*self.body.borrow(), Body::Pass) && self.trailers.borrow().is_none()
    }

    /// Lets headers go on, and a body that was held for a reader.
    pub(crate) fn release(&self) {
        self.released.set(true);
        let mut body = self.body.borrow_mut();
        if matches!(*body, Body::Collect | Body::Parts) {
            *body = Body::Pass;
        }
    }

    /// Whether parts of the body are held one by one.
    pub(crate) fn has_parts(&self) -> bool {
        matches!(*self.body.borrow(), Body::Parts)
    }

    /// Whether the host has to hold what it has: `what` of this direction.
    pub(crate) fn holds(&self, what: Held) -> bool {
        match what {
            Held::Nothing => false,
            Held::Headers => !self.released.get() && !self.opened.get(),
            Held::Body if !self.released.get() => true,
            Held::Body => match *self.body.borrow() {
                Body::Collect => true,
                Body::Parts => self.body_size.get() > 0,
                Body::Pass | Body::Chunks(_) | Body::Whole { .. } => false,
            },
        }
    }
}

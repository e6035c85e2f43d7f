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
    /// Who waits for more of the body.
    pub(crate) waits: RefCell<Option<Waker>>,
}

/// What happens to a body.
pub(crate) enum Body {
    /// It passes.
    Pass,
    /// It is held until somebody has read it and lets it go on.
    Collect,
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
            waits: RefCell::new(None),
        }
    }

    /// Lets headers go on, and a body that was held for a reader.
    pub(crate) fn release(&self) {
        self.released.set(true);
        let mut body = self.body.borrow_mut();
        if matches!(*body, Body::Collect) {
            *body = Body::Pass;
        }
    }

    /// Whether the host has to hold what it has: `what` of this direction.
    pub(crate) fn holds(&self, what: Held) -> bool {
        match what {
            Held::Nothing => false,
            Held::Headers => !self.released.get() && !self.opened.get(),
            Held::Body => !self.released.get() || matches!(*self.body.borrow(), Body::Collect),
        }
    }

    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waits.take() {
            waker.wake();
        }
    }
}

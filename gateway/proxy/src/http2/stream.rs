//! What the two ends of one stream share in the task of their exchange.
//!
//! Owns the sending side: the writer sends on it, and the reader learns from it that the peer has
//! reset the stream. It is borrowed for moments only, never across a wait.

use std::cell::Cell;
use std::cell::RefCell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use h2::Reason;
use h2::SendStream;
use h2::client::ResponseFuture;
use h2::server::SendResponse;

use crate::upstream::h2::Reserved;
use crate::upstream::h2::heads::Heads;

/// One stream as its two ends share it.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(super) sending: RefCell<Sending>,
    /// The way to an origin's answer, once the request was sent.
    pub(super) response: RefCell<Option<ResponseFuture>>,
    /// Who waits for the request to be sent.
    pub(super) waiting: RefCell<Option<Waker>>,
    /// The peer has not looked at what was sent: it may be sent again.
    pub(super) unprocessed: Cell<bool>,
    /// Heads of the origin's connection that nobody has looked at.
    pub(super) heads: Option<Rc<Heads>>,
}

/// How far sending has come.
#[derive(Debug)]
pub(super) enum Sending {
    /// A response whose head has not left.
    Response(SendResponse<Bytes>),
    /// A request whose head has not left.
    Request(Reserved),
    /// The head has left.
    Body(SendStream<Bytes>),
    /// Nothing more can be sent.
    Over,
}

impl Stream {
    /// The answer to a client's request.
    pub(crate) fn response(respond: SendResponse<Bytes>) -> Rc<Self> {
        Self::new(Sending::Response(respond), None)
    }

    /// A request to an origin.
    pub(crate) fn request(reserved: Reserved) -> Rc<Self> {
        let heads = reserved.heads();
        Self::new(Sending::Request(reserved), Some(heads))
    }

    fn new(sending: Sending, heads: Option<Rc<Heads>>) -> Rc<Self> {
        Rc::new(Self {
            sending: RefCell::new(sending),
            response: RefCell::default(),
            waiting: RefCell::default(),
            unprocessed: Cell::new(false),
            heads,
        })
    }

    /// Whether the peer has certainly not acted on what was sent (RFC 9113 §8.7).
    pub(crate) fn is_unprocessed(&self) -> bool {
        self.unprocessed.get()
    }

    /// Resets the stream, if it is open.
    pub(crate) fn reset(&self, reason: Reason) {
        match &mut *self.sending.borrow_mut() {
            Sending::Response(respond) => respond.send_reset(reason),
            Sending::Body(body) => body.send_reset(reason),
            Sending::Request(_) | Sending::Over => {}
        }
    }

    /// Whether nothing more can be sent, though the request never was.
    pub(super) fn is_over(&self) -> bool {
        matches!(*self.sending.borrow(), Sending::Over)
    }

    /// Whether the peer has reset the stream or its connection has ended.
    pub(super) fn is_gone(&self) -> bool {
        // Whoever waits for it asks again, with a waker of its own.
        self.poll_gone(&mut Context::from_waker(Waker::noop()))
            .is_ready()
    }

    /// Ready when the peer has reset the stream or its connection has ended.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        let polled = match &mut *self.sending.borrow_mut() {
            Sending::Response(respond) => respond.poll_reset(cx),
            Sending::Body(body) => body.poll_reset(cx),
            Sending::Request(_) | Sending::Over => return Poll::Pending,
        };
        polled.map(|_| ())
    }

    /// Notes what an error says about the request, and passes it on.
    pub(super) fn note(&self, err: h2::Error) -> h2::Error {
        let refused = err.is_go_away() || err.reason() == Some(Reason::REFUSED_STREAM);
        if err.is_remote() && refused {
            self.unprocessed.set(true);
        }
        err
    }
}

//! PINGs of ours on one connection: to a client, or to an origin.
//!
//! Owns when one is sent and that a peer which answers none is noticed; a peer that sends anything
//! at all is there. What the numbers are is `core::pings`'s.

use std::cell::Cell;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use h2::Ping;
use h2::PingPong;
use tidegate_core::pings::Next;

use crate::deadline::Deadline;
use crate::deadline::Wheel;

/// PINGs on one connection.
#[derive(Debug)]
pub(crate) struct Pings {
    frames: Option<PingPong>,
    numbers: Option<(tidegate_core::pings::Pings, Deadline)>,
    heard: Heard,
    is_armed: bool,
    /// One is on its way.
    asked: bool,
    /// One was answered.
    pub(crate) answered: bool,
}

/// The peer does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Silent;

impl Pings {
    /// None are sent on their own without `numbers`.
    pub(crate) fn new(
        frames: Option<PingPong>,
        numbers: Option<tidegate_core::pings::Pings>,
        heard: Heard,
        wheel: &Wheel,
    ) -> Self {
        Self {
            frames,
            numbers: numbers.map(|numbers| (numbers, wheel.deadline())),
            heard,
            is_armed: false,
            asked: false,
            answered: false,
        }
    }

    /// Sends one, unless one is on its way.
    pub(crate) fn ask(&mut self) {
        if self.asked {
            return;
        }
        if let Some(frames) = &mut self.frames {
            // An error means that the connection is over: that is noticed elsewhere.
            self.asked = frames.send_ping(Ping::opaque()).is_ok();
        }
    }

    /// Ready when the peer has not answered in time. While nobody `needs` the connection, nobody asks.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, needed: bool) -> Poll<Silent> {
        if self.asked
            && let Some(frames) = &mut self.frames
            && let Poll::Ready(answer) = frames.poll_pong(cx)
        {
            self.answered |= answer.is_ok();
            self.asked = false;
            self.is_armed = false;
        }
        let Some((numbers, deadline)) = &self.numbers else {
            return Poll::Pending;
        };
        if !needed {
            deadline.disarm();
            self.is_armed = false;
            return Poll::Pending;
        }
        loop {
            if !std::mem::replace(&mut self.is_armed, true) {
                deadline.arm(numbers.limit(self.asked));
            }
            ready!(deadline.poll_expired(cx));
            self.is_armed = false;
            match numbers.on_limit(self.asked, self.heard.take()) {
                Next::Wait => {}
                Next::Ask => {
                    self.ask();
                    if !self.asked {
                        return Poll::Pending;
                    }
                    // Registers for the answer.
                    return self.poll(cx, needed);
                }
                Next::GiveUp => return Poll::Ready(Silent),
            }
        }
    }
}

/// Whether the peer has sent something.
#[derive(Debug, Clone, Default)]
pub(crate) struct Heard(Rc<Cell<bool>>);

impl Heard {
    /// It has.
    pub(crate) fn note(&self) {
        self.0.set(true);
    }

    fn take(&self) -> bool {
        self.0.replace(false)
    }
}

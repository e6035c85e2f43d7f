//! Data that filters inject into a response (Higress's `proxy_inject_encoded_data_to_filter_chain`).
//!
//! Owns when it is taken, how much of it may wait, and what becomes of the filter's own hold: a head
//! goes before data. How it goes on is in [`filters::run`](crate::filters::run).

use bytes::BytesMut;
use tidegate_host_abi::Injected;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::exchange::state::State;

/// What one filter has injected and what has not gone on yet.
#[derive(Debug, Default)]
pub(crate) struct Injection {
    pub(crate) data: BytesMut,
    /// Nothing comes after it: the response ends.
    pub(crate) end: bool,
}

/// What is taken from the filters of one exchange.
#[derive(Debug, Default)]
pub(crate) struct Injections {
    /// There is a response that filters see, and its end has not left.
    pub(crate) open: bool,
    /// Bytes of one filter that may wait.
    pub(crate) room: usize,
    /// Some filter has one that waits.
    pub(crate) any: bool,
}

impl Injections {
    /// A response that filters see begins.
    pub(crate) fn opened(room: usize) -> Self {
        Self {
            open: true,
            room,
            any: false,
        }
    }
}

impl State {
    /// Keeps what a filter injects until the driver passes it on. Only a filter that has met the
    /// response, and has not let its end pass, can add to it.
    pub(crate) fn inject(&mut self, at: usize, data: &[u8], end: bool) -> Injected {
        let sees_body = self.sees_response_body(at);
        let Some(known) = self.filters.get_mut(at) else {
            return Injected::Unavailable;
        };
        let side = known.side_ref(Side::Response);
        let has_passed = side.ended && !side.body_visible && side.hold == Hold::No;
        let ends_already = known.injection.as_ref().is_some_and(|known| known.end);
        let meets = side.generation.is_some() && !has_passed && !ends_already;
        if !self.injections.open || !meets {
            return Injected::Unavailable;
        }
        let injection = known.injection.get_or_insert_default();
        if injection.data.len() + data.len() > self.injections.room {
            return Injected::TooMuch;
        }
        injection.data.extend_from_slice(data);
        injection.end = end;
        let side = known.side(Side::Response);
        side.lets_go = true;
        if matches!(side.hold, Hold::Head | Hold::Fields) {
            side.hold = held_on(side.hold, sees_body, side.ended);
        }
        self.injections.any = true;
        self.wake();
        Injected::Queued
    }

    /// A filter has decided on the response head, and how to hold it. If it has injected meanwhile
    /// the head goes, and what it still holds is what comes after. Returns whether that is so.
    pub(crate) fn injected_at_head(&mut self, at: usize, hold: Option<Hold>, ends: bool) -> bool {
        let sees_body = self.sees_response_body(at);
        let Some(known) = self.filters.get_mut(at) else {
            return false;
        };
        let Some(injection) = &mut known.injection else {
            return false;
        };
        // Without a hold there is nobody to add more to a response that has no body.
        injection.end |= ends && hold.is_none();
        let is_last = injection.end;
        let side = known.side(Side::Response);
        side.lets_go = false;
        side.hold = match hold {
            Some(hold) if !is_last => held_on(hold, sees_body, ends),
            _ => Hold::No,
        };
        true
    }

    /// Whether a filter has injected what has not gone on yet.
    pub(crate) fn has_injected(&self, at: usize) -> bool {
        let known = self.filters.get(at);
        self.injections.any && known.is_some_and(|known| known.injection.is_some())
    }

    /// What a filter has injected.
    pub(crate) fn take_injection(&mut self, at: usize) -> Option<Box<Injection>> {
        let taken = self.filters.get_mut(at)?.injection.take();
        self.injections.any = self.filters.iter().any(|known| known.injection.is_some());
        taken
    }

    /// The end that a filter has injected: nothing of what it and those before it hold goes on.
    pub(crate) fn end_before(&mut self, filters: impl Iterator<Item = usize>) {
        for at in filters {
            let Some(known) = self.filters.get_mut(at) else {
                continue;
            };
            known.injection = None;
            let side = known.side(Side::Response);
            side.hold = Hold::No;
            side.body.clear();
            side.body_visible = false;
            side.made_trailers = false;
            side.ended = true;
        }
        self.injections.any = self.filters.iter().any(|known| known.injection.is_some());
        self.response_trailers = None;
    }

    fn sees_response_body(&self, at: usize) -> bool {
        let filter = self.chain.filters.get(at);
        filter.is_some_and(|filter| filter.sees_body(Side::Response))
    }
}

/// What is left of a hold when the head goes. A filter that is shown the body goes on holding it, and
/// a response that has ended waits for more data; what was held as a whole goes on as a whole.
fn held_on(hold: Hold, sees_body: bool, ends: bool) -> Hold {
    if ends || hold == Hold::Head && sees_body {
        Hold::Body
    } else {
        Hold::No
    }
}

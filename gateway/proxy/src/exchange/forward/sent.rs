//! The request as it leaves: its head, written at the last moment, and copies for mirrors.

use bytes::Bytes;
use http::HeaderMap;
use std::rc::Rc;
use std::time::Instant;

use tidegate_core::failure::Failure;
use tidegate_core::filter::Filter;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;
use tidegate_core::route::Rule;

use crate::exchange::forward::Forward;
use crate::exchange::mirror::Copy;
use crate::exchange::mirror::Original;
use crate::exchange::native;
use crate::exchange::pump::PendingHead;
use crate::exchange::pump::PumpEnd;
use crate::exchange::request::Admission;
use crate::exchange::state::Phase;
use crate::exchange::upgrade;
use crate::outlet::HeadUnwritten;
use crate::outlet::Outlet;

impl Forward<'_> {
    /// Starts the copies that the rule asks for, of a head as it leaves.
    fn mirror(&self, head: &RequestHead, length: BodyLength, rule: &Rule) {
        if rule.filters.is_empty() {
            return;
        }
        let mut copies = self.copies.borrow_mut();
        if copies.is_some() {
            return; // Another attempt of the same request.
        }
        let Admission {
            worker,
            generation,
            draw,
            ..
        } = self.admission;
        let mirrors = rule.filters.iter().filter_map(|filter| match filter {
            Filter::Mirror(mirror) if mirror.takes(draw) => mirror.backend,
            _ => None,
        });
        let started = mirrors.filter_map(|backend| {
            let backend = generation.backend(backend, &worker.backends)?;
            let mut head = head.clone();
            upgrade::forget(&mut head);
            let original = Original {
                head,
                length,
                timeouts: *self.run.timeouts,
                held_limit: self.run.sizes.buffered_body_bytes,
            };
            Copy::start(worker, Rc::clone(backend), original)
        });
        *copies = Some(started.collect());
    }
}

/// The request head, written when the pump says so.
pub(super) struct SentRequest<'a> {
    pub(super) forward: &'a Forward<'a>,
}

impl PendingHead for SentRequest<'_> {
    fn check(&self) -> Result<(), Failure> {
        self.forward.admission.confirm()
    }

    fn write(
        &mut self,
        outlet: &mut Outlet<'_>,
        length: BodyLength,
        ends: bool,
    ) -> Result<BodyLength, PumpEnd> {
        let forward = self.forward;
        let mut state = forward.run.stream.state();
        let state = &mut *state;
        // Filters and the log see what the client asked for; the origin what it is rewritten to.
        let asked = native::edit_for_origin(state);
        let host = if state.request.authority.is_empty() {
            forward.backend.backend.authority.as_bytes()
        } else {
            state.request.authority.as_bytes()
        };
        let trailers = forward.client.wants_trailers;
        let written = match &mut state.upgrade {
            None => outlet.request(&state.request, host, length, trailers, ends),
            Some(wish) => upgrade::send(wish, &state.request, host, (length, trailers), outlet),
        };
        if written.is_ok()
            && let Some(routed) = &state.routed
        {
            forward.mirror(&state.request, length, &routed.rule);
        }
        if let Some(asked) = asked {
            native::restore(state, asked);
        }
        match written {
            Ok(()) => {}
            Err(HeadUnwritten::Invalid) => return Err(Failure::InvalidHeader.into()),
            Err(HeadUnwritten::Sink(err)) => return Err(PumpEnd::Sink(err)),
        }
        state.phase = state.phase.max(Phase::RequestSent);
        if let Some(way) = &mut state.way {
            way.asked = Some(Instant::now());
        }
        Ok(length)
    }

    fn takes_trailers(&self) -> bool {
        true
    }

    fn on_piece(&mut self, piece: &Bytes) {
        for copy in self.forward.copies.borrow_mut().iter_mut().flatten() {
            copy.piece(piece);
        }
    }

    fn needs_pieces(&self) -> bool {
        let copies = self.forward.copies.borrow();
        copies.as_ref().is_some_and(|copies| !copies.is_empty())
    }

    fn on_end(&mut self, trailers: Option<&HeaderMap>) {
        for copy in self.forward.copies.borrow_mut().iter_mut().flatten() {
            copy.end(trailers);
        }
    }
}

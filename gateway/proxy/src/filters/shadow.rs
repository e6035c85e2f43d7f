//! Filters that only look on (`mode: Shadow`).
//!
//! Owns the exchange's side: at the filter's place in the chain a copy of what passes is handed to a
//! task of the worker ([`feed`]), which shows it to the filter as an exchange of its own ([`course`]),
//! and says in the end what would have been different ([`verdict`]). Nothing comes back: the exchange
//! never waits for a shadow, and knows nothing of what it decides. What shadows may use is [`gate`]'s.

mod copy;
mod course;
pub(crate) mod feed;
pub(crate) mod gate;
mod verdict;

use std::collections::VecDeque;
use std::rc::Rc;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::forwarded::X_REQUEST_ID;
use tidegate_core::rollout::shadow::Dropped;
use tidegate_core::rollout::shadow::Happened;
use tidegate_host_abi::Side;

use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Filter;
use crate::filters::run::FilterRun;
use crate::filters::shadow::course::Course;
use crate::filters::shadow::feed::Feed;
use crate::filters::shadow::feed::Outcome;
use crate::filters::shadow::feed::Response;
use crate::filters::shadow::gate::Admission;
use crate::filters::shadow::gate::Gate;

impl FilterRun<'_> {
    /// Hands the head to the shadow of the filter at `at`; with the request's, the shadow begins.
    pub(super) fn copy_head(
        &self,
        filter: &Filter,
        gate: &Rc<Gate>,
        at: usize,
        side: Side,
        ends: bool,
    ) {
        match side {
            Side::Request => self.begin_shadow(filter, gate, at, ends),
            Side::Response => {
                let mut state = self.stream.state();
                let Some(mut feed) = take_feed(&mut state, at) else {
                    return; // It is none of those that are picked, or did not see the request.
                };
                feed.response(|| Response::of(&state, ends));
                give_feed(&mut state, at, feed);
            }
        }
    }

    fn begin_shadow(&self, filter: &Filter, gate: &Rc<Gate>, at: usize, ends: bool) {
        let slot = match gate.admit(self.worker.ids.draw()) {
            Admission::Admitted(slot) => slot,
            Admission::NotPicked => return,
            Admission::Dropped(why) => {
                let plugin = gate.plugin();
                self.worker.counters.shadow(plugin, |it| it.drop_one(why));
                return;
            }
        };
        let Some(worker) = filter.vm.worker() else {
            return;
        };
        let mut state = self.stream.state();
        let (feed, fed) = Feed::new(slot, self.sizes.buffered_body_bytes);
        if !feed.takes(&state.request.headers) {
            let plugin = gate.plugin();
            let counters = &self.worker.counters;
            counters.shadow(plugin, |it| it.drop_one(Dropped::Buffer));
            return;
        }
        let copy = Course::new(worker, filter, &state, fed, (*self.timeouts, *self.sizes));
        if let Some(known) = state.filter(at) {
            known.shadow = Some(Box::new(feed));
        }
        // The worker's runtime owns the task; it ends by its time limits.
        tokio::task::spawn_local(copy.run(ends));
    }

    /// Hands pieces of a body to the shadow of the filter at `at`.
    pub(super) fn copy_body(&self, at: usize, side: Side, pieces: &VecDeque<Bytes>, end: bool) {
        let filter = self.chain.filters.get(at);
        if !filter.is_some_and(|filter| filter.sees_body(side)) {
            return;
        }
        let mut state = self.stream.state();
        if let Some(feed) = feed_of(&mut state, at) {
            feed.body(side, pieces, end);
        }
    }

    /// Hands trailers, as they are now, to the shadow of the filter at `at`.
    pub(super) fn copy_trailers(&self, at: usize, side: Side) {
        let filter = self.chain.filters.get(at);
        // One that holds a body back waits for its end.
        let is_concerned = |it: &Filter| it.sees_trailers(side) || it.sees_body(side);
        if !filter.is_some_and(is_concerned) {
            return;
        }
        let mut state = self.stream.state();
        let trailers = match side {
            Side::Request => &state.request_trailers,
            Side::Response => &state.response_trailers,
        };
        let trailers = trailers
            .as_deref()
            .map_or_else(HeaderMap::new, Clone::clone);
        if let Some(feed) = feed_of(&mut state, at) {
            feed.trailers(side, trailers);
        }
    }

    /// Whether a shadow still wants copies of what passes.
    pub(crate) fn has_live_shadows(&self) -> bool {
        let state = self.stream.state();
        let mut feeds = state.filters.iter().filter_map(|it| it.shadow.as_ref());
        feeds.any(|feed| feed.is_live())
    }

    /// Whether a shadow has so much to look at that it needs a turn to keep up.
    pub(crate) fn has_shadows_behind(&self) -> bool {
        let state = self.stream.state();
        let mut feeds = state.filters.iter().filter_map(|it| it.shadow.as_ref());
        feeds.any(|feed| feed.is_behind())
    }

    /// Hands a piece of a body that no filter sees to the shadows of those steps.
    pub(crate) fn copy_unseen(
        &self,
        side: Side,
        steps: std::ops::Range<usize>,
        pieces: &VecDeque<Bytes>,
        end: bool,
    ) {
        for step in steps {
            let Some(at) = self.chain.at_step(side, step) else {
                return;
            };
            let filter = self.chain.filters.get(at);
            if filter.is_some_and(|filter| filter.shadow.is_some()) {
                self.copy_body(at, side, pieces, end);
            }
        }
    }
}

/// Tells the shadow of the filter at `at` how the exchange has ended.
pub(super) fn end(stream: &Rc<StreamCell>, at: usize) {
    let mut state = stream.state();
    if let Some(mut feed) = take_feed(&mut state, at) {
        feed.end(|| outcome(&state, at));
    }
}

fn feed_of(state: &mut State, at: usize) -> Option<&mut Feed> {
    state.filter(at)?.shadow.as_deref_mut()
}

fn take_feed(state: &mut State, at: usize) -> Option<Box<Feed>> {
    state.filter(at)?.shadow.take()
}

fn give_feed(state: &mut State, at: usize, feed: Box<Feed>) {
    if let Some(known) = state.filter(at) {
        known.shadow = Some(feed);
    }
}

/// How the exchange has ended, as the filter at `at` would have met it.
fn outcome(state: &State, at: usize) -> Outcome {
    let status = state.response.status;
    let is_later = |by: Option<usize>| by.is_some_and(|by| by > at);
    let happened = if is_later(state.closed_by) {
        Happened::Closed
    } else if is_later(state.answered_by) {
        Happened::Denied(status)
    } else if state.closed || state.facts.flag == Failure::ClientClosed.verdict().flag {
        // What an earlier filter ended while it was under way has ended for it, too, as by its client.
        Happened::Gone
    } else {
        Happened::Passed(status)
    };
    let id = state.request.headers.get(&X_REQUEST_ID);
    Outcome {
        happened,
        facts: state.facts.clone(),
        body_sent: state.body_sent,
        method: state.request.method.clone(),
        path: state.request.path.clone(),
        request_id: id.cloned(),
    }
}

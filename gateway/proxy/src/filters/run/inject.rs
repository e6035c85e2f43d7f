//! What filters inject into a response, on its way through those after them.
//!
//! Owns its place: before anything that the filter lets pass later, and after what it let pass
//! before.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_host_abi::Side;

use crate::exchange::injection::Injection;
use crate::filters::run::FilterRun;
use crate::filters::run::Passed;
use crate::filters::run::Stop;

impl FilterRun<'_> {
    /// The first filter of this direction that has injected what has not gone on yet.
    pub(crate) fn injected(&self, side: Side) -> Option<usize> {
        if !self.has_injections(side) {
            return None;
        }
        let state = self.stream.state();
        let steps = 0..self.chain.filters.len();
        let mut filters = steps.filter_map(|step| self.chain.at_step(side, step));
        filters.find(|at| state.has_injected(*at))
    }

    /// Whether any filter has.
    pub(crate) fn has_injections(&self, side: Side) -> bool {
        side == Side::Response && !self.chain.has_no_plugins() && self.stream.state().injections.any
    }

    /// Takes what a filter has injected.
    pub(crate) fn take_injection(&self, at: usize) -> Option<Box<Injection>> {
        self.stream.state().take_injection(at)
    }

    /// Passes it through the filters after that one, up to a step. With its end, the response has
    /// ended for that filter and those before it.
    pub(crate) fn inject(
        &self,
        at: usize,
        injection: Injection,
        until: usize,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Stop> {
        let side = Side::Response;
        let step = self.chain.step_of(side, at) + 1;
        if injection.end {
            let before = (0..step).filter_map(|step| self.chain.at_step(side, step));
            self.stream.state().end_before(before);
        }
        let mut pieces = VecDeque::new();
        put_first(&mut pieces, injection.data.freeze());
        self.body(side, step..until, pieces, injection.end, out)
    }

    /// Puts what a filter has injected before what it lets pass now; false if that is dropped,
    /// because the injected is the end.
    pub(super) fn put_injected(&self, side: Side, at: usize, pieces: &mut VecDeque<Bytes>) -> bool {
        if !self.has_injections(side) {
            return true;
        }
        let mut state = self.stream.state();
        let known = state
            .filters
            .get(at)
            .and_then(|known| known.injection.as_ref());
        if known.is_some_and(|injection| injection.end) {
            return false;
        }
        if let Some(injection) = state.take_injection(at) {
            put_first(pieces, injection.data.freeze());
        }
        true
    }
}

fn put_first(pieces: &mut VecDeque<Bytes>, data: Bytes) {
    if !data.is_empty() {
        pieces.push_front(data);
    }
}

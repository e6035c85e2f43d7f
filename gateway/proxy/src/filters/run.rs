//! One exchange's way through the filters: heads, body pieces, trailers, end.
//!
//! Owns the order of callbacks, pauses and the failure policy. It moves no bytes on sockets: the
//! pump in `exchange` feeds it and writes what comes out.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_host_abi::BodyAction;
use tidegate_host_abi::Callback;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::HeadersAction;
use tidegate_host_abi::Side;
use tidegate_host_abi::TrailersAction;

use crate::exchange::state::Hold;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::vm::Current;
use crate::worker::Worker;

/// Why an exchange leaves its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It failed.
    Failure(Failure),
    /// A filter answered: the response is in the state.
    Local,
}

/// What a header callback decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadStep {
    Continue,
    Pause,
    /// Go on without the body.
    EndStream,
}

/// Whether the end of a body came out at the end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// More may come.
    Open,
    /// The end passed.
    Ended,
    /// A filter holds the rest back.
    Held,
}

/// The filters of one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterRun<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) chain: &'a Chain,
    pub(crate) stream: &'a Rc<StreamCell>,
}

impl<'a> FilterRun<'a> {
    fn filter(&self, at: usize) -> Option<&'a Filter> {
        self.chain.filters.get(at)
    }

    /// Runs the header callback of one filter.
    pub(crate) async fn head(
        &self,
        at: usize,
        side: Side,
        end_of_stream: bool,
    ) -> Result<HeadStep, Stop> {
        let Some(filter) = self.filter(at) else {
            return Ok(HeadStep::Continue);
        };
        if side == Side::Request {
            filter.vm.ready().await;
            if !filter.vm.may_enter() {
                return self.apply_policy(filter, at);
            }
        }
        let Some(context) = self.context_for_head(filter, at, side)? else {
            return Ok(HeadStep::Continue);
        };
        let fields = self.stream.state().field_count(side);
        let entered =
            filter.vm.enter(
                Some(self.current(context, at)),
                |instance, streams| match side {
                    Side::Request => {
                        instance.on_request_headers(streams, context, fields, end_of_stream)
                    }
                    Side::Response => {
                        instance.on_response_headers(streams, context, fields, end_of_stream)
                    }
                },
            );
        let Ok(action) = entered else {
            return self.apply_policy(filter, at);
        };
        let mut state = self.stream.state();
        check_requests(&state)?;
        let Some(state) = state.side(at, side) else {
            return Ok(HeadStep::Continue);
        };
        match action {
            HeadersAction::Continue => Ok(HeadStep::Continue),
            HeadersAction::ContinueAndEndStream => Ok(HeadStep::EndStream),
            HeadersAction::Pause
            | HeadersAction::StopAllBuffer
            | HeadersAction::StopAllWatermark => {
                if std::mem::take(&mut state.resume) {
                    return Ok(HeadStep::Continue); // Resumed within the callback.
                }
                state.hold = Hold::Fields;
                Ok(HeadStep::Pause)
            }
        }
    }

    /// The context for a header callback, created if need be; `None` if the filter is passed by.
    ///
    /// A response may meet a newer instance than its request did: it gets a context there, so that
    /// a fault in another stream does not take the filter out of this one's response.
    fn context_for_head(
        &self,
        filter: &Filter,
        at: usize,
        side: Side,
    ) -> Result<Option<ContextId>, Stop> {
        let generation = filter.vm.generation();
        let known = {
            let mut state = self.stream.state();
            let Some(known) = state.filter(at) else {
                return Ok(None);
            };
            if known.bypassed {
                return Ok(None);
            }
            if side == Side::Response && known.context.is_none() {
                return Ok(None); // An earlier filter answered before this one saw the request.
            }
            known.context.filter(|(_, of)| *of == generation)
        };
        let context = match known {
            Some((context, _)) => context,
            None => match filter.vm.create_stream(filter.place, self.stream, at) {
                Ok(context) => context,
                Err(_) => return self.apply_policy(filter, at).map(|_| None),
            },
        };
        let mut state = self.stream.state();
        if let Some(known) = state.filter(at) {
            known.context = Some((context, generation));
            let direction = known.side(side);
            direction.generation = Some(generation);
            // Resuming what is not paused does nothing, also not later.
            direction.resume = false;
        }
        Ok(Some(context))
    }

    /// The context that saw this direction's head; `None` if the filter is passed by.
    fn context_in(
        &self,
        filter: &Filter,
        at: usize,
        side: Side,
    ) -> Result<Option<ContextId>, Stop> {
        let seen = {
            let mut state = self.stream.state();
            let Some(known) = state.filter(at) else {
                return Ok(None);
            };
            if known.bypassed {
                return Ok(None);
            }
            let Some(seen) = known.side(side).generation else {
                return Ok(None);
            };
            known
                .context
                .filter(|(_, of)| *of == seen)
                .map(|(context, _)| (context, seen))
        };
        match seen {
            Some((context, generation)) if generation == filter.vm.generation() => {
                Ok(Some(context))
            }
            // It saw the head and is gone: it still owes a decision.
            _ => self.apply_policy(filter, at).map(|_| None),
        }
    }

    fn current(&self, context: ContextId, filter: usize) -> Current<'a> {
        Current {
            context,
            stream: self.stream,
            filter,
        }
    }

    /// What happens to a stream whose filter cannot decide.
    fn apply_policy(&self, filter: &Filter, at: usize) -> Result<HeadStep, Stop> {
        match filter.plugin.spec().failure_policy {
            FailurePolicy::FailClosed => Err(Stop::Failure(Failure::PluginFault)),
            FailurePolicy::FailOpen => {
                let mut state = self.stream.state();
                if let Some(known) = state.filter(at) {
                    known.bypassed = true;
                    for side in [Side::Request, Side::Response] {
                        known.side(side).hold = Hold::No;
                    }
                }
                Ok(HeadStep::Continue)
            }
        }
    }

    /// Whether a filter that paused has resumed.
    pub(crate) fn poll_resumed(
        &self,
        at: usize,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Stop>> {
        let lost = {
            let mut state = self.stream.state();
            check_requests(&state)?;
            state.waker = Some(cx.waker().clone());
            let Some(known) = state.side(at, side) else {
                return Poll::Ready(Ok(()));
            };
            if std::mem::take(&mut known.resume) || known.hold == Hold::No {
                known.hold = Hold::No;
                return Poll::Ready(Ok(()));
            }
            known.generation
        };
        let Some(filter) = self.filter(at) else {
            return Poll::Ready(Ok(()));
        };
        if lost != Some(filter.vm.generation()) {
            return Poll::Ready(self.apply_policy(filter, at).map(|_| ()));
        }
        Poll::Pending
    }

    /// Waits for a filter that paused at a head or trailers.
    pub(crate) async fn resumed(&self, at: usize, side: Side) -> Result<(), Stop> {
        let limit = self.worker.timeouts().filter_pause;
        let deadline = self.worker.wheel.deadline();
        let wait = poll_fn(|cx| self.poll_resumed(at, side, cx));
        match deadline.limit(limit, wait).await {
            Ok(resumed) => resumed,
            Err(_) => Err(Stop::Failure(Failure::PluginPauseTimeout)),
        }
    }

    /// What filters asked for outside their callbacks, for waits in which none is paused.
    pub(crate) fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        if self.chain.is_empty() {
            return Poll::Pending;
        }
        let mut state = self.stream.state();
        if let Err(stop) = check_requests(&state) {
            return Poll::Ready(stop);
        }
        state.waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The filter that holds this direction's body back and has resumed, if any. Pending while all
    /// that hold go on holding.
    pub(crate) fn poll_released(
        &self,
        side: Side,
        cx: &mut Context<'_>,
    ) -> Poll<Result<usize, Stop>> {
        for at in 0..self.chain.filters.len() {
            let holds = {
                let state = self.stream.state();
                let known = state
                    .filters
                    .get(at)
                    .map(|filter| filter.side_ref(side).hold);
                matches!(known, Some(Hold::Body | Hold::Watermark))
            };
            if holds && let Poll::Ready(resumed) = self.poll_resumed(at, side, cx) {
                return Poll::Ready(resumed.map(|()| at));
            }
        }
        self.poll_stop(cx).map(Err)
    }

    /// Whether some filter holds this direction's body back, and whether it wants to see more.
    pub(crate) fn hold(&self, side: Side) -> Hold {
        if !self.chain.sees_bodies(side) {
            return Hold::No;
        }
        let state = self.stream.state();
        let holds = state
            .filters
            .iter()
            .map(|filter| filter.side_ref(side).hold);
        holds.fold(Hold::No, |strictest, hold| match (strictest, hold) {
            (Hold::Watermark, _) | (_, Hold::Watermark) => Hold::Watermark,
            (Hold::Body, _) | (_, Hold::Body) => Hold::Body,
            _ => Hold::No,
        })
    }

    /// Passes pieces of a body through the filters from `step` on; what comes out is added to
    /// `out`.
    pub(crate) fn body(
        &self,
        side: Side,
        step: usize,
        mut pieces: VecDeque<Bytes>,
        end: bool,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Stop> {
        let mut step = step;
        while let Some(at) = self.chain.at_step(side, step) {
            step += 1;
            let Some(filter) = self.filter(at) else {
                continue;
            };
            let wanted = match side {
                Side::Request => Callback::RequestBody,
                Side::Response => Callback::ResponseBody,
            };
            if !filter.callbacks.has(wanted) {
                continue;
            }
            let Some(context) = self.context_in(filter, at, side)? else {
                continue;
            };
            match self.body_callback(filter, at, context, side, pieces, end)? {
                Some(passed) => pieces = passed,
                None => return Ok(Passed::Held),
            }
        }
        out.append(&mut pieces);
        Ok(if end { Passed::Ended } else { Passed::Open })
    }

    /// Shows a filter what is there now and returns what it lets pass, or `None` if it holds.
    fn body_callback(
        &self,
        filter: &Filter,
        at: usize,
        context: ContextId,
        side: Side,
        pieces: VecDeque<Bytes>,
        end: bool,
    ) -> Result<Option<VecDeque<Bytes>>, Stop> {
        let size = {
            let mut state = self.stream.state();
            let Some(known) = state.side(at, side) else {
                return Ok(Some(pieces));
            };
            for piece in pieces {
                known.body.push(piece);
            }
            known.body_visible = true;
            known.resume = false;
            known.ended |= end;
            known.body.len()
        };
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let entered =
            filter.vm.enter(
                Some(self.current(context, at)),
                |instance, streams| match side {
                    Side::Request => instance.on_request_body(streams, context, size, end),
                    Side::Response => instance.on_response_body(streams, context, size, end),
                },
            );
        let action = match entered {
            Ok(action) => action,
            Err(_) => self
                .apply_policy(filter, at)
                .map(|_| BodyAction::Continue)?,
        };
        let limit = self.worker.sizes().buffered_body_bytes;
        let mut state = self.stream.state();
        check_requests(&state)?;
        let Some(known) = state.side(at, side) else {
            return Ok(None);
        };
        let resumed = std::mem::take(&mut known.resume);
        known.hold = match action {
            _ if resumed => Hold::No,
            BodyAction::Continue => Hold::No,
            BodyAction::Pause => Hold::Body,
            BodyAction::Watermark => Hold::Watermark,
            BodyAction::NoBuffer => {
                known.body.clear();
                Hold::Body
            }
        };
        if known.hold == Hold::No {
            known.body_visible = false;
            return Ok(Some(known.body.take()));
        }
        if known.body.len() > limit {
            return Err(Stop::Failure(match side {
                Side::Request => Failure::RequestBufferOverflow,
                Side::Response => Failure::ResponseBufferOverflow,
            }));
        }
        Ok(None)
    }

    /// Lets pass what a filter held back, through the filters after it.
    pub(crate) fn release(
        &self,
        side: Side,
        at: usize,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Stop> {
        let (pieces, ended) = {
            let mut state = self.stream.state();
            let Some(known) = state.side(at, side) else {
                return Ok(Passed::Open);
            };
            known.body_visible = false;
            (known.body.take(), known.ended)
        };
        let step = self.chain.step_of(side, at) + 1;
        if pieces.is_empty() && !ended {
            return Ok(Passed::Open);
        }
        self.body(side, step, pieces, ended, out)
    }

    /// Runs the trailer callbacks in order. Each filter's held body passes on before its trailers
    /// do.
    pub(crate) async fn trailers(&self, side: Side, out: &mut VecDeque<Bytes>) -> Result<(), Stop> {
        let mut step = 0;
        while let Some(at) = self.chain.at_step(side, step) {
            step += 1;
            let Some(filter) = self.filter(at) else {
                continue;
            };
            let fields = {
                let state = self.stream.state();
                let trailers = match side {
                    Side::Request => state.request_trailers.as_ref(),
                    Side::Response => state.response_trailers.as_ref(),
                };
                u32::try_from(trailers.map_or(0, http::HeaderMap::len)).unwrap_or(u32::MAX)
            };
            if let Some(context) = self.context_in(filter, at, side)? {
                if let Some(known) = self.stream.state().side(at, side) {
                    known.resume = false;
                }
                let entered = filter.vm.enter(
                    Some(self.current(context, at)),
                    |instance, streams| match side {
                        Side::Request => instance.on_request_trailers(streams, context, fields),
                        Side::Response => instance.on_response_trailers(streams, context, fields),
                    },
                );
                let action = match entered {
                    Ok(action) => action,
                    Err(_) => self
                        .apply_policy(filter, at)
                        .map(|_| TrailersAction::Continue)?,
                };
                check_requests(&self.stream.state())?;
                if action == TrailersAction::Pause {
                    if let Some(known) = self.stream.state().side(at, side) {
                        known.hold = Hold::Fields;
                    }
                    self.resumed(at, side).await?;
                }
            }
            if let Some(known) = self.stream.state().side(at, side) {
                known.hold = Hold::No;
            }
            if self.release(side, at, out)? == Passed::Held {
                continue; // A later filter holds it; its own trailers callback comes next.
            }
        }
        Ok(())
    }

    /// Ends every context of the exchange: done, log, delete. In chain order, once.
    pub(crate) fn finish(&self) {
        for (at, filter) in self.chain.filters.iter().enumerate() {
            let context = self
                .stream
                .state()
                .filter(at)
                .and_then(|known| known.context.take());
            if let Some((context, generation)) = context {
                filter
                    .vm
                    .finish_stream(context, generation, self.stream, at);
            }
        }
    }
}

/// What filters asked for in their last callbacks.
fn check_requests(state: &State) -> Result<(), Stop> {
    if state.closed {
        return Err(Stop::Failure(Failure::PluginClosedStream));
    }
    if state.local.is_some() {
        return Err(Stop::Local);
    }
    if state.invalid_header {
        return Err(Stop::Failure(Failure::InvalidHeader));
    }
    Ok(())
}

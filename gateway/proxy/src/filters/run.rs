//! One exchange's way through the filters: heads, body pieces, trailers, end.
//!
//! Owns the order of callbacks and contexts; [`admit`] has instances and the failure policy, [`body`]
//! bodies and trailers, [`inject`] what filters add to responses, [`wait`] the waits for paused filters. It moves no bytes on sockets: the pump in `exchange`
//! feeds it and writes what comes out.

mod admit;
mod body;
mod inject;
mod wait;

use std::rc::Rc;

use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_host_abi::Callback;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::HeadersAction;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::lent::Current;
use crate::filters::shadow;
use crate::filters::vm::EnterError;
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
    Pause(HeldHead),
}

/// What who holds a head back does with the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeldHead {
    /// It stays with its sender.
    Leaves,
    /// It is kept here, up to the limit.
    Keeps,
    /// The filter is shown it (`stopIteration`).
    Sees,
}

/// Whether the end of a body came out at the end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Passed {
    /// More may come.
    Open,
    /// The end passed.
    Ended,
    /// The end passed a filter that made trailers: those from this step on see them.
    Trailers(usize),
    /// A filter holds the rest back.
    Held,
}

/// The filters of one exchange.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FilterRun<'a> {
    pub(crate) worker: &'a Worker,
    pub(crate) chain: &'a Chain,
    pub(crate) stream: &'a Rc<StreamCell>,
    /// How long this exchange's peers may take.
    pub(crate) timeouts: &'a Timeouts,
    /// How much may be held in memory for it.
    pub(crate) sizes: &'a SizeLimits,
}

impl<'a> FilterRun<'a> {
    fn filter(&self, at: usize) -> Option<&'a Filter> {
        self.chain.filters.get(at)
    }

    fn is_strict(&self, at: usize) -> bool {
        let filter = self.filter(at);
        filter.is_some_and(|filter| filter.plugin.spec().strict)
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
        if let Some(gate) = &filter.shadow {
            self.copy_head(filter, gate, at, side, end_of_stream);
            return Ok(HeadStep::Continue);
        }
        if side == Side::Request {
            filter.vm.count_stream(filter.place, self.worker);
            if !filter.vm.is_ready()
                && let Some(step) = self.admit(filter, at).await?
            {
                return Ok(step);
            }
        }
        let Some(context) = self.context_for_head(filter, at, side)? else {
            return Ok(HeadStep::Continue);
        };
        let fields = self.stream.state().field_count(side);
        let entered =
            self.vm(filter, at)
                .enter(
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
        let held = held_by(filter, side, action);
        self.settle_head(at, side, end_of_stream, held)
    }

    /// Does what a filter decided about a head.
    fn settle_head(
        &self,
        at: usize,
        side: Side,
        end_of_stream: bool,
        held: Option<(HeldHead, Hold)>,
    ) -> Result<HeadStep, Stop> {
        let mut state = self.stream.state();
        check_requests(&state)?;
        let Some(known) = state.side(at, side) else {
            return Ok(HeadStep::Continue);
        };
        known.ended = end_of_stream && side == Side::Response;
        // It may have resumed within the callback.
        let held = held.filter(|_| !std::mem::take(&mut known.resume));
        known.head_gone = held.is_none() && self.is_strict(at);
        let hold = held.map(|(_, hold)| hold);
        if side == Side::Response && state.injected_at_head(at, hold, end_of_stream) {
            return Ok(HeadStep::Continue);
        }
        let (Some(known), Some((held, hold))) = (state.side(at, side), held) else {
            return Ok(HeadStep::Continue);
        };
        known.hold = hold;
        Ok(match hold {
            // There is no body to wait for.
            Hold::Head if end_of_stream => HeadStep::Pause(HeldHead::Leaves),
            _ => HeadStep::Pause(held),
        })
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
        let vm = self.vm(filter, at);
        let generation = vm.generation();
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
            None => match vm.create_stream(filter.place, self.stream.into(), at) {
                Ok(context) => context,
                Err(err) => {
                    if err == EnterError::Absent {
                        vm.count_turned_away(filter.place, self.worker);
                    }
                    return self.apply_policy(filter, at).map(|_| None);
                }
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
            Some((context, generation)) if generation == self.vm(filter, at).generation() => {
                Ok(Some(context))
            }
            // It saw the head and is gone: it still owes a decision.
            _ => self.apply_policy(filter, at).map(|_| None),
        }
    }

    fn current(&self, context: ContextId, filter: usize) -> Current<'a> {
        Current {
            context,
            stream: self.stream.into(),
            filter,
        }
    }
}

/// How a filter that answers its header callback so holds the head.
fn held_by(filter: &Filter, side: Side, action: HeadersAction) -> Option<(HeldHead, Hold)> {
    match action {
        HeadersAction::Continue => None,
        // Without a body callback nobody could let the head go on but who holds it.
        HeadersAction::Pause if filter.plugin.stop_iteration() && filter.sees_body(side) => {
            Some((HeldHead::Sees, Hold::Head))
        }
        HeadersAction::StopAllBuffer => Some((HeldHead::Keeps, Hold::Head)),
        HeadersAction::Pause | HeadersAction::StopAllWatermark => {
            Some((HeldHead::Leaves, Hold::Fields))
        }
    }
}

/// Ends every context of an exchange: done, log, delete. In chain order, once.
pub(crate) fn finish(stream: &Rc<StreamCell>) {
    let chain = Rc::clone(&stream.state().chain);
    for (at, filter) in chain.filters.iter().enumerate() {
        if filter.shadow.is_some() {
            shadow::end(stream, at);
            continue;
        }
        let (context, own) = match stream.state().filter(at) {
            Some(known) => (known.context.take(), known.own.take()),
            None => (None, None),
        };
        let context = context.or_else(|| unreached(filter, at, stream));
        if let Some((context, generation)) = context {
            let vm = own.as_ref().unwrap_or(&filter.vm);
            vm.finish_stream(context, generation, stream.into(), at);
        }
        if let Some(own) = own {
            own.shutdown();
        }
    }
}

/// A context for a filter that logs an exchange which never reached it: whoever keeps accounts
/// counts what filters before it refused, too, as in Envoy.
fn unreached(filter: &Filter, at: usize, stream: &Rc<StreamCell>) -> Option<(ContextId, u64)> {
    let bypassed = stream.state().filters.get(at)?.bypassed;
    if bypassed || !filter.callbacks.has(Callback::Log) || !filter.vm.may_enter() {
        return None;
    }
    if filter.vm.is_pool() {
        tokio::task::spawn_local(tell_later(filter.clone(), at, Rc::clone(stream)));
        return None;
    }
    let context = filter
        .vm
        .create_stream(filter.place, stream.into(), at)
        .ok()?;
    Some((context, filter.vm.generation()))
}

/// The same for a filter with an instance for each stream, which may have to be waited for.
async fn tell_later(filter: Filter, at: usize, stream: Rc<StreamCell>) {
    let Some(own) = filter.vm.own_to_spare().await else {
        let message = "it is not told of an exchange that it did not see: no instance is to spare";
        filter
            .vm
            .warn(filter.plugin.name(), format_args!("{message}"));
        return;
    };
    if let Ok(context) = own.create_stream(filter.place, (&stream).into(), at) {
        own.finish_stream(context, own.generation(), (&stream).into(), at);
    }
    own.shutdown();
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

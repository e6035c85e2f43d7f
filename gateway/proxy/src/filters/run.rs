//! One exchange's way through the filters: heads, body pieces, trailers, end.
//!
//! Owns the order of callbacks, contexts and the failure policy; [`body`] has bodies and trailers,
//! [`wait`] the waits for paused filters. It moves no bytes on sockets: the pump in `exchange`
//! feeds it and writes what comes out.

mod body;
mod wait;

use std::rc::Rc;

use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::FailurePolicy;
use tidegate_host_abi::HeadersAction;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::lent::Current;
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
    /// How long this exchange's peers may take.
    pub(crate) timeouts: &'a Timeouts,
    /// How much may be held in memory for it.
    pub(crate) sizes: &'a SizeLimits,
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
}

/// Ends every context of an exchange: done, log, delete. In chain order, once.
pub(crate) fn finish(stream: &Rc<StreamCell>) {
    let chain = Rc::clone(&stream.state().chain);
    for (at, filter) in chain.filters.iter().enumerate() {
        let context = stream
            .state()
            .filter(at)
            .and_then(|known| known.context.take());
        if let Some((context, generation)) = context {
            filter.vm.finish_stream(context, generation, stream, at);
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

//! Body pieces and trailers on their way through the filters.
//!
//! Owns what a filter sees, holds back and lets pass. A filter that holds sees everything it has
//! held so far, each time more comes; what it lets pass is never shown to it again.

use std::collections::VecDeque;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_host_abi::BodyAction;
use tidegate_host_abi::Callback;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Side;
use tidegate_host_abi::TrailersAction;

use crate::exchange::state::Hold;
use crate::filters::Filter;
use crate::filters::run::FilterRun;
use crate::filters::run::Passed;
use crate::filters::run::Stop;
use crate::filters::run::check_requests;

impl FilterRun<'_> {
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
        if out.is_empty() {
            *out = pieces; // The usual case: nothing to move.
        } else {
            out.append(&mut pieces);
        }
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
            known.body.append(pieces);
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
        self.settle_body(at, side, action)
    }

    /// Does what a filter decided about the body it saw.
    fn settle_body(
        &self,
        at: usize,
        side: Side,
        action: BodyAction,
    ) -> Result<Option<VecDeque<Bytes>>, Stop> {
        let limit = self.sizes.buffered_body_bytes;
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
                    Side::Request => state.request_trailers.as_deref(),
                    Side::Response => state.response_trailers.as_deref(),
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
}

//! Body pieces and trailers on their way through the filters.
//!
//! Owns what a filter sees, holds back and lets pass. A filter that holds sees everything it has
//! held so far, each time more comes; what it lets pass is never shown to it again.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_host_abi::BodyAction;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Side;
use tidegate_host_abi::TrailersAction;

use crate::exchange::state::Hold;
use crate::filters::Filter;
use crate::filters::run::FilterRun;
use crate::filters::run::Passed;
use crate::filters::run::Stop;
use crate::filters::run::check_requests;

/// Steps of a body: the first filter that sees it is at step 0.
pub(crate) type Steps = Range<usize>;

impl FilterRun<'_> {
    /// Passes pieces of a body through the filters of some steps; what comes out is added to `out`.
    pub(crate) fn body(
        &self,
        side: Side,
        steps: Steps,
        mut pieces: VecDeque<Bytes>,
        mut end: bool,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Stop> {
        let mut trailers = None;
        let held = |trailers: Option<usize>| trailers.map_or(Passed::Held, Passed::Trailers);
        for step in steps {
            let Some(at) = self.chain.at_step(side, step) else {
                break;
            };
            let filter = self.filter(at);
            if filter.is_some_and(|filter| filter.shadow.is_some()) {
                self.copy_body(at, side, &pieces, end);
                continue;
            }
            let filter = filter.filter(|filter| filter.sees_body(side));
            let context = match filter {
                Some(filter) => self.context_in(filter, at, side)?,
                None => None,
            };
            if let (Some(filter), Some(context)) = (filter, context) {
                match self.body_callback(filter, at, context, side, pieces, end)? {
                    Some(passed) => pieces = passed,
                    None => return Ok(held(trailers)),
                }
            } else if end {
                self.note_end(at, side);
            }
            if !self.put_injected(side, at, &mut pieces) {
                return Ok(held(trailers));
            }
            if end && self.made_trailers(at, side) {
                // Now they are the end.
                end = false;
                trailers = Some(step + 1);
            }
        }
        if out.is_empty() {
            *out = pieces; // The usual case: nothing to move.
        } else {
            out.append(&mut pieces);
        }
        Ok(match trailers {
            Some(step) => Passed::Trailers(step),
            None if end => Passed::Ended,
            None => Passed::Open,
        })
    }

    /// The end of the message passes a filter.
    fn note_end(&self, at: usize, side: Side) {
        if let Some(known) = self.stream.state().side(at, side) {
            known.ended = true;
        }
    }

    /// Whether a filter made the trailers of a message that had none.
    fn made_trailers(&self, at: usize, side: Side) -> bool {
        let state = self.stream.state();
        let known = state.filters.get(at);
        known.is_some_and(|known| known.side_ref(side).made_trailers)
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
            self.vm(filter, at)
                .enter(
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

    /// Lets pass what a filter held back, through the filters after it, up to a step.
    pub(crate) fn release(
        &self,
        side: Side,
        at: usize,
        until: usize,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Stop> {
        let injection = match side {
            Side::Request => None,
            Side::Response => self.take_injection(at),
        };
        let (mut pieces, ended) = {
            let mut state = self.stream.state();
            let Some(known) = state.side(at, side) else {
                return Ok(Passed::Open);
            };
            known.body_visible = false;
            (known.body.take(), known.ended)
        };
        if let Some(injection) = injection {
            pieces.push_front(injection.data.freeze());
        }
        let step = self.chain.step_of(side, at) + 1;
        if pieces.is_empty() && !ended {
            return Ok(Passed::Open);
        }
        let made_trailers = ended && self.made_trailers(at, side);
        let passed = self.body(side, step..until, pieces, ended && !made_trailers, out)?;
        Ok(if made_trailers {
            Passed::Trailers(step)
        } else {
            passed
        })
    }

    /// Runs the trailer callbacks of some steps in order. Each filter's held body passes on before
    /// its trailers do.
    pub(crate) async fn trailers(
        &self,
        side: Side,
        steps: Steps,
        out: &mut VecDeque<Bytes>,
    ) -> Result<(), Stop> {
        for step in steps.clone() {
            let Some(at) = self.chain.at_step(side, step) else {
                break;
            };
            let Some(filter) = self.filter(at) else {
                continue;
            };
            if filter.shadow.is_some() {
                self.copy_trailers(at, side);
                continue;
            }
            let fields = self.stream.state().trailer_count(side);
            // One that neither sees trailers nor holds anything owes no decision.
            let is_concerned = filter.sees_trailers(side) || self.holds(at, side);
            let context = match is_concerned {
                true => self.context_in(filter, at, side)?,
                false => None,
            };
            if let Some(context) = context {
                if let Some(known) = self.stream.state().side(at, side) {
                    (known.resume, known.lets_go) = (false, false);
                }
                let entered = self.vm(filter, at).enter(
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
                    self.resumed(at, side, "trailers").await?;
                }
            }
            if let Some(known) = self.stream.state().side(at, side) {
                known.hold = Hold::No;
            }
            // If a later filter holds it: its own trailers callback comes next.
            self.release(side, at, steps.end, out)?;
            self.note_end(at, side);
        }
        Ok(())
    }

    /// Whether a filter holds this direction back.
    pub(crate) fn holds(&self, at: usize, side: Side) -> bool {
        let state = self.stream.state();
        let known = state.filters.get(at);
        known.is_some_and(|known| known.side_ref(side).hold != Hold::No)
    }
}

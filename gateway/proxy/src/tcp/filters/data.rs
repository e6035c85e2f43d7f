//! Data on its way through the filters.
//!
//! Owns what a filter sees, holds back and lets pass.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Context;

use bytes::Bytes;
use tidegate_core::failure::Failure;
use tidegate_host_abi::Callback;
use tidegate_host_abi::ConnectionAction;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::PeerType;
use tidegate_host_abi::Side;

use crate::filters::Filter;
use crate::filters::vm::EnterError;
use crate::tcp::filters::Filters;

/// Whether the end of a direction came out at the end of the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::tcp) enum Passed {
    /// More may come.
    Open,
    /// The end passed.
    Ended,
}

impl Filters<'_> {
    /// Passes data of a direction through all filters; what comes out is added to `out`.
    pub(in crate::tcp) fn pass(
        &self,
        side: Side,
        data: Bytes,
        end: bool,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Failure> {
        let pieces = if data.is_empty() {
            VecDeque::new()
        } else {
            VecDeque::from([data])
        };
        self.steps(side, 0..self.chain.len(), pieces, end, out)
    }

    /// Lets pass what filters held back and have resumed since. Registers the task for what they
    /// ask for later.
    pub(in crate::tcp) fn release(
        &self,
        side: Side,
        out: &mut VecDeque<Bytes>,
        cx: &mut Context<'_>,
    ) -> Result<Passed, Failure> {
        self.check_requests()?;
        self.stream.state().waker = Some(cx.waker().clone());
        let mut passed = Passed::Open;
        for at in 0..self.chain.len() {
            if !self.holds(at, side) || self.poll_resumed(at, side, cx)?.is_pending() {
                continue;
            }
            let (pieces, ended) = {
                let mut state = self.stream.state();
                let Some(known) = state.side(at, side) else {
                    continue;
                };
                known.held = false;
                known.visible = false;
                (known.data.take(), known.ended)
            };
            let next = self.step_of(side, at) + 1;
            if self.steps(side, next..self.chain.len(), pieces, ended, out)? == Passed::Ended {
                passed = Passed::Ended;
            }
        }
        Ok(passed)
    }

    /// Whether a filter holds so much of a direction that nothing more of it is to be read.
    pub(in crate::tcp) fn is_full(&self, side: Side) -> bool {
        let state = self.stream.state();
        let sides = state.filters.iter().map(|filter| filter.side_ref(side));
        let held = sides.filter(|side| side.held).map(|side| side.data.len());
        held.sum::<usize>() >= self.limits.bytes
    }

    /// The filter that holds a direction, if one does.
    pub(in crate::tcp) fn holder(&self, side: Side) -> Option<usize> {
        (0..self.chain.len()).find(|at| self.holds(*at, side))
    }

    /// How long it may.
    pub(in crate::tcp) fn pause_limit(&self) -> std::time::Duration {
        self.limits.pause
    }

    /// It has held for too long.
    pub(in crate::tcp) fn data_overdue(&self, at: usize, side: Side) -> Failure {
        self.overdue(
            at,
            match side {
                Side::Request => "data of the client",
                Side::Response => "data of the origin",
            },
        )
    }

    fn holds(&self, at: usize, side: Side) -> bool {
        let state = self.stream.state();
        let known = state.filters.get(at);
        known.is_some_and(|known| known.side_ref(side).held)
    }

    fn steps(
        &self,
        side: Side,
        steps: Range<usize>,
        mut pieces: VecDeque<Bytes>,
        end: bool,
        out: &mut VecDeque<Bytes>,
    ) -> Result<Passed, Failure> {
        for step in steps {
            let Some(at) = self.at_step(side, step) else {
                break;
            };
            let Some(filter) = self.chain.get(at) else {
                break;
            };
            if pieces.is_empty() && !end {
                return Ok(Passed::Open); // There is nothing to show.
            }
            let Some(context) = self.context(filter, at)? else {
                continue;
            };
            match self.callback(filter, at, context, side, pieces, end)? {
                Some(passed) => pieces = passed,
                None => return Ok(Passed::Open),
            }
        }
        out.append(&mut pieces);
        Ok(if end { Passed::Ended } else { Passed::Open })
    }

    /// Shows a filter what is there now and returns what it lets pass, or `None` if it holds.
    fn callback(
        &self,
        filter: &Filter,
        at: usize,
        context: ContextId,
        side: Side,
        pieces: VecDeque<Bytes>,
        end: bool,
    ) -> Result<Option<VecDeque<Bytes>>, Failure> {
        let callback = match side {
            Side::Request => Callback::DownstreamData,
            Side::Response => Callback::UpstreamData,
        };
        let tells_end = end && side == Side::Response;
        if !filter.callbacks.has(callback) && !tells_end {
            return Ok(Some(pieces));
        }
        let size = {
            let mut state = self.stream.state();
            let Some(known) = state.side(at, side) else {
                return Ok(Some(pieces));
            };
            known.data.append(pieces);
            known.visible = true;
            known.resume = false;
            known.ended |= end;
            u32::try_from(known.data.len()).unwrap_or(u32::MAX)
        };
        let entered = self.enter(filter, at, context, side, size, end);
        let action = match entered {
            Ok(action) => action,
            Err(_) => {
                self.apply_policy(filter, at)?;
                ConnectionAction::Continue
            }
        };
        self.check_requests()?;
        let mut state = self.stream.state();
        let Some(known) = state.side(at, side) else {
            return Ok(None);
        };
        known.held = action == ConnectionAction::Pause && !std::mem::take(&mut known.resume);
        if known.held {
            return Ok(None);
        }
        known.visible = false;
        Ok(Some(known.data.take()))
    }

    /// Enters a filter for data, and at its end for the end of the origin's connection.
    fn enter(
        &self,
        filter: &Filter,
        at: usize,
        context: ContextId,
        side: Side,
        size: u32,
        end: bool,
    ) -> Result<ConnectionAction, EnterError> {
        let current = Some(self.current(context, at));
        self.vm(filter, at)
            .enter(current, |instance, streams| match side {
                Side::Request => instance.on_downstream_data(streams, context, size, end),
                Side::Response => {
                    let action = instance.on_upstream_data(streams, context, size, end)?;
                    if end {
                        // As in Envoy, which cannot tell here who has closed.
                        instance.on_upstream_close(streams, context, PeerType::Unknown)?;
                    }
                    Ok(action)
                }
            })
    }
}

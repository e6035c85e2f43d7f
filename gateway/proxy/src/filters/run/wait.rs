//! Waits of an exchange for its filters: for a pause to end, or for a filter to answer.
//!
//! Owns the polling of what filters asked for. Every wait registers the exchange's one waker in its
//! state; host calls made for it from elsewhere wake it.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;

use tidegate_core::failure::Failure;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::filters::run::FilterRun;
use crate::filters::run::Stop;
use crate::filters::run::check_requests;

impl FilterRun<'_> {
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
        if lost != Some(self.vm(filter, at).generation()) {
            return Poll::Ready(self.apply_policy(filter, at).map(|_| ()));
        }
        Poll::Pending
    }

    /// Waits for a filter that paused at a head or trailers.
    pub(crate) async fn resumed(&self, at: usize, side: Side, part: &str) -> Result<(), Stop> {
        let limit = self.timeouts.filter_pause;
        let deadline = self.worker.wheel.deadline();
        let wait = poll_fn(|cx| match self.lets_go(at, side) {
            true => Poll::Ready(Ok(())),
            false => self.poll_resumed(at, side, cx),
        });
        match deadline.limit(limit, wait).await {
            Ok(resumed) => resumed,
            Err(_) => Err(self.overdue(at, side, part)),
        }
    }

    /// Whether a filter that holds the head has let it go without the rest; said once.
    pub(crate) fn lets_go(&self, at: usize, side: Side) -> bool {
        let mut state = self.stream.state();
        let known = state.side(at, side);
        known.is_some_and(|known| std::mem::take(&mut known.lets_go))
    }

    /// A filter has held a part of the message for too long: says which one, and where.
    pub(crate) fn overdue(&self, at: usize, side: Side, part: &str) -> Stop {
        let plugin = self.filter(at).map_or("", |filter| filter.plugin.name());
        self.worker.counters.pause_timeout(plugin);
        let direction = match side {
            Side::Request => "request",
            Side::Response => "response",
        };
        let blame = format!("plugin {plugin} paused in {direction} {part}");
        self.stream.state().blame = Some(blame);
        Stop::Failure(Failure::PluginPauseTimeout)
    }

    /// The same for the filter that holds the body back.
    pub(crate) fn body_overdue(&self, side: Side) -> Stop {
        let filters = 0..self.chain.filters.len();
        let at = filters.into_iter().find(|at| self.holds(*at, side));
        let at = at.unwrap_or(usize::MAX);
        let holds_head = {
            let state = self.stream.state();
            let known = state.filters.get(at);
            known.is_some_and(|known| known.side_ref(side).hold == Hold::Head)
        };
        self.overdue(at, side, if holds_head { "headers" } else { "body" })
    }

    /// What filters asked for outside their callbacks, for waits in which none is paused.
    pub(crate) fn poll_stop(&self, cx: &mut Context<'_>) -> Poll<Stop> {
        if self.chain.is_left_alone() {
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
                matches!(known, Some(Hold::Head | Hold::Body | Hold::Watermark))
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
            (Hold::Body | Hold::Head, _) | (_, Hold::Body | Hold::Head) => Hold::Body,
            _ => Hold::No,
        })
    }
}

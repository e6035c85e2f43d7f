//! The surroundings of a filter that only looks on: a copy's state, and what the filter's wishes come to.
//!
//! Owns the way from what ends a copy to what the filter would have decided. How the copy is shown to the
//! filter is [`course`](super::course)'s.

use std::rc::Rc;
use std::task::Context;
use std::task::Poll;

use http::StatusCode;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_core::rollout::shadow::Dropped;
use tidegate_core::rollout::shadow::Kept;
use tidegate_core::rollout::shadow::Would;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::exchange::state::Phase;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::run::FilterRun;
use crate::filters::run::Stop;
use crate::worker::Worker;

/// The filter is alone in its chain.
pub(super) const ALONE: usize = 0;

/// What the filter's callbacks reach.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) worker: Rc<Worker>,
    pub(super) chain: Rc<Chain>,
    pub(super) stream: Rc<StreamCell>,
    pub(super) timeouts: Timeouts,
    pub(super) sizes: SizeLimits,
}

/// Why a copy goes no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// The filter has decided, or failed.
    Stop(Stop),
    /// It has not, and will not.
    Undecided,
    /// The exchange has gone without an end.
    Gone,
    /// The copy is given up.
    Dropped(Dropped),
}

/// What a copy has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Would(Would),
    Dropped(Dropped),
    None,
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl Surroundings {
    pub(super) fn run(&self) -> FilterRun<'_> {
        FilterRun {
            worker: &self.worker,
            chain: &self.chain,
            stream: &self.stream,
            timeouts: &self.timeouts,
            sizes: &self.sizes,
        }
    }

    /// The number of the filter's instance.
    pub(super) fn generation(&self) -> u64 {
        let filter = self.chain.filters.first();
        filter.map_or(0, |filter| self.run().vm(filter, ALONE).generation())
    }

    /// Whether there was no instance for the stream, and none was lost with it.
    pub(super) fn was_not_entered(&self, before: u64) -> bool {
        let is_same = self.generation() == before;
        let mut state = self.stream.state();
        let known = state.filter(ALONE);
        is_same && known.is_some_and(|known| known.context.is_none() && known.faulted)
    }

    /// Whether the filter has failed, also if requests would pass without it then.
    pub(super) fn check(&self) -> Result<(), Halt> {
        let mut state = self.stream.state();
        match state.filter(ALONE) {
            Some(known) if known.faulted => Err(Stop::Failure(Failure::PluginFault).into()),
            _ => Ok(()),
        }
    }

    /// A direction of which the filter has let go; or what it asked for outside of its callbacks.
    pub(super) fn poll_released(&self, cx: &mut Context<'_>) -> Poll<Result<Side, Stop>> {
        let run = self.run();
        for side in [Side::Request, Side::Response] {
            if run.hold(side) != Hold::No
                && let Poll::Ready(released) = run.poll_released(side, cx)
            {
                return Poll::Ready(released.map(|_| side));
            }
        }
        run.poll_stop(cx).map(Err)
    }

    /// What it comes to that the copy goes no further.
    pub(super) fn decision(&self, halt: Halt) -> Decision {
        let stop = match halt {
            Halt::Stop(stop) => stop,
            Halt::Undecided => return Decision::Would(Would::Unknown(Kept::Time)),
            Halt::Gone => return Decision::None,
            Halt::Dropped(why) => return Decision::Dropped(why),
        };
        Decision::Would(match stop {
            Stop::Local => self.answer(),
            Stop::Failure(Failure::PluginClosedStream) => Would::Close,
            Stop::Failure(Failure::PluginPauseTimeout) => Would::Unknown(Kept::Time),
            Stop::Failure(Failure::RequestBufferOverflow | Failure::ResponseBufferOverflow) => {
                return Decision::Dropped(Dropped::Buffer);
            }
            Stop::Failure(Failure::PluginExhausted) => return Decision::Dropped(Dropped::Instance),
            Stop::Failure(_) => Would::Fault,
        })
    }

    /// The answer that the filter would have given. Once the response is on its way it can only be cut.
    fn answer(&self) -> Would {
        let state = self.stream.state();
        if state.phase >= Phase::ResponseSent {
            return Would::Close;
        }
        let status = state.local.as_ref().and_then(|local| {
            let status = u16::try_from(local.response.status).ok()?;
            StatusCode::from_u16(status).ok()
        });
        let status = status.filter(|status| !status.is_informational());
        status.map_or(Would::Fault, Would::Answer)
    }
}

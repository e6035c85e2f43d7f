//! A copy of an exchange on its way through the filter that only looks on.
//!
//! Owns how a copy begins, what its filter's decision comes to, and its end; the filter is shown what the
//! exchange has met in [`passing`]. The copy has a state and a chain of its own, so that whatever the
//! filter asks for is done to the copy. It is a task of the worker; it ends when the filter has decided
//! and the exchange has ended, or when it holds too much, or waits for too long.

mod passing;

use std::rc::Rc;
use std::time::Duration;

use http::HeaderMap;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;
use tidegate_core::rollout::shadow::Dropped;
use tidegate_core::rollout::shadow::Kept;
use tidegate_core::rollout::shadow::Would;
use tidegate_core::rollout::shadow::body::BodyCompare;
use tidegate_host_abi::Side;
use tokio::time::sleep_until;

use crate::exchange::state::Phase;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::fields;
use crate::filters::run;
use crate::filters::shadow::copy::ALONE;
use crate::filters::shadow::copy::Decision;
use crate::filters::shadow::copy::Halt;
use crate::filters::shadow::copy::Surroundings;
use crate::filters::shadow::feed::Fed;
use crate::filters::shadow::feed::Load;
use crate::filters::shadow::feed::Outcome;
use crate::filters::shadow::feed::Piece;
use crate::worker::Worker;

/// How long a filter may take to decide once its exchange has ended: until then it may still wait for
/// an answer that the exchange did not wait for.
const AFTER_THE_END: Duration = Duration::from_secs(5);

/// A copy of an exchange, and how far it has come.
#[derive(Debug)]
pub(super) struct Course {
    pub(super) copy: Surroundings,
    fed: Fed,
    /// The heads as the filter got them.
    pub(super) request_head: RequestHead,
    pub(super) response_head: Option<ResponseHead>,
    request: Message,
    response: Message,
    pub(super) outcome: Option<Box<Outcome>>,
}

/// What follows a head.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The trailers as the filter got them.
    pub(super) trailers: Option<HeaderMap>,
    body: BodyCompare,
    /// Its end has been shown to the filter.
    came: bool,
    /// Its end has come out.
    ended: bool,
    /// The filter ended it: what comes is no longer a part of it.
    over: bool,
}

impl Course {
    /// A copy of the exchange as it is now, for that filter alone.
    pub(super) fn new(
        worker: Rc<Worker>,
        filter: &Filter,
        of: &State,
        fed: Fed,
        (timeouts, sizes): (Timeouts, SizeLimits),
    ) -> Self {
        let chain = Rc::new(Chain::alone(filter, of.chain.place.clone()));
        let mut head = of.request.clone();
        fields::join_lines(&mut head.headers);
        let mut state = State::new(of.facts.clone(), head.clone(), &chain);
        state.passed_steps = chain.steps.len();
        state.generation = of.generation.clone();
        state.routed = of.routed.clone();
        state.draw = of.draw;
        state.properties = of.properties.clone();
        Self {
            copy: Surroundings {
                worker,
                chain,
                stream: Rc::new(StreamCell::new(state)),
                timeouts,
                sizes,
            },
            fed,
            request_head: head,
            response_head: None,
            request: Message::default(),
            response: Message::default(),
            outcome: None,
        }
    }

    /// Shows the copy to the filter, and says what would have been different.
    pub(super) async fn run(mut self, ends: bool) {
        let load = Rc::clone(&self.fed.load);
        let decision = {
            let passing = self.pass(ends);
            tokio::select! {
                biased;
                halt = cut_off(&load) => self.copy.decision(halt),
                passed = passing => match passed {
                    Ok(()) => Decision::Would(Would::Pass),
                    Err(halt) => self.copy.decision(halt),
                },
            }
        };
        self.let_go(decision);
        load.decide();
        match decision {
            Decision::Would(would) => {
                // What it does from here on, such as when it logs, says nothing about that.
                let known = self.known(would);
                self.until_the_end().await;
                let verdict = self.outcome.as_ref().map(|it| self.compare(known, it));
                self.finish(Some(would));
                if let (Some(verdict), Some(outcome)) = (verdict, &self.outcome) {
                    self.report(load.gate(), &verdict, outcome);
                }
            }
            Decision::Dropped(why) => {
                let counters = &self.copy.worker.counters;
                counters.shadow(load.gate().plugin(), |it| it.drop_one(why));
                self.finish(None);
                load.clear();
            }
            Decision::None => {
                self.finish(None);
                load.clear();
            }
        }
    }

    /// Lets go of the bodies: whether they were edited matters only if the stream passed, and that is
    /// known by now.
    fn let_go(&mut self, decision: Decision) {
        let passed = decision == Decision::Would(Would::Pass);
        for side in [Side::Request, Side::Response] {
            let message = self.message_mut(side);
            if !passed || message.has_other_body() {
                message.body.change();
            }
            if let Some(known) = self.copy.stream.state().side(ALONE, side) {
                known.body_visible = false;
                known.body.clear();
            }
        }
    }

    /// What the decision is worth: nothing, if something was kept from the filter.
    fn known(&self, would: Would) -> Would {
        let filter = self.copy.chain.filters.first();
        let vm = filter.map(|filter| self.copy.run().vm(filter, ALONE));
        let is_deprived = self.copy.stream.is_deprived() || vm.is_some_and(|vm| vm.is_deprived());
        match would {
            Would::Fault => would,
            _ if is_deprived => Would::Unknown(Kept::Call),
            _ => would,
        }
    }

    /// Ends the filter's context, if it has one: done, log, delete.
    fn finish(&self, would: Option<Would>) {
        {
            let mut state = self.copy.stream.state();
            let known = state.filter(ALONE);
            if !known.is_some_and(|it| it.context.is_some() || it.own.is_some()) {
                return;
            }
            state.phase = Phase::Done;
            if let Some(outcome) = &self.outcome {
                state.facts = outcome.facts.clone();
                state.body_sent = outcome.body_sent;
            }
            if let Some(Would::Answer(status)) = would {
                state.response.status = status;
            }
        }
        run::finish(&self.copy.stream);
    }

    /// Waits for the exchange to end.
    async fn until_the_end(&mut self) {
        while self.outcome.is_none() {
            match self.fed.pieces.recv().await {
                Some(Piece::End(outcome)) => self.outcome = Some(outcome),
                // Its room was given back with the decision.
                Some(Piece::Body { .. } | Piece::Trailers { .. } | Piece::Response(_)) => {}
                None => return,
            }
        }
    }

    pub(super) fn message(&self, side: Side) -> &Message {
        match side {
            Side::Request => &self.request,
            Side::Response => &self.response,
        }
    }

    fn message_mut(&mut self, side: Side) -> &mut Message {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }
}

impl Message {
    /// Whether the filter made another body of it.
    pub(super) fn has_other_body(&self) -> bool {
        self.body.is_changed(self.ended)
    }
}

/// Resolves when a copy is to be given up: it holds too much, or its exchange ended long ago.
async fn cut_off(load: &Load) -> Halt {
    loop {
        if load.has_overflowed() {
            return Halt::Dropped(Dropped::Buffer);
        }
        match load.ended() {
            Some(ended) => {
                sleep_until(ended + AFTER_THE_END).await;
                return Halt::Undecided;
            }
            None => load.changed().await,
        }
    }
}

//! A copy of an exchange on its way through the filter that only looks on.
//!
//! Owns the order in which the filter is shown what its exchange has met: as it came, with the filter's
//! own pauses between. The copy has a state and a chain of its own, so that whatever the filter asks for
//! is done to the copy. It is a task of the worker; it ends when the filter has decided and the exchange
//! has ended, or when it holds too much, or waits for too long.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
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

use crate::exchange::injection::Injections;
use crate::exchange::state::Hold;
use crate::exchange::state::Phase;
use crate::exchange::state::State;
use crate::exchange::state::StreamCell;
use crate::filters::Chain;
use crate::filters::Filter;
use crate::filters::fields;
use crate::filters::run;
use crate::filters::run::HeadStep;
use crate::filters::run::HeldHead;
use crate::filters::run::Passed;
use crate::filters::shadow::copy::ALONE;
use crate::filters::shadow::copy::Decision;
use crate::filters::shadow::copy::Halt;
use crate::filters::shadow::copy::Surroundings;
use crate::filters::shadow::feed::Fed;
use crate::filters::shadow::feed::Load;
use crate::filters::shadow::feed::Outcome;
use crate::filters::shadow::feed::Piece;
use crate::filters::shadow::feed::Response;
use crate::filters::shadow::feed::size_of;
use crate::worker::Worker;

/// How long a filter may take to decide once its exchange has ended: until then it may still wait for
/// an answer that the exchange did not wait for.
const AFTER_THE_END: Duration = Duration::from_secs(5);

/// Behind the last filter.
const END: usize = usize::MAX;

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

/// What comes next.
enum Next {
    Piece(Piece),
    /// The filter lets go of what it held of that direction.
    Released(Side),
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

    /// The way through the filter, to the end of the exchange.
    async fn pass(&mut self, ends: bool) -> Result<(), Halt> {
        self.head(Side::Request, ends).await?;
        while self.outcome.is_none() {
            match self.next().await? {
                Next::Piece(piece) => self.on(piece).await?,
                Next::Released(side) => self.release(side).await?,
            }
            self.take_injection();
        }
        while let Some(side) = self.held_side() {
            if !self.message(side).came {
                return Err(Halt::Undecided); // It waits for what will not come.
            }
            let side = self.released().await?;
            self.release(side).await?;
        }
        Ok(())
    }

    /// Shows a head.
    async fn head(&mut self, side: Side, ends: bool) -> Result<(), Halt> {
        let run = self.copy.run();
        let before = self.copy.generation();
        let step = run.head(ALONE, side, ends).await;
        if side == Side::Request && self.copy.was_not_entered(before) {
            return Err(Halt::Dropped(Dropped::Instance));
        }
        match step? {
            HeadStep::Continue => {}
            HeadStep::Pause(HeldHead::Sees) => return self.copy.check(),
            HeadStep::Pause(HeldHead::Leaves | HeldHead::Keeps) => {
                run.resumed(ALONE, side, "headers").await?;
            }
        }
        if ends {
            self.message_mut(side).came = true;
            self.left(side, Passed::Ended);
        }
        self.copy.check()
    }

    /// Shows what has come next.
    async fn on(&mut self, piece: Piece) -> Result<(), Halt> {
        let is_end = matches!(piece, Piece::End(_));
        if !is_end && self.fed.load.gate().is_overdrawn() {
            return Err(Halt::Dropped(Dropped::Budget));
        }
        match piece {
            Piece::Body { side, data, end } => self.body(side, data, end).await,
            Piece::Trailers { side, fields } => self.trailers(side, fields).await,
            Piece::Response(response) => self.respond(*response).await,
            Piece::End(outcome) => {
                self.outcome = Some(outcome);
                Ok(())
            }
        }
    }

    async fn body(&mut self, side: Side, data: Bytes, end: bool) -> Result<(), Halt> {
        let (size, before) = (size_of(data.len(), 1), self.held(side));
        if !self.message(side).over {
            let message = self.message_mut(side);
            message.came |= end;
            message.body.came(&data);
            let mut out = VecDeque::new();
            let pieces = VecDeque::from([data]);
            let passed = self
                .copy
                .run()
                .body(side, ALONE..END, pieces, end, &mut out)?;
            self.passed(side, passed, out).await?;
        }
        let (had, has) = (size + before, self.held(side));
        self.fed.load.give_back(had.saturating_sub(has));
        Ok(())
    }

    async fn trailers(&mut self, side: Side, given: HeaderMap) -> Result<(), Halt> {
        if self.message(side).over {
            return Ok(());
        }
        let before = self.held(side);
        let message = self.message_mut(side);
        message.came = true;
        message.trailers = Some(given.clone());
        {
            let mut state = self.copy.stream.state();
            let trailers = match side {
                Side::Request => &mut state.request_trailers,
                Side::Response => &mut state.response_trailers,
            };
            *trailers = Some(Box::new(given));
        }
        let mut out = VecDeque::new();
        let run = self.copy.run();
        run.trailers(side, ALONE..END, &mut out).await?;
        self.went(side, &out);
        self.left(side, Passed::Ended);
        let has = self.held(side);
        self.fed.load.give_back(before.saturating_sub(has));
        self.copy.check()
    }

    async fn respond(&mut self, response: Response) -> Result<(), Halt> {
        // If it acted the origin would not have the request yet: there would be no response.
        while self.request.came && self.copy.run().hold(Side::Request) != Hold::No {
            let side = self.released().await?;
            self.release(side).await?;
        }
        let Response {
            head,
            ends,
            facts,
            routed,
            way,
        } = response;
        {
            let mut state = self.copy.stream.state();
            state.phase = Phase::ResponseHeaders;
            state.response = head.clone();
            state.facts = facts;
            state.routed = routed;
            state.way = way;
            state.injections = Injections::opened(self.copy.sizes.buffered_body_bytes);
        }
        self.response_head = Some(head);
        self.head(Side::Response, ends).await
    }

    /// Lets pass what the filter has let go.
    async fn release(&mut self, side: Side) -> Result<(), Halt> {
        let before = self.held(side);
        let mut out = VecDeque::new();
        let passed = self.copy.run().release(side, ALONE, END, &mut out)?;
        self.passed(side, passed, out).await?;
        let has = self.held(side);
        self.fed.load.give_back(before.saturating_sub(has));
        Ok(())
    }

    /// Something has come out of the filter.
    async fn passed(
        &mut self,
        side: Side,
        passed: Passed,
        mut out: VecDeque<Bytes>,
    ) -> Result<(), Halt> {
        if let Passed::Trailers(step) = passed {
            // It made them: nobody after it sees them.
            let run = self.copy.run();
            run.trailers(side, step..END, &mut out).await?;
        }
        self.went(side, &out);
        if !out.is_empty() || !matches!(passed, Passed::Held | Passed::Open) {
            self.left(side, passed);
        }
        self.copy.check()
    }

    fn went(&mut self, side: Side, out: &VecDeque<Bytes>) {
        let body = &mut self.message_mut(side).body;
        out.iter().for_each(|piece| body.went(piece));
    }

    /// The head can no longer be edited; and perhaps the message is complete.
    fn left(&mut self, side: Side, passed: Passed) {
        self.message_mut(side).ended |= matches!(passed, Passed::Ended | Passed::Trailers(_));
        let mut state = self.copy.stream.state();
        match (side, state.phase) {
            (Side::Request, Phase::RequestHeaders) => state.phase = Phase::RequestSent,
            (Side::Response, Phase::ResponseHeaders) => state.phase = Phase::ResponseSent,
            _ => {}
        }
    }

    /// What it injects into the response is no part of what the client got.
    fn take_injection(&mut self) {
        let injection = self.copy.stream.state().take_injection(ALONE);
        if let Some(injection) = injection {
            self.response.body.change();
            self.response.over |= injection.end;
        }
    }

    /// Waits for a piece, or for the filter to let go of what it holds. While it wants to see no more,
    /// for that alone.
    async fn next(&mut self) -> Result<Next, Halt> {
        let wants_no_more = |side| self.copy.run().hold(side) == Hold::Watermark;
        if wants_no_more(Side::Request) || wants_no_more(Side::Response) {
            return self.released().await.map(Next::Released);
        }
        let Self { copy, fed, .. } = self;
        let released = poll_fn(|cx| copy.poll_released(cx));
        tokio::select! {
            biased;
            released = released => Ok(Next::Released(released?)),
            piece = fed.pieces.recv() => piece.map(Next::Piece).ok_or(Halt::Gone),
        }
    }

    /// Waits for the filter to let go of a body that it holds, as long as a filter may.
    async fn released(&self) -> Result<Side, Halt> {
        let released = poll_fn(|cx| self.copy.poll_released(cx));
        match tokio::time::timeout(self.copy.timeouts.filter_pause, released).await {
            Ok(released) => Ok(released?),
            Err(_) => Err(Halt::Undecided),
        }
    }

    /// A direction of which the filter holds something back.
    fn held_side(&self) -> Option<Side> {
        let run = self.copy.run();
        let sides = [Side::Request, Side::Response];
        sides.into_iter().find(|side| run.hold(*side) != Hold::No)
    }

    /// What a body takes that the filter holds, or that is kept to be compared: its bytes, and what each
    /// piece takes beside them.
    fn held(&self, side: Side) -> usize {
        let body = &self.message(side).body;
        let compared = size_of(body.held(), body.pieces());
        let mut state = self.copy.stream.state();
        let held = state.side(ALONE, side);
        let held = held.map_or(0, |it| size_of(it.body.len(), it.body.pieces()));
        held.max(compared)
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

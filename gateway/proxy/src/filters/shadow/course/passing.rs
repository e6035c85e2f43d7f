//! A copy is shown to its filter: each piece of the exchange as it came, with the filter's own pauses
//! between.
//!
//! Owns the order of the pieces, the waits between them, and what the copy holds meanwhile.

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::rollout::shadow::Dropped;
use tidegate_host_abi::Side;

use crate::exchange::injection::Injections;
use crate::exchange::state::Hold;
use crate::exchange::state::Phase;
use crate::filters::run::HeadStep;
use crate::filters::run::HeldHead;
use crate::filters::run::Passed;
use crate::filters::shadow::copy::ALONE;
use crate::filters::shadow::copy::Halt;
use crate::filters::shadow::course::Course;
use crate::filters::shadow::feed::Piece;
use crate::filters::shadow::feed::Response;
use crate::filters::shadow::feed::size_of;

/// Behind the last filter.
const END: usize = usize::MAX;

/// What comes next.
enum Next {
    Piece(Piece),
    /// The filter lets go of what it held of that direction.
    Released(Side),
}

impl Course {
    /// The way through the filter, to the end of the exchange.
    pub(super) async fn pass(&mut self, ends: bool) -> Result<(), Halt> {
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
}

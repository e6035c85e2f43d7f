//! The first half of a body's way: from its source through the filters.
//!
//! Owns reading, showing and holding. What comes out is written by the pump; or it waits here,
//! because a filter that holds the head back wants to see the body first, or because no connection
//! is taken for a head that cannot leave yet.
//!
//! Back-pressure is plain: the next frame is read when the last one has gone on.

use std::cell::RefMut;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_host_abi::Side;
use tokio::time::Instant;

use crate::exchange::state::Hold;
use crate::filters::run::FilterRun;
use crate::filters::run::HeldHead;
use crate::filters::run::Passed;
use crate::filters::run::Stop;
use crate::http1::body::BodyError;
use crate::http1::body::Frame;
use crate::inlet::Inlet;

/// Where a body comes from.
pub(crate) enum Source<'a> {
    /// A peer sends it.
    Peer(Inlet<'a>),
    /// It is all here.
    Ready(Option<Bytes>),
}

/// How far a body has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What has passed the filters before `step`.
    pub(super) out: VecDeque<Bytes>,
    /// The step that sees `out` next.
    step: usize,
    /// Bytes that came in.
    pub(super) taken: u64,
    /// Nothing more comes in.
    pub(super) input_ended: bool,
    /// The end has passed the filters before `step`.
    pub(super) ended: bool,
    /// The end are trailers.
    by_trailers: bool,
}

impl Progress {
    /// Whether nothing of the body was read.
    pub(crate) fn is_none(&self) -> bool {
        self.taken == 0 && !self.input_ended && self.out.is_empty()
    }
}

/// A body on its way through the filters.
pub(crate) struct Intake<'a, 's> {
    pub(super) run: FilterRun<'a>,
    pub(super) side: Side,
    pub(super) source: Source<'s>,
    pub(super) shows: bool,
    /// Somebody wants copies of what is not shown, or of what is shown to others.
    pub(super) copies: bool,
    pub(super) progress: Progress,
}

/// What happens next.
pub(crate) enum Event {
    /// A frame came in.
    Frame(Frame),
    /// A filter lets go of what it held.
    Released(usize),
    /// A filter adds to the response.
    Injected(usize),
    /// More of a body that flows can be read.
    Readable,
}

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A frame.
    Frame,
    /// That there is something to read, of a body that flows.
    Flow,
}

impl<'a, 's> Intake<'a, 's> {
    /// Behind the last filter.
    pub(crate) const END: usize = usize::MAX;

    pub(crate) fn new(
        run: FilterRun<'a>,
        side: Side,
        source: Source<'s>,
        progress: Progress,
    ) -> Self {
        Self {
            shows: run.chain.sees_bodies(side) || run.has_injections(side),
            // Those whose heads are still to come see nothing of what this one reads.
            copies: run.chain.copies_bodies(side) && run.has_live_shadows(),
            run,
            side,
            source,
            progress,
        }
    }

    /// Reads while a filter holds the head back, and returns when it lets it go.
    pub(crate) async fn hold(&mut self, at: usize, held: HeldHead) -> Result<(), Stop> {
        let step = self.run.chain.step_of(self.side, at);
        let (until, deadline) = match held {
            HeldHead::Sees => (step + 1, None),
            HeldHead::Keeps | HeldHead::Leaves => {
                // Nothing is asked of the sender: it is the filter alone that takes its time.
                let pause = self.run.timeouts.filter_pause;
                (step, Some(Instant::now() + pause))
            }
        };
        self.catch_up(until).await?;
        while self.run.holds(at, self.side) && !self.run.lets_go(at, self.side) {
            self.check_room()?;
            let event = match self.ready()? {
                Some(event) => event,
                None => self.wait(Wanted::Frame, deadline).await?,
            };
            // What it injects goes after its head.
            if !matches!(event, Event::Injected(by) if by == at) {
                self.on(event, until).await?;
            }
        }
        self.progress.step = until;
        Ok(())
    }

    /// Reads until something may leave, or there is nothing to wait for.
    pub(crate) async fn until_it_leaves(&mut self, announced: BodyLength) -> Result<(), Stop> {
        self.catch_up(Self::END).await?;
        // Whatever comes in from here on passes all filters.
        self.progress.step = Self::END;
        while self.progress.out.is_empty() && !self.progress.ended {
            let event = match self.ready()? {
                Some(event) => event,
                None if self.head_waits(announced) => self.wait(Wanted::Frame, None).await?,
                None => return Ok(()),
            };
            self.on(event, Self::END).await?;
        }
        Ok(())
    }

    /// Shows the filters before `until` what waits for them.
    pub(crate) async fn catch_up(&mut self, until: usize) -> Result<(), Stop> {
        let Progress {
            step,
            ended,
            by_trailers,
            ..
        } = self.progress;
        if step >= until || self.progress.is_none() {
            return Ok(());
        }
        self.progress.step = until;
        let end = ended && !by_trailers;
        self.progress.ended = false;
        let pieces = std::mem::take(&mut self.progress.out);
        if self.shows && (end || !pieces.is_empty()) {
            let passed =
                self.run
                    .body(self.side, step..until, pieces, end, &mut self.progress.out)?;
            self.passed(passed, until).await?;
        } else {
            if self.copies {
                self.run.copy_unseen(self.side, step..until, &pieces, end);
            }
            self.progress.out = pieces;
            self.progress.ended = end;
        }
        if ended && by_trailers {
            self.end_by_trailers(step, until).await?;
        }
        Ok(())
    }

    /// Whether the head waits for more of the body. It does while a filter holds that back. It also
    /// waits for the first bytes of a body with a length: they are on their way, and what filters
    /// make of them decides which length is announced. A body without one may be an event stream:
    /// its head goes at once.
    pub(crate) fn head_waits(&self, announced: BodyLength) -> bool {
        self.shows
            && (self.run.hold(self.side) != Hold::No
                || (self.progress.taken == 0 && matches!(announced, BodyLength::Exactly(_)))
                || self.lacks_only_its_end(announced))
    }

    /// Whether all bytes of a body are here that filters may still change, and its end is not: HTTP/2
    /// may send that by itself. It is on its way, and with it the length is known that is announced.
    pub(super) fn lacks_only_its_end(&self, announced: BodyLength) -> bool {
        self.shows
            && !self.progress.input_ended
            && announced == BodyLength::Exactly(self.progress.taken)
            && self.run.chain.edits_bodies(self.side)
    }

    /// What can be done without a wait.
    pub(crate) fn ready(&mut self) -> Result<Option<Event>, Stop> {
        if let Some(at) = self.run.injected(self.side) {
            return Ok(Some(Event::Injected(at)));
        }
        Ok(self.take()?.map(Event::Frame))
    }

    /// A frame that is here already, if one may be taken.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, Stop> {
        let watermark = || self.shows && self.run.hold(self.side) == Hold::Watermark;
        if self.progress.input_ended || watermark() {
            return Ok(None);
        }
        match &mut self.source {
            Source::Ready(bytes) => Ok(Some(match bytes.take() {
                Some(bytes) => Frame::Data { bytes, last: true },
                None => Frame::End(None),
            })),
            Source::Peer(inlet) => inlet.decode().map_err(|err| failed(self.side, err)),
        }
    }

    /// Waits for what is wanted next, or for a filter to let go; at most until `deadline`.
    pub(crate) async fn wait(
        &mut self,
        wanted: Wanted,
        deadline: Option<Instant>,
    ) -> Result<Event, Stop> {
        let (run, side) = (self.run, self.side);
        let timeouts = run.timeouts;
        let next = async {
            match &mut self.source {
                Source::Ready(_) => std::future::pending().await,
                Source::Peer(inlet) => busy(run, inlet, wanted).await,
            }
        };
        if run.chain.is_left_alone() {
            return next.await.map_err(|err| failed(side, err));
        }
        let watermark = self.shows && run.hold(side) == Hold::Watermark;
        let reads = !self.progress.input_ended && !watermark;
        // If only a filter keeps this body, it has so long.
        let deadline = match deadline {
            None if !reads => Some(Instant::now() + timeouts.filter_pause),
            deadline => deadline,
        };
        let overdue = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        let released = poll_fn(|cx| match run.injected(side) {
            Some(at) => Poll::Ready(Ok(Event::Injected(at))),
            None => run.poll_released(side, cx).map_ok(Event::Released),
        });
        tokio::select! {
            biased;
            released = released => released,
            event = next, if reads => event.map_err(|err| failed(side, err)),
            () = overdue => Err(run.body_overdue(side)),
        }
    }

    /// Does what an event asks for, for the filters before `until`.
    pub(crate) async fn on(&mut self, event: Event, until: usize) -> Result<(), Stop> {
        let passed = match event {
            Event::Frame(frame) => {
                if self.has_shadows_behind() {
                    // They get a turn, no more: who waits for a call is not waited for.
                    tokio::task::yield_now().await;
                }
                self.show(frame, until)?
            }
            Event::Released(at) => {
                self.run.stream.moved();
                let out = &mut self.progress.out;
                self.run.release(self.side, at, until, out)?
            }
            Event::Injected(at) => {
                self.run.stream.moved();
                let Some(injection) = self.run.take_injection(at) else {
                    return Ok(());
                };
                // Even if no filter has a callback for bodies: their length is another now.
                self.shows = true;
                self.progress.input_ended |= injection.end;
                let out = &mut self.progress.out;
                self.run.inject(at, *injection, until, out)?
            }
            Event::Readable => return Ok(()),
        };
        self.passed(passed, until).await
    }

    /// Takes in what is here already, without a wait. `None` once the end has passed all filters;
    /// else what has to be done first.
    pub(super) fn take_ready(&mut self) -> Result<Option<Passed>, Stop> {
        if self.shows || self.copies {
            if self.progress.step != Self::END && !self.progress.is_none() {
                return Ok(Some(Passed::Open)); // Some of it waits for some of the filters.
            }
            self.progress.step = Self::END;
        }
        while !self.progress.ended {
            if self.has_shadows_behind() {
                return Ok(Some(Passed::Open));
            }
            let Some(Event::Frame(frame)) = self.ready()? else {
                return Ok(Some(Passed::Open)); // An injection is still there then.
            };
            match self.show(frame, Self::END)? {
                Passed::Open => {}
                Passed::Ended => self.progress.ended = true,
                Passed::Trailers(_) if self.run.chain.is_left_alone() && !self.copies => {
                    self.progress.by_trailers = true;
                    self.progress.ended = true;
                }
                left => return Ok(Some(left)),
            }
        }
        Ok(None)
    }

    fn has_shadows_behind(&self) -> bool {
        self.copies && self.run.has_shadows_behind()
    }

    /// Shows a frame to the filters before `until`, if they see bodies.
    fn show(&mut self, frame: Frame, until: usize) -> Result<Passed, Stop> {
        self.run.stream.moved();
        let (piece, end) = match frame {
            Frame::Data { bytes, last } => (Some(bytes), last),
            Frame::End(None) => (None, true),
            Frame::End(trailers) => {
                self.progress.input_ended = true;
                self.note_answered();
                *self.trailers() = trailers;
                return Ok(Passed::Trailers(0));
            }
        };
        self.progress.taken += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        self.progress.input_ended = end;
        if end {
            self.note_answered();
        }
        let out = &mut self.progress.out;
        if !self.shows {
            if self.copies {
                let pieces = piece.iter().cloned().collect();
                self.run.copy_unseen(self.side, 0..until, &pieces, end);
            }
            out.extend(piece);
            return Ok(if end { Passed::Ended } else { Passed::Open });
        }
        let pieces = piece.into_iter().collect();
        self.run.body(self.side, 0..until, pieces, end, out)
    }

    /// The last byte has come: filters may ask how long the origin took.
    fn note_answered(&self) {
        if self.side == Side::Response && !self.run.chain.has_no_plugins() {
            self.run.stream.state().note_answered();
        }
    }

    /// So many bytes have passed that nobody looked at; they are the last ones if `ended`.
    pub(super) fn passed_unread(&mut self, bytes: usize, ended: bool) {
        self.run.stream.moved();
        self.progress.taken += bytes as u64;
        if ended {
            self.note_answered();
            self.end_here();
        }
    }

    /// Nothing more comes in, and nobody is told.
    pub(super) fn end_here(&mut self) {
        self.progress.input_ended = true;
        self.progress.ended = true;
    }

    /// Does what is left to be done after a frame was shown.
    pub(super) async fn passed(&mut self, passed: Passed, until: usize) -> Result<(), Stop> {
        match passed {
            Passed::Open | Passed::Held => Ok(()),
            Passed::Ended => {
                self.progress.ended = true;
                Ok(())
            }
            Passed::Trailers(step) => self.end_by_trailers(step, until).await,
        }
    }

    /// Shows trailers to the filters from `from` on: then the end has passed them.
    async fn end_by_trailers(&mut self, from: usize, until: usize) -> Result<(), Stop> {
        self.progress.by_trailers = true;
        if !self.run.chain.has_no_plugins() {
            let run = self.run;
            // Large and rare.
            Box::pin(run.trailers(self.side, from..until, &mut self.progress.out)).await?;
        }
        self.progress.ended = true;
        Ok(())
    }

    pub(crate) fn trailers(&self) -> RefMut<'a, Option<Box<HeaderMap>>> {
        let side = self.side;
        RefMut::map(self.run.stream.state(), |state| match side {
            Side::Request => &mut state.request_trailers,
            Side::Response => &mut state.response_trailers,
        })
    }

    /// What waits for a held head is bounded as what a filter holds is.
    fn check_room(&self) -> Result<(), Stop> {
        let kept: usize = self.progress.out.iter().map(Bytes::len).sum();
        if kept <= self.run.sizes.buffered_body_bytes {
            return Ok(());
        }
        Err(Stop::Failure(match self.side {
            Side::Request => Failure::RequestBufferOverflow,
            Side::Response => Failure::ResponseBufferOverflow,
        }))
    }
}

/// What comes next of a body. Silence counts from the last piece in either direction: while one peer
/// talks, the other may listen.
async fn busy(
    run: FilterRun<'_>,
    inlet: &mut Inlet<'_>,
    wanted: Wanted,
) -> Result<Event, BodyError> {
    let idle = run.timeouts.stream_idle;
    loop {
        let before = run.stream.moves();
        let came = match wanted {
            Wanted::Frame => inlet.frame(idle).await.map(Event::Frame),
            Wanted::Flow => inlet.readable(idle).await.map(|()| Event::Readable),
        };
        match came {
            Err(BodyError::TimedOut) if run.stream.moves() != before => {}
            ended => return ended,
        }
    }
}

fn failed(side: Side, err: BodyError) -> Stop {
    let failure = match (side, err) {
        (Side::Request, BodyError::Malformed) => Failure::BadChunk,
        (Side::Request, BodyError::WrongLength) => Failure::BadContentLength,
        (Side::Request, BodyError::Cut) => Failure::ClientClosed,
        (Side::Request, BodyError::TimedOut) => Failure::RequestBodyTimeout,
        (Side::Response, BodyError::Malformed | BodyError::WrongLength) => {
            Failure::UpstreamProtocol
        }
        (Side::Response, BodyError::Cut) => Failure::UpstreamBodyCut,
        (Side::Response, BodyError::TimedOut) => Failure::UpstreamBodyTimeout,
    };
    failure.into()
}

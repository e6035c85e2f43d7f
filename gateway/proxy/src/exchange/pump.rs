//! One body on its way: what [`intake`](crate::exchange::intake) lets through, to its receiver.
//!
//! Owns the moment at which the head goes out: with the first bytes of the body, or as soon as there
//! is nothing to wait for. Until then the length that is announced can still follow what filters
//! made of the body. A long body that nobody sees goes by in the kernel ([`unread`]).

mod unread;
mod writing;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;

use crate::exchange::intake::Event;
use crate::exchange::intake::Intake;
use crate::exchange::intake::Source;
use crate::exchange::intake::Wanted;
use crate::filters::run::Passed;
use crate::filters::run::Stop;
use crate::http1::encode::BodyEncoder;
use crate::http1::writer::WriteError;
use crate::outlet::Outlet;
use crate::outlet::Unwritten;

/// Writes the head once the body's length is decided, and says how the body is framed then.
pub(crate) trait PendingHead {
    /// Whether the head may still go out as it is now.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
    /// Writes it; nothing follows if it `ends` the message.
    fn write(
        &mut self,
        outlet: &mut Outlet<'_>,
        length: BodyLength,
        ends: bool,
    ) -> Result<BodyLength, PumpEnd>;
    /// Whether the receiver can be sent trailers.
    fn takes_trailers(&self) -> bool;
    /// A piece of the body goes out.
    fn on_piece(&mut self, _piece: &Bytes) {}
    /// Whether somebody has to see each piece.
    fn needs_pieces(&self) -> bool {
        false
    }
    /// So many bytes went out that nobody saw.
    fn on_unread(&mut self, _bytes: usize) {}
    /// The body is complete.
    fn on_end(&mut self, _trailers: Option<&HeaderMap>) {}
}

/// Why a body did not get through.
#[derive(Debug)]
pub(crate) enum PumpEnd {
    /// It failed, or a filter answered.
    Stop(Stop),
    /// The receiver failed.
    Sink(WriteError),
}

/// What of a message was gathered.
enum Gathered {
    /// All of it.
    Whole,
    /// Not all; this is left to be done for what was taken in.
    Part(Passed),
}

/// One body on its way.
pub(crate) struct Pump<'a, H> {
    intake: Intake<'a, 'a>,
    sink: Outlet<'a>,
    head: H,
    encoder: Option<BodyEncoder>,
    announced: BodyLength,
    /// Bytes that went on: if they are not those that came in, a filter changed the length.
    passed: u64,
}

impl<'a, H: PendingHead> Pump<'a, H> {
    pub(crate) fn new(
        intake: Intake<'a, 'a>,
        announced: BodyLength,
        sink: Outlet<'a>,
        head: H,
    ) -> Self {
        Self {
            intake,
            sink,
            head,
            encoder: None,
            announced,
            passed: 0,
        }
    }

    /// Does not show the body to filters: they answered, or failed.
    pub(crate) fn hide(&mut self) {
        self.intake.shows = false;
        self.intake.copies = false;
    }

    /// Moves the whole message.
    pub(crate) async fn run(&mut self) -> Result<(), PumpEnd> {
        match self.gather()? {
            Gathered::Whole => self.flush().await,
            // Large, and not needed by a message that is here.
            Gathered::Part(left) => Box::pin(self.stream(left)).await,
        }
    }

    /// Resolves when the client that the message came from has gone; what it sends meanwhile is
    /// kept, up to `keep`.
    pub(crate) async fn client_gone(&mut self, keep: usize) -> Failure {
        match &mut self.intake.source {
            Source::Peer(inlet) => inlet.gone(keep).await,
            Source::Ready(_) => std::future::pending().await,
        }
    }

    /// Gathers the whole message if it is here, it is small, and no filter has to be waited for.
    fn gather(&mut self) -> Result<Gathered, PumpEnd> {
        let trailers_are_shown =
            self.announced == BodyLength::Chunked && !self.intake.run.chain.is_left_alone();
        if trailers_are_shown {
            return Ok(Gathered::Part(Passed::Open));
        }
        if self.announced == BodyLength::Empty {
            // Header callbacks were told that this is the end.
            self.intake.end_here();
        }
        if let Some(left) = self.intake.take_ready()? {
            return Ok(Gathered::Part(left));
        }
        let size = self.intake.progress.out.iter().map(Bytes::len).sum();
        if !self.sink.gathers(size) {
            return Ok(Gathered::Part(Passed::Open));
        }
        self.write_head(true)?;
        if !self.gather_pieces()? {
            return Ok(Gathered::Part(Passed::Open));
        }
        self.write_end()?;
        Ok(Gathered::Whole)
    }

    /// Moves the message as it comes, once what is left of what was taken in is done.
    async fn stream(&mut self, left: Passed) -> Result<(), PumpEnd> {
        if self.announced == BodyLength::Empty {
            return self.finish().await;
        }
        self.intake.catch_up(Intake::END).await?;
        self.intake.passed(left, Intake::END).await?;
        while !self.intake.progress.ended {
            self.write_out().await?;
            let event = match self.intake.ready()? {
                Some(event) => event,
                None => {
                    self.settle().await?;
                    self.wait().await?
                }
            };
            self.intake.on(event, Intake::END).await?;
        }
        self.finish().await
    }

    /// Waits for more. What nobody has to see is passed on without being read.
    async fn wait(&mut self) -> Result<Event, PumpEnd> {
        if self.may_pass_unread() {
            let event = self.intake.wait(Wanted::Flow, None).await?;
            let is_readable = matches!(event, Event::Readable);
            if !is_readable || self.pass_unread().await? {
                return Ok(event);
            }
        }
        Ok(self.intake.wait(Wanted::Frame, None).await?)
    }

    /// Writes what can be written before a wait.
    async fn settle(&mut self) -> Result<(), PumpEnd> {
        if self.encoder.is_none() && !self.intake.head_waits(self.announced) {
            self.write_head(false)?;
        }
        self.flush().await
    }
}

impl From<Stop> for PumpEnd {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<Unwritten> for PumpEnd {
    fn from(unwritten: Unwritten) -> Self {
        match unwritten {
            Unwritten::Length => Failure::BodyLengthChanged.into(),
            Unwritten::Sink(err) => Self::Sink(err),
        }
    }
}

impl From<Failure> for PumpEnd {
    fn from(failure: Failure) -> Self {
        Self::Stop(Stop::Failure(failure))
    }
}

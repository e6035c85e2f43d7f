//! One body on its way: what [`intake`](crate::exchange::intake) lets through, to its receiver.
//!
//! Owns the moment at which the head goes out: with the first bytes of the body, or as soon as there
//! is nothing to wait for. Until then the length that is announced can still follow what filters
//! made of the body.

mod writing;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;

use crate::exchange::intake::Intake;
use crate::exchange::intake::Source;
use crate::filters::run::Stop;
use crate::http1::body::Frame;
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
    }

    /// Moves the whole message.
    pub(crate) async fn run(&mut self) -> Result<(), PumpEnd> {
        if self.gather()? {
            return self.flush().await;
        }
        // Large, and not needed by a message that is here.
        Box::pin(self.stream()).await
    }

    /// Resolves when the client that the message came from has gone; what it sends meanwhile is
    /// kept, up to `keep`.
    pub(crate) async fn client_gone(&mut self, keep: usize) -> Failure {
        match &mut self.intake.source {
            Source::Peer(inlet) => inlet.gone(keep).await,
            Source::Ready(_) => std::future::pending().await,
        }
    }

    /// Gathers the whole message if it is here, it is small, and no filter sees more than its head.
    fn gather(&mut self) -> Result<bool, PumpEnd> {
        let trailers_are_shown =
            self.announced == BodyLength::Chunked && !self.intake.run.chain.has_no_plugins();
        if self.intake.shows || trailers_are_shown {
            return Ok(false);
        }
        if self.announced == BodyLength::Empty {
            // Header callbacks were told that this is the end.
            self.intake.end_here();
        }
        while !self.intake.progress.ended {
            match self.intake.take()? {
                Some(Frame::Data { bytes, last }) => self.intake.pass(bytes, last),
                Some(Frame::End(trailers)) => {
                    *self.intake.trailers() = trailers;
                    self.intake.end_here();
                }
                None => return Ok(false),
            }
        }
        self.intake.note_answered();
        let size = self.intake.progress.out.iter().map(Bytes::len).sum();
        if !self.sink.gathers(size) {
            return Ok(false);
        }
        self.write_head(true)?;
        let gathered = self.gather_pieces()?;
        if gathered {
            self.write_end()?;
        }
        Ok(gathered)
    }

    /// Moves the message as it comes.
    async fn stream(&mut self) -> Result<(), PumpEnd> {
        if self.announced == BodyLength::Empty {
            // Header callbacks were told that this is the end: there is no body to show.
            self.intake.end_here();
            return self.finish().await;
        }
        self.intake.catch_up(Intake::END).await?;
        while !self.intake.progress.ended {
            self.write_out().await?;
            let event = match self.intake.ready()? {
                Some(event) => event,
                None => {
                    self.settle().await?;
                    self.intake.wait(None).await?
                }
            };
            self.intake.on(event, Intake::END).await?;
        }
        self.finish().await
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

//! One body on its way: from a socket, through the filters, to a socket.
//!
//! Owns the order of reading, showing, holding and writing, and the moment at which the head goes
//! out: with the first bytes of the body, or as soon as there is nothing to wait for. Until then
//! the length that is announced can still follow what filters made of the body.
//!
//! Back-pressure is plain: the next frame is read when the last one is written.

mod writing;

use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_host_abi::Side;

use crate::exchange::state::Hold;
use crate::filters::run::FilterRun;
use crate::filters::run::Passed;
use crate::filters::run::Stop;
use crate::http1::body::BodyError;
use crate::http1::body::BodyReader;
use crate::http1::body::Frame;
use crate::http1::encode::BodyEncoder;
use crate::http1::reader::Reader;
use crate::http1::writer::WriteError;
use crate::http1::writer::Writer;

/// Where a body comes from.
pub(crate) enum Source<'a> {
    /// A peer sends it.
    Socket {
        reader: &'a mut Reader,
        body: &'a mut BodyReader,
    },
    /// It is all here.
    Ready(Option<Bytes>),
}

/// Writes the head once the body's length is decided, and says how the body is framed then.
pub(crate) trait PendingHead {
    /// Whether the head may still go out as it is now.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }
    fn write(&mut self, out: &mut Vec<u8>, length: BodyLength) -> BodyLength;
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
    run: FilterRun<'a>,
    side: Side,
    source: Source<'a>,
    sink: &'a mut Writer,
    head: H,
    encoder: Option<BodyEncoder>,
    announced: BodyLength,
    shows: bool,
    input_ended: bool,
    /// Bytes that came in and bytes that went on: if they differ, a filter changed the length.
    taken: u64,
    passed: u64,
    out: VecDeque<Bytes>,
}

enum Event {
    Frame(Frame),
    Released(usize),
}

impl<'a, H: PendingHead> Pump<'a, H> {
    pub(crate) fn new(
        run: FilterRun<'a>,
        side: Side,
        source: Source<'a>,
        announced: BodyLength,
        sink: &'a mut Writer,
        head: H,
    ) -> Self {
        Self {
            shows: run.chain.sees_bodies(side),
            run,
            side,
            source,
            sink,
            head,
            encoder: None,
            announced,
            input_ended: false,
            taken: 0,
            passed: 0,
            out: VecDeque::new(),
        }
    }

    /// Does not show the body to filters: they answered, or failed.
    pub(crate) fn hide(&mut self) {
        self.shows = false;
    }

    /// Moves the whole message.
    pub(crate) async fn run(&mut self) -> Result<(), PumpEnd> {
        if self.gather()? {
            return self.flush().await;
        }
        // Large, and not needed by a message that is here.
        Box::pin(self.stream()).await
    }

    /// Gathers the whole message if it is here, it is small, and no filter sees more than its head.
    fn gather(&mut self) -> Result<bool, PumpEnd> {
        let trailers_are_shown =
            self.announced == BodyLength::Chunked && !self.run.chain.has_no_plugins();
        if self.shows || trailers_are_shown {
            return Ok(false);
        }
        self.input_ended = self.announced == BodyLength::Empty;
        while !self.input_ended {
            match self.ready()? {
                Some(Frame::Data { bytes, last }) => {
                    self.taken += bytes.len() as u64;
                    self.input_ended = last;
                    self.out.push_back(bytes);
                }
                Some(Frame::End(trailers)) => {
                    *self.trailers() = trailers;
                    self.input_ended = true;
                }
                None => return Ok(false),
            }
        }
        if !self.sink.gathers(self.out.iter().map(Bytes::len).sum()) {
            return Ok(false);
        }
        self.write_head(true)?;
        while let Some(piece) = self.next_piece()? {
            self.sink.out.extend_from_slice(&piece);
            self.after_piece();
        }
        self.write_end()?;
        Ok(true)
    }

    /// Moves the message as it comes.
    async fn stream(&mut self) -> Result<(), PumpEnd> {
        if self.input_ended || self.announced == BodyLength::Empty {
            // Header callbacks were told that this is the end, or it is all gathered.
            return self.finish().await;
        }
        self.write_out().await?;
        loop {
            let event = match self.ready()? {
                Some(frame) => Event::Frame(frame),
                None => {
                    self.settle().await?;
                    self.wait().await?
                }
            };
            let passed = match event {
                Event::Frame(frame) => self.on_frame(frame).await?,
                Event::Released(at) => self
                    .run
                    .release(self.side, at, &mut self.out)
                    .map_err(PumpEnd::Stop)?,
            };
            if passed == Passed::Ended {
                return self.finish().await;
            }
            self.write_out().await?;
        }
    }

    /// A frame that is here already, if one may be taken.
    fn ready(&mut self) -> Result<Option<Frame>, PumpEnd> {
        if self.input_ended || (self.shows && self.run.hold(self.side) == Hold::Watermark) {
            return Ok(None);
        }
        match &mut self.source {
            Source::Ready(bytes) => Ok(Some(match bytes.take() {
                Some(bytes) => Frame::Data { bytes, last: true },
                None => Frame::End(None),
            })),
            Source::Socket { reader, body } => body
                .decode(&mut reader.buf)
                .map_err(|err| self.source_failed(err)),
        }
    }

    /// Writes what can be written before a wait.
    ///
    /// The head waits with the body while a filter holds that back. It also waits for the first
    /// bytes of a body with a length: they are on their way, and what filters make of them decides
    /// which length is announced. A body without one may be an event stream: its head goes at once.
    async fn settle(&mut self) -> Result<(), PumpEnd> {
        let held = self.shows
            && (self.run.hold(self.side) != Hold::No
                || (self.taken == 0 && matches!(self.announced, BodyLength::Exactly(_))));
        if self.encoder.is_none() && !held {
            self.write_head(false)?;
        }
        self.flush().await
    }

    async fn wait(&mut self) -> Result<Event, PumpEnd> {
        let timeouts = self.run.timeouts;
        let side = self.side;
        let watermark = self.shows && self.run.hold(side) == Hold::Watermark;
        let reads = !self.input_ended && !watermark;
        let watches = !self.run.chain.has_no_plugins();
        let run = self.run;
        let released = poll_fn(|cx| run.poll_released(side, cx));
        let next = async {
            match &mut self.source {
                Source::Ready(_) => std::future::pending().await,
                Source::Socket { reader, body } => body.next(reader, timeouts.stream_idle).await,
            }
        };
        if !watches {
            return next
                .await
                .map(Event::Frame)
                .map_err(|err| self.source_failed(err));
        }
        tokio::select! {
            biased;
            released = released => released.map(Event::Released).map_err(PumpEnd::Stop),
            frame = next, if reads => frame.map(Event::Frame).map_err(|err| self.source_failed(err)),
            // Only a filter keeps this body: it has so long.
            () = tokio::time::sleep(timeouts.filter_pause), if !reads => {
                Err(Failure::PluginPauseTimeout.into())
            }
        }
    }

    async fn on_frame(&mut self, frame: Frame) -> Result<Passed, PumpEnd> {
        match frame {
            Frame::Data { bytes, last } => {
                self.taken += bytes.len() as u64;
                self.input_ended = last;
                if self.shows {
                    self.show(VecDeque::from([bytes]), last)
                } else {
                    self.out.push_back(bytes);
                    Ok(if last { Passed::Ended } else { Passed::Open })
                }
            }
            Frame::End(None) => {
                self.input_ended = true;
                if self.shows {
                    self.show(VecDeque::new(), true)
                } else {
                    Ok(Passed::Ended)
                }
            }
            Frame::End(Some(trailers)) => {
                self.input_ended = true;
                *self.trailers() = Some(trailers);
                if !self.run.chain.has_no_plugins() {
                    let run = self.run;
                    run.trailers(self.side, &mut self.out)
                        .await
                        .map_err(PumpEnd::Stop)?;
                }
                Ok(Passed::Ended)
            }
        }
    }

    fn show(&mut self, pieces: VecDeque<Bytes>, end: bool) -> Result<Passed, PumpEnd> {
        self.run
            .body(self.side, 0, pieces, end, &mut self.out)
            .map_err(PumpEnd::Stop)
    }

    fn trailers(&self) -> std::cell::RefMut<'a, Option<Box<HeaderMap>>> {
        let side = self.side;
        std::cell::RefMut::map(self.run.stream.state(), |state| match side {
            Side::Request => &mut state.request_trailers,
            Side::Response => &mut state.response_trailers,
        })
    }

    fn source_failed(&self, err: BodyError) -> PumpEnd {
        let failure = match (self.side, err) {
            (Side::Request, BodyError::Malformed) => Failure::BadChunk,
            (Side::Request, BodyError::Cut) => Failure::ClientClosed,
            (Side::Request, BodyError::TimedOut) => Failure::RequestBodyTimeout,
            (Side::Response, BodyError::Malformed) => Failure::UpstreamProtocol,
            (Side::Response, BodyError::Cut) => Failure::UpstreamBodyCut,
            (Side::Response, BodyError::TimedOut) => Failure::UpstreamBodyTimeout,
        };
        failure.into()
    }
}

impl From<Failure> for PumpEnd {
    fn from(failure: Failure) -> Self {
        Self::Stop(Stop::Failure(failure))
    }
}

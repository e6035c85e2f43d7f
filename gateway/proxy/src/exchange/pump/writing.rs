//! What goes out: the head with the length that is announced, pieces with what frames them, the end.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use tidegate_core::framing::BodyLength;
use tidegate_host_abi::Side;

use crate::exchange::pump::PendingHead;
use crate::exchange::pump::Pump;
use crate::exchange::pump::PumpEnd;
use crate::http1::encode::BodyEncoder;

impl<H: PendingHead> Pump<'_, H> {
    /// The length to announce, from what is known when the head goes out.
    fn outgoing(&self, ended: bool) -> BodyLength {
        if ended && self.has_trailers() {
            return BodyLength::Chunked;
        }
        if !self.intake.shows {
            return self.announced;
        }
        let progress = &self.intake.progress;
        let waiting: usize = progress.out.iter().map(Bytes::len).sum();
        if ended {
            return match (waiting, self.announced) {
                (0, BodyLength::Empty) => BodyLength::Empty,
                (bytes, _) => BodyLength::Exactly(bytes as u64),
            };
        }
        // Once the head has left, a filter could not change the length any more.
        let may_change = self.intake.run.chain.edits_bodies(self.intake.side);
        let unchanged = progress.taken == self.passed + waiting as u64;
        if unchanged && !may_change && self.has_length_field() {
            self.announced
        } else {
            BodyLength::Chunked
        }
    }

    /// A filter that removes `content-length` says that it will change the body.
    fn has_length_field(&self) -> bool {
        if !matches!(self.announced, BodyLength::Exactly(_)) {
            return true;
        }
        let state = self.intake.run.stream.state();
        match self.intake.side {
            Side::Request => state.request.headers.contains_key(CONTENT_LENGTH),
            Side::Response => state.response.headers.contains_key(CONTENT_LENGTH),
        }
    }

    /// Writes the head; `ended` if all of the body is here.
    pub(super) fn write_head(&mut self, ended: bool) -> Result<(), PumpEnd> {
        self.head.check()?;
        let length = self.outgoing(ended);
        let ends = ended && self.is_last();
        let framed = self.head.write(&mut self.sink, length, ends)?;
        self.encoder = Some(BodyEncoder::new(framed));
        Ok(())
    }

    pub(super) async fn write_out(&mut self) -> Result<(), PumpEnd> {
        if self.encoder.is_none() {
            let intake = &self.intake;
            if intake.progress.out.is_empty() || intake.lacks_only_its_end(self.announced) {
                return Ok(());
            }
            self.write_head(false)?;
        }
        self.write_pieces().await
    }

    async fn write_pieces(&mut self) -> Result<(), PumpEnd> {
        let stall = self.intake.run.timeouts.write_stall;
        while let Some(piece) = self.next_piece() {
            let last = self.is_last();
            let Some(encoder) = &mut self.encoder else {
                return Ok(());
            };
            self.sink.send(encoder, piece, last, stall).await?;
        }
        Ok(())
    }

    /// Gathers all pieces, as long as the receiver takes them without a wait; says whether it took
    /// the last one.
    pub(super) fn gather_pieces(&mut self) -> Result<bool, PumpEnd> {
        while let Some(next) = self.intake.progress.out.front().map(Bytes::len) {
            if !self.sink.takes_now(next) {
                return Ok(false);
            }
            let Some(piece) = self.next_piece() else {
                break;
            };
            let last = self.is_last();
            if let Some(encoder) = &mut self.encoder {
                self.sink.gather(encoder, &piece, last)?;
            }
        }
        Ok(true)
    }

    /// The next piece to write.
    fn next_piece(&mut self) -> Option<Bytes> {
        // A chunk of no bytes would be the end.
        let out = &mut self.intake.progress.out;
        let piece = std::iter::from_fn(|| out.pop_front()).find(|piece| !piece.is_empty())?;
        self.passed += piece.len() as u64;
        self.head.on_piece(&piece);
        Some(piece)
    }

    /// Whether what was taken last ends the message: nothing follows, trailers neither.
    fn is_last(&self) -> bool {
        let progress = &self.intake.progress;
        progress.ended && progress.out.iter().all(Bytes::is_empty) && !self.has_trailers()
    }

    /// Whether there are trailers to send.
    fn has_trailers(&self) -> bool {
        let trailers = self.intake.trailers();
        let has = trailers.as_ref().is_some_and(|known| !known.is_empty());
        has && self.head.takes_trailers()
    }

    pub(super) async fn finish(&mut self) -> Result<(), PumpEnd> {
        if self.encoder.is_none() {
            self.write_head(true)?;
        }
        self.write_pieces().await?;
        self.write_end()?;
        self.flush().await
    }

    /// Writes the end of the body, with trailers if there are some and they may be sent.
    pub(super) fn write_end(&mut self) -> Result<(), PumpEnd> {
        let takes_trailers = self.head.takes_trailers();
        let trailers = self.intake.trailers().take();
        if let Some(encoder) = &mut self.encoder {
            let sent = trailers.as_deref().filter(|_| takes_trailers);
            self.sink.end(encoder, sent)?;
            self.head.on_end(sent);
        }
        // Filters may still read them when they log.
        *self.intake.trailers() = trailers;
        Ok(())
    }

    pub(super) async fn flush(&mut self) -> Result<(), PumpEnd> {
        let stall = self.intake.run.timeouts.write_stall;
        self.sink.flush(stall).await.map_err(PumpEnd::Sink)
    }
}

//! Bytes of a body that nobody looks at, passed on without being read.
//!
//! Owns when that may be: between two connections of HTTP/1 without TLS, with a length, no filter
//! that sees bodies and no mirror. All limits, counts and ends are those of bytes that are read.

use crate::exchange::intake::Source;
use crate::exchange::pump::PendingHead;
use crate::exchange::pump::Pump;
use crate::exchange::pump::PumpEnd;
use crate::http1::encode::BodyEncoder;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::transport::Filled;

impl<H: PendingHead> Pump<'_, H> {
    /// Whether what comes next may pass unread, and there is enough of it.
    pub(super) fn may_pass_unread(&self) -> bool {
        let Source::Peer(inlet) = &self.intake.source else {
            return false;
        };
        let Outlet::Http1(writer) = &self.sink else {
            return false;
        };
        inlet.flows()
            && !self.intake.shows
            && !self.intake.copies
            && !self.head.needs_pieces()
            && writer.is_plain()
            && self.encoder.as_ref().is_some_and(BodyEncoder::is_bare)
    }

    /// Passes on what has come, once it can be read; `false` if it has to be read after all.
    pub(super) async fn pass_unread(&mut self) -> Result<bool, PumpEnd> {
        let (Source::Peer(Inlet::Http1(reader)), Outlet::Http1(writer), Some(encoder)) =
            (&mut self.intake.source, &mut self.sink, &mut self.encoder)
        else {
            return Ok(false);
        };
        let run = self.intake.run;
        let Some(mut pipe) = run.worker.pipes.lend() else {
            return Ok(false);
        };
        let bytes = match reader.fill_pipe(&mut pipe) {
            Filled::Some(bytes) => bytes,
            Filled::NotYet => return Ok(true),
            Filled::Refused => return Ok(false),
        };
        let ended = reader.body.is_done();
        encoder
            .count(bytes)
            .map_err(|_| PumpEnd::from(tidegate_core::failure::Failure::BodyLengthChanged))?;
        let drained = writer.drain(&mut pipe, run.timeouts.write_stall);
        drained.await.map_err(PumpEnd::Sink)?;
        self.passed += bytes as u64;
        self.head.on_unread(bytes);
        self.intake.passed_unread(bytes, ended);
        Ok(true)
    }
}

//! The bytes of a connection that has changed its protocol, both ways.
//!
//! Owns their way from one socket to the other: back-pressure by writing before reading on, half-close,
//! and one limit for silence in both directions. Nobody looks at the bytes.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::failure::Failure;

use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::state::StreamCell;
use crate::http1::reader::ReadEnd;
use crate::http1::reader::Reader;
use crate::http1::writer::WriteError;
use crate::http1::writer::Writer;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::worker::Scene;

/// A direction that was silent for so long gives its buffers back.
const WARM: Duration = Duration::from_secs(1);

/// One end of a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Client,
    Origin,
}

/// Why a tunnel ended before both sides were done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// Nothing came or went for as long as nothing may.
    Idle,
    /// An end broke its connection.
    Broken(End),
}

/// Passes bytes on until both sides are done, one breaks, or both are silent for too long.
pub(super) async fn run(down: &mut Downstream<'_>, scene: &Scene, stream: &Rc<StreamCell>) -> Next {
    let (origin, idle) = {
        let mut state = stream.state();
        let own = state.routed.as_ref();
        let own = own.and_then(|routed| routed.rule.timeouts.stream_idle);
        let origin = state.upgrade.as_mut().and_then(|it| it.origin.take());
        (origin, own.unwrap_or(scene.bind().timeouts.stream_idle))
    };
    let Some(mut origin) = origin else {
        return Next::Abort; // There is none without a connection.
    };
    let (last, half) = (Cell::new(Instant::now()), Cell::new(false));
    let up = Direction {
        from: End::Client,
        to: End::Origin,
        idle,
        last: &last,
        half: &half,
    };
    let back = Direction {
        from: End::Origin,
        to: End::Client,
        ..up
    };
    let _open = down.link.worker.counters.tunnel();
    let (Inlet::Http1(reader), Outlet::Http1(writer)) = (&mut down.inlet, &mut down.outlet) else {
        return Next::Abort; // Streams of HTTP/2 do not change their protocol (RFC 9113 §8.6).
    };
    let sent = |bytes: u64| stream.state().facts.sent += bytes;
    let received = |bytes: u64| stream.state().facts.received += bytes;
    let both = tokio::try_join!(
        up.pass(reader, &mut origin.writer, received),
        back.pass(&mut origin.reader, writer, sent),
    );
    let (failure, next) = match both {
        Ok(_) => return Next::Close,
        Err(Cut::Idle) => (Failure::TunnelIdle, Next::Close),
        Err(Cut::Broken(End::Client)) => (Failure::ClientClosed, Next::Abort),
        Err(Cut::Broken(End::Origin)) => (Failure::UpstreamReset, Next::Abort),
    };
    stream.state().facts.flag = failure.verdict().flag;
    next
}

/// One direction of a tunnel.
#[derive(Debug, Clone, Copy)]
struct Direction<'a> {
    from: End,
    to: End,
    idle: Duration,
    /// When a byte last passed, in either direction.
    last: &'a Cell<Instant>,
    /// One of the two directions has come to its end.
    half: &'a Cell<bool>,
}

impl Direction<'_> {
    async fn pass(
        self,
        reader: &mut Reader,
        writer: &mut Writer,
        count: impl Fn(u64),
    ) -> Result<(), Cut> {
        loop {
            // What was read with the head comes first.
            if !reader.buf.is_empty() {
                let piece = reader.buf.split().freeze();
                self.write(writer, &piece, &count).await?;
            }
            if !self.fill(reader, writer).await? {
                self.half.set(true);
                writer.shutdown(self.idle).await;
                return Ok(());
            }
        }
    }

    async fn write(
        self,
        writer: &mut Writer,
        piece: &bytes::Bytes,
        count: &impl Fn(u64),
    ) -> Result<(), Cut> {
        let failed = |err| match err {
            WriteError::Broken => Cut::Broken(self.to),
            WriteError::Stalled => Cut::Idle,
        };
        writer.send(piece, self.idle).await.map_err(failed)?;
        writer.flush(self.idle).await.map_err(failed)?;
        self.last.set(Instant::now());
        count(piece.len() as u64);
        Ok(())
    }

    /// What it means that nothing can be read any more. Once the other side is done, nobody needs a
    /// good-bye: many clients of TLS send none.
    fn broken(self) -> Result<bool, Cut> {
        if self.half.get() {
            Ok(false)
        } else {
            Err(Cut::Broken(self.from))
        }
    }

    /// Reads more; `false` at the end.
    async fn fill(self, reader: &mut Reader, writer: &mut Writer) -> Result<bool, Cut> {
        let mut limit = WARM.min(self.idle);
        loop {
            let end = match reader.readable(limit).await {
                ReadEnd::Data => reader.fill(limit).await,
                end => end,
            };
            match end {
                ReadEnd::Data => return Ok(true),
                ReadEnd::Eof => return Ok(false),
                ReadEnd::Broken => return self.broken(),
                ReadEnd::TimedOut => {}
            }
            // Most tunnels are silent most of the time.
            reader.release();
            writer.release();
            limit = self.idle.saturating_sub(self.last.get().elapsed());
            if limit.is_zero() {
                return Err(Cut::Idle);
            }
        }
    }
}

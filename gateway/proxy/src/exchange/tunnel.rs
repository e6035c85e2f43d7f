//! The bytes of a connection or stream that has changed its protocol, both ways.
//!
//! Owns their way from one side to the other: back-pressure by writing before reading on, half-close,
//! and one limit for silence in both directions. Nobody looks at the bytes. What one side still has
//! to say when it takes nothing more is delivered, within a bound.

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use h2::Reason;
use tidegate_core::failure::Failure;

use crate::downstream::Downstream;
use crate::exchange::Next;
use crate::exchange::state::StreamCell;
use crate::http1::body::BodyError;
use crate::http1::body::Frame;
use crate::http1::reader::ReadEnd;
use crate::http1::reader::Reader;
use crate::http1::writer::WriteError;
use crate::http2::reader::StreamReader;
use crate::http2::stream::Stream;
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
    /// An end broke its connection: nothing more can be read from it.
    Broken(End),
    /// An end takes nothing more.
    Deaf(End),
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
    let _open = down.link.worker.counters.tunnel();
    let (from_origin, to_origin) = origin.ends();
    let ends = Ends {
        from_client: down.inlet.lend(),
        to_client: down.outlet.lend(),
        from_origin,
        to_origin,
    };
    let limits = Limits {
        idle,
        rest: scene.bind().timeouts.linger,
    };
    let (failure, next) = match pass(ends, limits, stream).await {
        Ok(()) => (None, Next::Close),
        Err(Cut::Idle) => (Some(Failure::TunnelIdle), Next::Close),
        Err(Cut::Broken(End::Client)) => (Some(Failure::ClientClosed), Next::Abort),
        Err(Cut::Broken(End::Origin)) => (Some(Failure::UpstreamReset), Next::Abort),
        Err(Cut::Deaf(End::Client)) => (Some(Failure::ClientClosed), Next::Abort),
        // The client has got all that there was.
        Err(Cut::Deaf(End::Origin)) => (Some(Failure::UpstreamReset), Next::Close),
    };
    if let Some(failure) = failure {
        stream.state().facts.flag = failure.verdict().flag;
    }
    if let Outlet::Http2(writer) = &mut down.outlet {
        if next == Next::Abort {
            // A reset throws away what has not left: the connection's task has its turn first.
            tokio::task::yield_now().await;
            // As a reset of a connection would be (RFC 8441 §5).
            writer.reset(Reason::CANCEL);
        } else {
            // One that was reset meanwhile needs no end.
            writer.finish().ok();
        }
    }
    next
}

/// Where the bytes come from, and where they go.
struct Ends<'a> {
    from_client: Inlet<'a>,
    to_client: Outlet<'a>,
    from_origin: Inlet<'a>,
    to_origin: Outlet<'a>,
}

/// How long a tunnel may be silent, and how long the rest may take once one side takes nothing more.
#[derive(Debug, Clone, Copy)]
struct Limits {
    idle: Duration,
    rest: Duration,
}

async fn pass(ends: Ends<'_>, limits: Limits, stream: &Rc<StreamCell>) -> Result<(), Cut> {
    let Ends {
        mut from_client,
        mut to_client,
        mut from_origin,
        mut to_origin,
    } = ends;
    let client = match &to_client {
        Outlet::Http1(_) => None,
        Outlet::Http2(writer) => Some(Rc::clone(writer.stream())),
    };
    let (last, half) = (Cell::new(Instant::now()), Cell::new(false));
    let up = Direction {
        from: End::Client,
        to: End::Origin,
        idle: limits.idle,
        last: &last,
        half: &half,
    };
    let back = Direction {
        from: End::Origin,
        to: End::Client,
        ..up
    };
    let received = |bytes: u64| stream.state().facts.received += bytes;
    let sent = |bytes: u64| stream.state().facts.sent += bytes;
    let mut up = pin!(up.pass(&mut from_client, &mut to_origin, received));
    let mut back = pin!(back.pass(&mut from_origin, &mut to_client, sent));
    let mut gone = pin!(gone(client));
    let first = tokio::select! {
        biased;
        ended = &mut up => (ended, End::Client),
        ended = &mut back => (ended, End::Origin),
        cut = &mut gone => (Err(cut), End::Origin),
    };
    match first {
        // Whoever has got the end may go as it likes.
        (Ok(()), End::Origin) => up.await,
        (Ok(()), End::Client) => tokio::select! {
            biased;
            ended = &mut back => ended,
            cut = &mut gone => Err(cut),
        },
        (Err(cut @ Cut::Deaf(end)), _) => {
            // What it said before is still good, and what comes later is not waited for.
            half.set(true);
            let rest = async {
                match end {
                    End::Client => up.await,
                    End::Origin => back.await,
                }
            };
            tokio::time::timeout(limits.rest, rest).await.ok();
            Err(cut)
        }
        (Err(cut), _) => Err(cut),
    }
}

/// Resolves when a client has reset its stream: one that has ended its side is not read any more. On
/// a connection only a write tells.
async fn gone(client: Option<Rc<Stream>>) -> Cut {
    match client {
        None => std::future::pending().await,
        Some(stream) => poll_fn(|cx| stream.poll_gone(cx)).await,
    }
    Cut::Deaf(End::Client)
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
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
        count: impl Fn(u64),
    ) -> Result<(), Cut> {
        while let Some(piece) = self.next(inlet, outlet).await? {
            let size = piece.len() as u64;
            self.write(outlet, piece).await?;
            self.last.set(Instant::now());
            count(size);
        }
        let is_second = self.half.replace(true);
        match outlet {
            Outlet::Http1(writer) => {
                writer.shutdown(self.idle).await;
                Ok(())
            }
            Outlet::Http2(writer) => match writer.finish() {
                // Who is done itself may have said that no more is wanted (RFC 9113 §8.1).
                Err(_) if !is_second => Err(Cut::Deaf(self.to)),
                _ => Ok(()),
            },
        }
    }

    async fn write(self, outlet: &mut Outlet<'_>, piece: Bytes) -> Result<(), Cut> {
        let written = match outlet {
            Outlet::Http1(writer) => match writer.send(&piece, self.idle).await {
                Ok(()) => writer.flush(self.idle).await,
                err => err,
            },
            Outlet::Http2(writer) => writer.send(piece, false, self.idle).await,
        };
        written.map_err(|err| match err {
            WriteError::Broken => Cut::Deaf(self.to),
            WriteError::Stalled => Cut::Idle,
        })
    }

    /// The next bytes; `None` at the end.
    async fn next(
        self,
        inlet: &mut Inlet<'_>,
        outlet: &mut Outlet<'_>,
    ) -> Result<Option<Bytes>, Cut> {
        let mut limit = WARM.min(self.idle);
        loop {
            let read = match inlet {
                Inlet::Http1(reader) => read(reader, limit).await,
                Inlet::Http2(reader) => frame(reader, limit).await,
            };
            match read {
                Read::Bytes(bytes) => return Ok(Some(bytes)),
                Read::End => return Ok(None),
                // Once the other side is done, nobody needs a good-bye: many clients of TLS send none.
                Read::Broken if self.half.get() => return Ok(None),
                Read::Broken => return Err(Cut::Broken(self.from)),
                Read::TimedOut => {}
            }
            // Most tunnels are silent most of the time.
            if let Inlet::Http1(reader) = inlet {
                reader.release();
            }
            if let Outlet::Http1(writer) = outlet {
                writer.release();
            }
            limit = self.idle.saturating_sub(self.last.get().elapsed());
            if limit.is_zero() {
                return Err(Cut::Idle);
            }
        }
    }
}

/// What came of a wait for bytes.
enum Read {
    Bytes(Bytes),
    End,
    Broken,
    TimedOut,
}

async fn read(reader: &mut Reader, limit: Duration) -> Read {
    // What was read with the head comes first.
    if reader.buf.is_empty() {
        let end = match reader.readable(limit).await {
            ReadEnd::Data => reader.fill(limit).await,
            end => end,
        };
        match end {
            ReadEnd::Data => {}
            ReadEnd::Eof => return Read::End,
            ReadEnd::Broken => return Read::Broken,
            ReadEnd::TimedOut => return Read::TimedOut,
        }
    }
    Read::Bytes(reader.buf.split().freeze())
}

async fn frame(reader: &mut StreamReader, limit: Duration) -> Read {
    match reader.frame(limit).await {
        Ok(Frame::Data { bytes, .. }) => Read::Bytes(bytes),
        Ok(Frame::End(_)) => Read::End,
        Err(BodyError::TimedOut) => Read::TimedOut,
        Err(BodyError::Malformed | BodyError::WrongLength | BodyError::Cut) => Read::Broken,
    }
}

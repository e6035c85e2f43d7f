//! Copies of requests for mirrors (Gateway API: `HTTPRequestMirrorFilter`).
//!
//! Owns a copy's way to its backend, on a task of its own, and that its answer is read and thrown
//! away. A copy never delays the exchange it was made of: one that cannot keep up is given up.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::hop_by_hop;
use tidegate_core::message::RequestHead;
use tidegate_core::message::Version;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::mpsc::unbounded_channel;

use crate::http1::body::Frame;
use crate::http1::encode::BodyEncoder;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::outlet::Unwritten;
use crate::upstream;
use crate::upstream::Freshness;
use crate::upstream::balance::BackendState;
use crate::worker::Worker;

/// Copies that one worker has on their way; more are not made.
const MAX_COPIES: u32 = 1024;

/// How long an answer that nobody wants is read; then its connection is closed.
const LONGEST_ANSWER: Duration = Duration::from_secs(15);
/// What a waiting piece takes beside its bytes.
const PIECE_OVERHEAD: usize = 128;

/// What is copied of a request's head.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) head: RequestHead,
    pub(crate) length: BodyLength,
    pub(crate) timeouts: Timeouts,
    /// Bytes of the body that may wait for the mirror.
    pub(crate) held_limit: usize,
}

/// The exchange's end of a copy. Dropped before [`Copy::end`], it breaks the copy off: half a
/// request must not look whole.
#[derive(Debug)]
pub(crate) struct Copy {
    pieces: Option<UnboundedSender<Piece>>,
    held: Rc<Cell<usize>>,
    held_limit: usize,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End(Option<HeaderMap>),
}

impl Copy {
    /// Starts a copy of a request; `None` if this worker has too many on their way.
    pub(crate) fn start(
        worker: &Rc<Worker>,
        backend: Rc<BackendState>,
        original: Original,
    ) -> Option<Self> {
        let counted = Counted::new(worker)?;
        let (pieces, mut coming) = unbounded_channel();
        let held = Rc::new(Cell::new(0));
        let copy = Self {
            pieces: Some(pieces),
            held: Rc::clone(&held),
            held_limit: original.held_limit,
        };
        // The worker's runtime owns the task; it ends by its time limits.
        tokio::task::spawn_local(async move {
            let worker = &counted.worker;
            if let Err(failure) = send(worker, &backend, &original, &mut coming, &held).await {
                let backend = backend.backend.name.as_str();
                tracing::debug!(backend, reason = failure.verdict().flag, "a mirror failed");
            }
        });
        Some(copy)
    }

    /// A piece of the body.
    pub(crate) fn piece(&mut self, bytes: &Bytes) {
        let held = self.held.get() + bytes.len() + PIECE_OVERHEAD;
        if held > self.held_limit {
            self.pieces = None; // It does not keep up.
            return;
        }
        self.held.set(held);
        if let Some(pieces) = &self.pieces {
            pieces.send(Piece::Data(bytes.clone())).ok();
        }
    }

    /// The request is complete.
    pub(crate) fn end(&mut self, trailers: Option<&HeaderMap>) {
        if let Some(pieces) = self.pieces.take() {
            pieces.send(Piece::End(trailers.cloned())).ok();
        }
    }
}

/// Counts a copy for as long as its task lives.
struct Counted {
    worker: Rc<Worker>,
}

impl Counted {
    fn new(worker: &Rc<Worker>) -> Option<Self> {
        let copies = worker.copies.get();
        if copies >= MAX_COPIES {
            tracing::debug!(
                limit = MAX_COPIES,
                "a request is not mirrored: too many are"
            );
            return None;
        }
        worker.copies.set(copies + 1);
        Some(Self {
            worker: Rc::clone(worker),
        })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.worker.copies.set(self.worker.copies.get() - 1);
    }
}

async fn send(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    original: &Original,
    coming: &mut UnboundedReceiver<Piece>,
    held: &Cell<usize>,
) -> Result<(), Failure> {
    // A kept connection may be dead, and a copy is not sent twice: it gets a new one.
    let connecting = upstream::connect(worker, backend, Freshness::New).await;
    let mut upstream = connecting.map_err(|err| err.failure)?;
    let (mut inlet, outlet) = upstream.ends();
    upload(outlet, backend, original, coming, held).await?;
    let deadline = worker.wheel.deadline();
    let discarded = deadline.limit(LONGEST_ANSWER, discard(worker, &mut inlet, original));
    if discarded.await.map_err(|_| Failure::UpstreamTimeout)?? {
        upstream.keep(worker);
    }
    Ok(())
}

async fn upload(
    mut outlet: Outlet<'_>,
    backend: &BackendState,
    original: &Original,
    coming: &mut UnboundedReceiver<Piece>,
    held: &Cell<usize>,
) -> Result<(), Failure> {
    let stall = original.timeouts.write_stall;
    let asked = original.head.authority.as_bytes();
    let host = if asked.is_empty() {
        backend.backend.authority.as_bytes()
    } else {
        asked
    };
    let ends = original.length == BodyLength::Empty;
    let written = outlet.request(&original.head, host, original.length, false, ends);
    written.map_err(|_| Failure::UpstreamReset)?;
    let mut encoder = BodyEncoder::new(original.length);
    let failed = |err| match err {
        Unwritten::Length => Failure::BodyLengthChanged,
        Unwritten::Sink(_) => Failure::UpstreamReset,
    };
    loop {
        match coming.recv().await {
            None => return Err(Failure::ClientClosed),
            Some(Piece::Data(bytes)) => {
                let size = bytes.len() + PIECE_OVERHEAD;
                let sent = outlet.send(&mut encoder, bytes, false, stall).await;
                sent.map_err(failed)?;
                held.set(held.get().saturating_sub(size));
            }
            Some(Piece::End(trailers)) => {
                let ended = outlet.end(&mut encoder, trailers.as_ref());
                ended.map_err(failed)?;
                let flushed = outlet.flush(stall).await;
                return flushed.map_err(|_| Failure::UpstreamReset);
            }
        }
    }
}

/// Reads the answer to its end; says whether the connection may be used again.
async fn discard(
    worker: &Worker,
    inlet: &mut Inlet<'_>,
    original: &Original,
) -> Result<bool, Failure> {
    let idle = original.timeouts.stream_idle;
    let sizes = worker.sizes();
    let mut parsed = inlet.response_head(&sizes, idle).await?;
    while parsed.status.is_informational() {
        parsed = inlet.response_head(&sizes, idle).await?;
    }
    let version = parsed.version;
    let framing = inlet.response_framing(&mut parsed, &original.head.method)?;
    let options = hop_by_hop::strip(&mut parsed.headers);
    inlet.begin_body(framing.length, &sizes);
    while !inlet.is_done() {
        let frame = inlet.frame(idle).await;
        match frame.map_err(|_| Failure::UpstreamBodyCut)? {
            Frame::Data { last: false, .. } => {}
            Frame::Data { last: true, .. } | Frame::End(_) => break,
        }
    }
    Ok(version != Version::Http10 && !options.close && !framing.must_close)
}

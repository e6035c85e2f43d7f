//! Requests of the gateway's own to backends: what it tells others, not what it passes on.
//!
//! Owns one such request from its connection to the status of its answer. A worker makes it on a task
//! of its own, as it makes the calls of filters: with the backend's endpoints, TLS and protocol as they
//! are then. Nothing waits for it but whoever asked.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;

use crate::gateway::Remote;
use crate::http1::body::Frame;
use crate::http1::encode::BodyEncoder;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::upstream;
use crate::upstream::Freshness;
use crate::upstream::balance::BackendState;
use crate::upstream::balance::Target;
use crate::worker::Message;
use crate::worker::Worker;

/// Bytes of an answer's body that are read.
const MOST_ANSWER: usize = 64 * 1024;

/// A POST of the gateway's own. Its `Debug` does not show the path, which may be a secret.
#[derive(Clone)]
pub struct OwnRequest {
    /// The backend, by its full name.
    pub backend: Arc<str>,
    /// The authority that is asked for; without one it is the backend's.
    pub authority: Option<HeaderValue>,
    /// The path, with a query if there is one; it begins with a slash.
    pub path: HeaderValue,
    /// Its fields; those that frame it are added.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// How long it may take. An answer whose head came in time counts, however long its body takes; it is
    /// read for as long as is left.
    pub limit: Duration,
}

impl fmt::Debug for OwnRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnRequest")
            .field("backend", &self.backend)
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Why there was no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unanswered {
    /// The generation that serves has no such backend.
    #[error("there is no such backend any more")]
    NoBackend,
    /// It took too long.
    #[error("no answer in time")]
    TimedOut,
    /// It failed, with the reason as access logs have it.
    #[error("{0}")]
    Failed(&'static str),
    /// The gateway has ended.
    #[error("the gateway is ending")]
    Ending,
}

/// A request on its way to the worker that makes it.
pub(crate) struct OwnOrder {
    request: OwnRequest,
    done: Box<dyn FnOnce(Result<StatusCode, Unanswered>) + Send>,
}

impl fmt::Debug for OwnOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnOrder")
            .field("request", &self.request)
            .finish_non_exhaustive()
    }
}

impl Remote {
    /// Makes a request of the gateway's own, on the worker that has least to do. `done` is told of the
    /// answer's status, on that worker's thread: it must not wait. If the gateway ends meanwhile, it may
    /// never be.
    pub fn post(
        &self,
        request: OwnRequest,
        done: impl FnOnce(Result<StatusCode, Unanswered>) + Send + 'static,
    ) {
        let loads = self.loads.iter().map(|load| load.load(Ordering::Relaxed));
        let idlest = self.inboxes.iter().zip(loads).min_by_key(|(_, load)| *load);
        let done = Box::new(done);
        let order = Message::Own(Box::new(OwnOrder { request, done }));
        let refused = match idlest {
            Some((inbox, _)) => inbox.send(order).map_err(|err| err.0).err(),
            None => Some(order),
        };
        if let Some(Message::Own(order)) = refused {
            (order.done)(Err(Unanswered::Ending));
        }
    }
}

/// Makes a request on a task of its own.
pub(crate) fn start(worker: &Rc<Worker>, order: OwnOrder) {
    let OwnOrder { request, done } = order;
    let worker = Rc::clone(worker);
    // The worker's runtime owns the task; it ends by its time limit.
    tokio::task::spawn_local(async move {
        let answered = answer(&worker, &request).await;
        done(answered);
    });
}

async fn answer(worker: &Rc<Worker>, request: &OwnRequest) -> Result<StatusCode, Unanswered> {
    let plan = Arc::clone(&worker.generation().plan);
    let backend = plan.snapshot.backends.named("", &request.backend);
    let target = Target::of(backend.ok_or(Unanswered::NoBackend)?, &plan.tls);
    let backend = worker.backends.of(&target);
    let status = Cell::new(None);
    let exchange = exchange(worker, &backend, request, &status);
    let ended = worker.wheel.limit(request.limit, exchange).await;
    // The status is the answer, whatever became of the rest.
    if let Some(status) = status.get() {
        return Ok(status);
    }
    match ended {
        // Not reached: it sets the status.
        Ok(Ok(())) => Err(Unanswered::Failed(Failure::UpstreamReset.verdict().flag)),
        Ok(Err(Failure::ConnectTimeout | Failure::UpstreamTimeout)) | Err(_) => {
            Err(Unanswered::TimedOut)
        }
        Ok(Err(failure)) => Err(Unanswered::Failed(failure.verdict().flag)),
    }
}

/// Sets the status once the head of the answer is here; what takes longer is the rest.
async fn exchange(
    worker: &Rc<Worker>,
    backend: &Rc<BackendState>,
    request: &OwnRequest,
    answered: &Cell<Option<StatusCode>>,
) -> Result<(), Failure> {
    // A kept connection may be dead, and what was sent on it must not be sent twice: it gets a new one.
    let connecting = upstream::connect(worker, backend, Freshness::New).await;
    let mut upstream = connecting.map_err(|err| err.failure)?;
    let (mut inlet, outlet) = upstream.ends();
    send(worker, outlet, backend, request).await?;
    let idle = worker.timeouts().stream_idle;
    let sizes = worker.sizes();
    let mut parsed = inlet.response_head(&sizes, idle).await?;
    while parsed.status.is_informational() {
        parsed = inlet.response_head(&sizes, idle).await?;
    }
    let status = parsed.status;
    let framing = inlet.response_framing(&mut parsed, &Method::POST)?;
    inlet.begin_body(framing.length, &sizes);
    answered.set(Some(status));
    // Its connection is not kept: the next request of this kind may be hours away.
    read_rest(&mut inlet, idle).await;
    Ok(())
}

async fn send(
    worker: &Worker,
    mut outlet: Outlet<'_>,
    backend: &BackendState,
    request: &OwnRequest,
) -> Result<(), Failure> {
    let authority = request.authority.as_ref();
    let authority = authority.unwrap_or(&backend.backend.authority);
    let scheme = if backend.backend.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let head = RequestHead {
        method: Method::POST,
        path: request.path.clone(),
        authority: authority.clone(),
        scheme: HeaderValue::from_static(scheme),
        headers: request.headers.clone(),
    };
    let length = match request.body.len() as u64 {
        0 => BodyLength::Empty,
        bytes => BodyLength::Exactly(bytes),
    };
    let ends = length == BodyLength::Empty;
    let written = outlet.request(&head, authority.as_bytes(), length, false, ends);
    written.map_err(|_| Failure::UpstreamReset)?;
    let mut encoder = BodyEncoder::new(length);
    let stall = worker.timeouts().write_stall;
    if !ends {
        let sent = outlet
            .send(&mut encoder, request.body.clone(), true, stall)
            .await;
        sent.map_err(|_| Failure::UpstreamReset)?;
    }
    let ended = outlet.end(&mut encoder, None);
    ended.map_err(|_| Failure::UpstreamReset)?;
    let flushed = outlet.flush(stall).await;
    flushed.map_err(|_| Failure::UpstreamReset)
}

/// Reads an answer's body, so that its sender is not cut short; not more than so much of it.
async fn read_rest(inlet: &mut Inlet<'_>, idle: Duration) {
    let mut read = 0;
    while !inlet.is_done() && read <= MOST_ANSWER {
        match inlet.frame(idle).await {
            Ok(Frame::Data { bytes, last: false }) => read += bytes.len(),
            Ok(Frame::Data { last: true, .. } | Frame::End(_)) | Err(_) => return,
        }
    }
}

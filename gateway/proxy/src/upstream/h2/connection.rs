//! One HTTP/2 connection to an origin.
//!
//! Owns its settings and its task. The task ends when the origin closes, when a peer that does not
//! acknowledge has been silent for too long, or when nobody holds the connection any more and its
//! streams have ended.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;
use std::time::Instant;

use bytes::Bytes;
use h2::SendStream;
use h2::client::Builder;
use h2::client::ResponseFuture;
use h2::client::SendRequest;
use http::Request;
use socket2::SockRef;
use socket2::TcpKeepalive;
use tidegate_core::failure::Failure;
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::http2::pings::Heard;
use crate::http2::pings::Pings;
use crate::metrics::Counters;
use crate::tls::Offer;
use crate::transport::Transport;
use crate::upstream::balance::BackendState;
use crate::upstream::dial;
use crate::upstream::h2::heads::Heads;
use crate::upstream::h2::heads::Wire;
use crate::worker::Worker;

/// Bytes that one stream may have under way towards us.
const STREAM_WINDOW: u32 = 128 * 1024;
/// Bytes that all streams of a connection may have under way towards us: what all of them may
/// together, because streams of different clients share a connection, and one that reads slowly must
/// not hold up the others.
const CONNECTION_WINDOW: u32 = 100 * STREAM_WINDOW;
/// Bytes of one stream that may wait here to be sent.
const SEND_BUFFER: usize = 64 * 1024;
/// What small frames that wait for slow clients may cost: 256 bytes each, less what they carry. One
/// slow client must not cut the others' connection.
const SMALL_FRAMES: usize = 64 * 1024 * 1024;
/// Streams on one connection, however many an origin would take: they share one TCP window.
const MAX_STREAMS: usize = 100;
/// How long a connection is silent before the peer is asked whether it is still there.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    local: Option<SocketAddr>,
    state: Rc<State>,
    /// Its task looks after the origin while there are streams.
    watches: bool,
}

/// What the connection, its streams and its task know of it.
#[derive(Debug)]
struct State {
    open: Cell<bool>,
    streams: Cell<usize>,
    /// A stream was begun on it.
    was_used: Cell<bool>,
    used: Cell<Instant>,
    heads: Rc<Heads>,
    /// Somebody waits for the origin's first frame.
    asks: Cell<bool>,
    /// It has come.
    greeted: Cell<bool>,
    greeting: Notify,
    /// The connection's task.
    task: RefCell<Option<Waker>>,
}

/// The task of a connection.
#[derive(Debug)]
struct Task {
    connection: h2::client::Connection<Wire, Bytes>,
    pings: Pings,
    state: Rc<State>,
    counters: Arc<Counters>,
    endpoint: SocketAddr,
}

impl Task {
    /// Ready when the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let endpoint = self.endpoint;
        if let Poll::Ready(ended) = Pin::new(&mut self.connection).poll(cx) {
            if let Err(err) = ended {
                tracing::debug!(%endpoint, %err, "an HTTP/2 connection ended");
            }
            return Poll::Ready(());
        }
        let state = &self.state;
        // What a server sends first are its settings, before it answers anything (RFC 9113 §3.4).
        if state.asks.get() && !state.greeted.get() {
            self.pings.ask();
        }
        let silent = self.pings.poll(cx, state.streams.get() > 0);
        if self.pings.answered && !state.greeted.replace(true) {
            state.greeting.notify_waiters();
        }
        if silent.is_ready() {
            self.counters.silent_origin();
            tracing::info!(%endpoint, "an origin answers no PING: its HTTP/2 connection is given up");
            return Poll::Ready(());
        }
        let mut task = state.task.borrow_mut();
        match task.as_mut() {
            Some(known) => known.clone_from(cx.waker()),
            None => *task = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl State {
    fn wake(&self) {
        if let Some(task) = self.task.borrow_mut().take() {
            task.wake();
        }
    }
}

/// Counts a stream until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(Rc<State>);

impl Drop for Place {
    fn drop(&mut self) {
        let State { streams, used, .. } = &*self.0;
        streams.set(streams.get().saturating_sub(1));
        used.set(Instant::now());
    }
}

impl Connection {
    /// Connects within the limit for connecting.
    pub(super) async fn open(
        worker: &Worker,
        backend: &BackendState,
        endpoint: SocketAddr,
    ) -> Result<Rc<Self>, Failure> {
        let limit = worker.timeouts().connect;
        match tokio::time::timeout(limit, Self::connect(worker, backend, endpoint)).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(failure)) => Err(failure),
            Err(_) => Err(Failure::ConnectTimeout),
        }
    }

    async fn connect(
        worker: &Worker,
        backend: &BackendState,
        endpoint: SocketAddr,
    ) -> Result<Rc<Self>, Failure> {
        let transport = dial(backend, endpoint, Offer::Http2, None).await?;
        Self::begin(worker, backend, endpoint, transport).await
    }

    /// Begins on a connection that was opened. The caller limits the time.
    pub(super) async fn begin(
        worker: &Worker,
        backend: &BackendState,
        endpoint: SocketAddr,
        stream: Transport,
    ) -> Result<Rc<Self>, Failure> {
        tune(stream.tcp(), worker.timeouts().write_stall);
        let heads = u32::try_from(worker.sizes().head_bytes).unwrap_or(u32::MAX);
        let mut builder = Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(heads)
            .max_send_buffer_size(SEND_BUFFER)
            .data_frame_budget(SMALL_FRAMES);
        let local = stream.tcp().local_addr().ok();
        let heads = Rc::<Heads>::default();
        let heard = Heard::default();
        let stream = Wire::new(stream, Rc::clone(&heads), heard.clone());
        let (sender, mut connection) = builder.handshake(stream).await.map_err(|err| {
            tracing::debug!(%endpoint, %err, "an HTTP/2 connection did not begin");
            Failure::UpstreamProtocol
        })?;
        let state = Rc::new(State {
            open: Cell::new(true),
            streams: Cell::new(0),
            was_used: Cell::new(false),
            used: Cell::new(Instant::now()),
            asks: Cell::new(false),
            greeted: Cell::new(false),
            greeting: Notify::new(),
            task: RefCell::default(),
            heads,
        });
        let (frames, numbers) = (connection.ping_pong(), backend.backend.pings);
        let mut task = Task {
            connection,
            pings: Pings::new(frames, numbers, heard, &worker.wheel),
            state: Rc::clone(&state),
            counters: Arc::clone(&worker.counters),
            endpoint,
        };
        // The worker's runtime owns the task; it ends with the connection.
        tokio::task::spawn_local(async move {
            poll_fn(|cx| task.poll(cx)).await;
            task.state.open.set(false);
            task.state.greeted.set(true);
            task.state.greeting.notify_waiters();
        });
        Ok(Rc::new(Self {
            sender,
            local,
            state,
            watches: numbers.is_some(),
        }))
    }

    /// What sends a request on it; `None` if it was told to go away, or is broken.
    pub(super) fn sender(&self) -> Option<SendRequest<Bytes>> {
        let mut sender = self.sender.clone();
        let mut cx = Context::from_waker(Waker::noop());
        // A request waits for nothing: what there is no room for is queued by the crate.
        if let Poll::Ready(Err(err)) = sender.poll_ready(&mut cx) {
            tracing::debug!(%err, "a connection takes no stream");
            self.state.open.set(false);
            return None;
        }
        Some(sender)
    }

    /// Waits until the origin's first frame has come, or the connection is over. Cancel-safe.
    pub(super) async fn greeting(&self) {
        let came = self.state.greeting.notified();
        if !self.state.greeted.get() {
            self.state.asks.set(true);
            self.state.wake();
            came.await;
        }
    }

    /// Counts a stream for it.
    pub(super) fn place(&self) -> Place {
        let streams = &self.state.streams;
        streams.set(streams.get() + 1);
        if self.watches && streams.get() == 1 {
            self.state.wake();
        }
        Place(Rc::clone(&self.state))
    }

    /// Sends the head of a request; its body follows unless it `ends` with it.
    pub(super) fn send(
        &self,
        mut sender: SendRequest<Bytes>,
        request: Request<()>,
        ends: bool,
    ) -> Result<(ResponseFuture, SendStream<Bytes>), h2::Error> {
        self.state.heads.begun(self.streams());
        let sent = sender.send_request(request, ends);
        let sent = sent.inspect_err(|_| self.state.open.set(false));
        self.state.was_used.set(true);
        sent
    }

    /// Heads that nobody has looked at.
    pub(super) fn heads(&self) -> &Rc<Heads> {
        &self.state.heads
    }

    /// Our end of it.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Whether a stream was begun on it.
    pub(super) fn was_used(&self) -> bool {
        self.state.was_used.get()
    }

    /// Whether it takes streams, as far as is known.
    pub(super) fn is_open(&self) -> bool {
        self.state.open.get()
    }

    /// The streams it has.
    pub(super) fn streams(&self) -> usize {
        self.state.streams.get()
    }

    /// Whether a stream would begin at once.
    pub(super) fn has_room(&self) -> bool {
        self.streams() < self.sender.current_max_send_streams().min(MAX_STREAMS)
    }

    /// Whether it has had no stream for so long.
    pub(super) fn is_idle(&self, now: Instant, limit: Duration) -> bool {
        self.streams() == 0 && now.saturating_duration_since(self.state.used.get()) >= limit
    }
}

/// A peer that is gone must be noticed, though
/// nothing is sent for a long time. A socket without an option still works.
fn tune(stream: &TcpStream, stall: Duration) {
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 3);
    socket.set_tcp_keepalive(&keepalive).ok();
    socket.set_tcp_user_timeout(Some(stall)).ok();
}

//! One client connection of HTTP/2 to its end.
//!
//! Owns its settings, a task for each of its streams, and how it ends: when the client closes, when
//! it has had no stream for as long as a connection may be kept, or when it is told to go away.
//! Streams that have begun run to their end in each case. What happens on a stream is `exchange`'s.

use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Instant;

use bytes::Bytes;
use bytes::BytesMut;
use h2::Reason;
use h2::RecvStream;
use h2::server::Builder;
use h2::server::SendResponse;
use http::Request;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tokio::task::JoinSet;

use crate::deadline::Deadline;
use crate::downstream::Downstream;
use crate::downstream::Link;
use crate::exchange;
use crate::exchange::Next;
use crate::http2::calm::Calm;
use crate::http2::calm::PREFACE;
use crate::http2::head;
use crate::http2::pings::Heard;
use crate::http2::pings::Pings;
use crate::http2::reader::StreamReader;
use crate::http2::room;
use crate::http2::room::Room;
use crate::http2::stream::Stream;
use crate::http2::wire::Wire;
use crate::http2::writer::StreamWriter;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::transport::Transport;

/// Streams that a client may have at once.
const MAX_STREAMS: u32 = 100;
/// Streams of a connection that may be ending beside those.
const MAX_TASKS: usize = 2 * MAX_STREAMS as usize;
/// What small frames that wait to be passed on may cost: 256 bytes each, less what they carry. A
/// client that talks in small pieces to a slow origin is honest.
const SMALL_FRAMES: usize = 8 * 1024 * 1024;
/// Bytes that one stream may have under way towards us.
const STREAM_WINDOW: u32 = 256 * 1024;
/// Bytes of one stream that may wait here to be sent.
const SEND_BUFFER: usize = 32 * 1024;
/// Streams that the client has reset and that nobody has looked at yet.
const MAX_PENDING_RESETS: usize = 100;
/// Streams that we have reset and whose frames may still come.
const MAX_LOCAL_RESETS: usize = 100;
/// Streams that the client has broken, in all of its connection's life.
const MAX_ERRORS: usize = 1024;

/// Whether a connection begins as HTTP/2 does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Preface {
    /// It does not.
    Absent,
    /// More bytes are needed.
    Partial,
    /// It does.
    Whole,
}

/// Looks at the first bytes of a connection (RFC 9113 §3.4).
pub(crate) fn preface(bytes: &[u8]) -> Preface {
    let known = bytes.len().min(PREFACE.len());
    if bytes.get(..known) != PREFACE.get(..known) {
        Preface::Absent
    } else if known < PREFACE.len() {
        Preface::Partial
    } else {
        Preface::Whole
    }
}

/// Serves a connection to its end; `begun` is what was read of it.
pub(crate) async fn serve(transport: Transport, begun: BytesMut, link: Link) {
    let Some((timeouts, sizes)) = link.scene().map(|scene| {
        let bind = scene.bind();
        (bind.timeouts, bind.sizes)
    }) else {
        return;
    };
    let wheel = &link.worker.wheel;
    let calm = Rc::new(Calm::new());
    let deadline = wheel.deadline();
    let stall = timeouts.write_stall;
    let heard = Heard::default();
    let watches = (Rc::clone(&calm), heard.clone());
    let wire = Wire::new(transport, begun, watches, deadline, stall);
    let handshake = settings(&sizes).handshake(wire);
    let mut connection = match wheel.limit(timeouts.header_read, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(err)) => {
            tracing::debug!(peer = %link.peer, %err, "an HTTP/2 connection did not begin");
            return;
        }
        Err(_) => return,
    };
    let idle = wheel.deadline();
    let frames = timeouts.pings.and_then(|_| connection.ping_pong());
    let connection = Connection {
        connection,
        streams: JoinSet::new(),
        calm,
        pings: Pings::new(frames, timeouts.pings, heard, wheel),
        room: Room::new(link.worker.upload_room.clone()),
        idle,
        link: Rc::new(link),
        timeouts,
        leaving: Leaving::No,
    };
    connection.run().await;
}

fn settings(sizes: &SizeLimits) -> Builder {
    // Heads over the limit are answered and logged by the exchange; those far over it never get
    // there.
    let heads = u32::try_from(sizes.head_bytes).unwrap_or(u32::MAX);
    let mut builder = Builder::new();
    builder
        // Streams may become tunnels (RFC 8441 §3).
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(room::WINDOW)
        .max_header_list_size(heads.saturating_mul(2))
        .max_send_buffer_size(SEND_BUFFER)
        .data_frame_budget(SMALL_FRAMES)
        .max_concurrent_reset_streams(MAX_LOCAL_RESETS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(Some(MAX_ERRORS));
    builder
}

/// How far a connection is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaving {
    /// It takes new streams.
    No,
    /// The client was told to go away.
    Told,
}

/// One client connection.
struct Connection {
    connection: h2::server::Connection<Wire, Bytes>,
    streams: JoinSet<()>,
    calm: Rc<Calm>,
    pings: Pings,
    room: Room,
    /// Armed while there are no streams.
    idle: Deadline,
    link: Rc<Link>,
    timeouts: Timeouts,
    leaving: Leaving,
}

/// What happens next on a connection.
enum Event {
    Stream(Box<(Request<RecvStream>, SendResponse<Bytes>)>),
    /// A stream has ended.
    Ended,
    /// There was no stream for too long, or the client does not answer that it goes away.
    Idle,
    /// The client costs too much.
    Flood,
    /// The client answers no PING.
    Silent,
    /// It is over.
    Closed,
}

impl Connection {
    async fn run(mut self) {
        let link = Rc::clone(&self.link);
        let mut closing = pin!(link.door.until_closed());
        self.idle.arm(self.timeouts.keep_alive);
        loop {
            let event = poll_fn(|cx| {
                if self.leaving == Leaving::No && closing.as_mut().poll(cx).is_ready() {
                    self.leave();
                }
                self.poll_event(cx)
            });
            match event.await {
                Event::Stream(stream) => self.begin(*stream),
                Event::Ended => {}
                Event::Idle if self.leaving == Leaving::No => self.leave(),
                // It is sent its answers still; one that reads nothing is cut by `Wire`.
                Event::Idle if self.calm.waits_for_client() => {}
                Event::Flood => {
                    tracing::debug!(peer = %self.link.peer, "a client sends frames without end");
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    let closed = poll_fn(|cx| self.connection.poll_closed(cx));
                    let limit = self.timeouts.linger;
                    self.link.worker.wheel.limit(limit, closed).await.ok();
                    break;
                }
                Event::Silent => {
                    self.link.worker.counters.silent_client();
                    tracing::debug!(peer = %self.link.peer, "a client answers no PING");
                    break;
                }
                Event::Idle | Event::Closed => break,
            }
            if self.streams.is_empty() && self.leaving == Leaving::No {
                self.idle.arm(self.timeouts.keep_alive);
            } else if self.streams.is_empty() {
                self.idle.arm(self.timeouts.linger);
            } else {
                self.idle.disarm();
            }
        }
        // Their streams are broken: each of them notices and ends.
        drop(self.connection);
        while self.streams.join_next().await.is_some() {}
    }

    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Event> {
        let mut ends = false;
        while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(cx) {
            ends = true;
            if let Err(err) = ended {
                tracing::error!(%err, "a stream's task ended; other streams are not affected");
            }
            if self.streams.is_empty() {
                self.make_room(true);
                return Poll::Ready(Event::Ended);
            }
        }
        let accepted = self.connection.poll_accept(cx);
        if self.calm.is_over() {
            return Poll::Ready(Event::Flood);
        }
        self.make_room(ends);
        match accepted {
            Poll::Ready(Some(Ok(stream))) => Poll::Ready(Event::Stream(Box::new(stream))),
            Poll::Ready(Some(Err(err))) => {
                tracing::debug!(peer = %self.link.peer, %err, "an HTTP/2 connection ended");
                Poll::Ready(Event::Closed)
            }
            Poll::Ready(None) => Poll::Ready(Event::Closed),
            Poll::Pending if self.pings.poll(cx, !self.streams.is_empty()).is_ready() => {
                Poll::Ready(Event::Silent)
            }
            Poll::Pending => self.idle.poll_expired(cx).map(|_| Event::Idle),
        }
    }

    /// Gives uploads the room that they need, when one of them has `ended` or some have come on.
    fn make_room(&mut self, ended: bool) {
        if let Some(window) = self.room.look(self.calm.data(), ended) {
            self.connection.set_target_window_size(window);
        }
    }

    /// Tells the client to go away; what has begun goes on (RFC 9113 §6.8).
    fn leave(&mut self) {
        self.leaving = Leaving::Told;
        if self.streams.is_empty() {
            self.idle.arm(self.timeouts.linger);
        }
        self.connection.graceful_shutdown();
    }

    /// Gives a stream a task of its own.
    fn begin(&mut self, (mut request, mut respond): (Request<RecvStream>, SendResponse<Bytes>)) {
        // Streams that were reset may still be ending: they count too.
        if self.streams.len() >= MAX_TASKS {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        }
        let (link, calm) = (Rc::clone(&self.link), Rc::clone(&self.calm));
        let body = request.body_mut();
        let upload = (!body.is_end_stream()).then(|| self.room.enter(body.flow_control().clone()));
        // The connection owns its tasks: they end with it at the latest.
        // Boxed: tasks are moved about as they begin and end.
        self.streams.spawn_local(Box::pin(async move {
            serve_stream(link, calm, request, respond).await;
            drop(upload);
        }));
    }
}

/// Serves one stream.
async fn serve_stream(
    link: Rc<Link>,
    calm: Rc<Calm>,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let started = Instant::now();
    // The exchange sees what is configured when its head is complete.
    let Some(scene) = link.scene() else {
        return; // Dropping both ends resets the stream.
    };
    let bind = scene.bind();
    let (parts, body) = request.into_parts();
    let taken = head::take_request(parts, &bind.sizes);
    let stream = Stream::response(respond);
    let wheel = &link.worker.wheel;
    let shared = Rc::clone(&stream);
    let mut reader = StreamReader::of_request(body, shared, wheel.clone(), bind.sizes);
    let mut writer = StreamWriter::new(stream, wheel.clone());
    let mut down = Downstream {
        inlet: Inlet::Http2(&mut reader),
        outlet: Outlet::Http2(&mut writer),
        link: &link,
        head_started: Some(started),
    };
    let next = exchange::serve_stream(&mut down, &scene, taken.parsed, taken.refused).await;
    let by_reset = writer.was_reset();
    if next == Next::Abort || !writer.has_ended() {
        writer.reset(Reason::INTERNAL_ERROR);
    }
    calm.ended(by_reset, started.elapsed());
    if !reader.is_done() {
        reader.linger(link.worker.timeouts().linger).await;
    }
}

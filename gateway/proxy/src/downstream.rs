//! One client connection of HTTP/1 to its end.
//!
//! Owns keep-alive, the time limits between requests, how a connection closes, and what exchanges
//! see of their client whatever it speaks. A client that begins with HTTP/2 is handed to
//! `http2::server`. What happens with each request is `exchange`'s.

use std::cell::Cell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use http::HeaderValue;
use socket2::SockRef;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::defaults::Timeouts;
use tidegate_core::failure::Failure;
use tidegate_core::message::Version;
use tokio::net::TcpStream;

use crate::exchange;
use crate::exchange::Next;
use crate::exchange::ending::Asked;
use crate::exchange::state::Facts;
use crate::http1::head;
use crate::http1::head::HeadScan;
use crate::http1::head::ParsedRequest;
use crate::http1::reader::ReadEnd;
use crate::http1::reader::Reader;
use crate::http1::writer::Writer;
use crate::http2::server;
use crate::http2::server::Preface;
use crate::inlet::Inlet;
use crate::outlet::Outlet;
use crate::tls::Secured;
use crate::transport::Transport;
use crate::worker::DRAIN_GRACE;
use crate::worker::Door;
use crate::worker::Open;
use crate::worker::Scene;
use crate::worker::Worker;

/// How long an idle connection keeps its buffer: giving it back between the requests of a busy one
/// would cost more than parsing them.
const WARM: Duration = Duration::from_secs(1);

/// What is known of a client's connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) worker: Rc<Worker>,
    pub(crate) door: Rc<Door>,
    pub(crate) peer: SocketAddr,
    /// The peer's address without port, as text.
    pub(crate) peer_text: HeaderValue,
    pub(crate) local: SocketAddr,
    pub(crate) id: u64,
    /// Its TLS, if it has.
    pub(crate) secured: Option<Rc<Secured>>,
    /// Counts it as open.
    pub(crate) _open: Open,
}

/// The client's side of one exchange.
#[derive(Debug)]
pub(crate) struct Downstream<'a> {
    pub(crate) inlet: Inlet<'a>,
    pub(crate) outlet: Outlet<'a>,
    pub(crate) link: &'a Link,
    /// When the first byte of the head came.
    pub(crate) head_started: Option<Instant>,
}

/// One client connection of HTTP/1.
#[derive(Debug)]
pub(crate) struct Http1 {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) link: Link,
    /// When the first byte of the current head came.
    pub(crate) head_started: Option<Instant>,
    /// Shared with the worker: a drain hurries connections that wait for a request.
    pub(crate) idle: Rc<Cell<bool>>,
}

/// What came of waiting for a request.
enum Wanted {
    Request(Box<ParsedRequest>),
    /// The client speaks HTTP/2.
    Http2,
    /// The client is done, or was for too long: there is nothing to answer.
    Nothing,
    Refused(Failure),
}

/// The limits for the wait for a request.
struct Wait {
    timeouts: Timeouts,
    sizes: SizeLimits,
}

impl Http1 {
    /// Serves the connection until it ends.
    pub(crate) async fn serve(mut self) {
        let mut first = true;
        loop {
            let Some(Wait { timeouts, sizes }) = self.wait() else {
                return;
            };
            // The end of a handshake leaves with the first answer, if that is asked for already.
            if first && self.link.secured.is_some() && self.reader.is_quiet() {
                let flush = self.writer.flush_below(timeouts.write_stall);
                if Box::pin(flush).await.is_err() {
                    return;
                }
            }
            let wanted = self.next_request(first, &timeouts, &sizes).await;
            first = false;
            // The exchange sees what is configured when its head is complete.
            let Some(scene) = self.link.scene() else {
                return;
            };
            let next = match wanted {
                Wanted::Request(parsed) => {
                    // The exchange's state is large and short-lived: it is not part of what an
                    // idle connection costs.
                    Box::pin(exchange::serve(&mut self.lend(), &scene, parsed)).await
                }
                Wanted::Nothing => Next::Close,
                Wanted::Http2 => return self.into_http2().await,
                Wanted::Refused(failure) => {
                    let mut down = self.lend();
                    exchange::refuse(&mut down, scene.bind(), failure, &Asked::NOTHING).await
                }
            };
            let linger = scene.bind().timeouts.linger;
            drop(scene);
            match next {
                Next::KeepAlive => self.writer.release(),
                Next::Close | Next::Upgraded => return self.close(linger).await,
                Next::Linger => return self.linger(linger).await,
                Next::Abort => return self.abort(),
            }
        }
    }

    /// The client's side of the exchange that comes next.
    fn lend(&mut self) -> Downstream<'_> {
        Downstream {
            inlet: Inlet::Http1(&mut self.reader),
            outlet: Outlet::Http1(&mut self.writer),
            link: &self.link,
            head_started: self.head_started,
        }
    }

    /// The limits for the wait for a request. A generation is not held while there is none.
    fn wait(&self) -> Option<Wait> {
        let scene = self.link.scene()?;
        Some(Wait {
            timeouts: scene.bind().timeouts,
            sizes: scene.bind().sizes,
        })
    }

    async fn next_request(
        &mut self,
        first: bool,
        timeouts: &Timeouts,
        sizes: &SizeLimits,
    ) -> Wanted {
        if self.reader.buf.is_empty() {
            self.idle.set(!first);
            let limit = if first {
                timeouts.header_read
            } else if self.link.door.is_closed() {
                DRAIN_GRACE.min(timeouts.keep_alive)
            } else {
                timeouts.keep_alive
            };
            let woke = self.wait_for_bytes(limit).await;
            self.idle.set(false);
            if !matches!(woke, ReadEnd::Data) {
                return Wanted::Nothing;
            }
        }
        let mut scan = HeadScan::default();
        let started = Instant::now();
        self.head_started = Some(started);
        let mut may_be_http2 = first;
        loop {
            if may_be_http2 {
                match server::preface(&self.reader.buf) {
                    Preface::Whole => return Wanted::Http2,
                    Preface::Partial => {}
                    Preface::Absent => may_be_http2 = false,
                }
            }
            head::skip_empty_lines(&mut self.reader.buf);
            let taken = if may_be_http2 {
                Ok(None)
            } else {
                head::take_request(&mut self.reader.buf, &mut scan, sizes)
            };
            match taken {
                Ok(Some(parsed)) => return Wanted::Request(Box::new(parsed)),
                Ok(None) => {}
                Err(failure) => return Wanted::Refused(failure),
            }
            let Some(left) = timeouts.header_read.checked_sub(started.elapsed()) else {
                return self.header_timeout();
            };
            match self.reader.fill(left).await {
                ReadEnd::Data => {}
                ReadEnd::Eof | ReadEnd::Broken if self.reader.buf.is_empty() => {
                    return Wanted::Nothing;
                }
                ReadEnd::Eof | ReadEnd::Broken => return Wanted::Refused(Failure::ClientClosed),
                ReadEnd::TimedOut => return self.header_timeout(),
            }
        }
    }

    /// Waits for the next request's first byte. A busy connection keeps its buffer; one that has
    /// waited for [`WARM`] gives it back.
    async fn wait_for_bytes(&mut self, limit: Duration) -> ReadEnd {
        let woke = self.reader.readable(WARM.min(limit)).await;
        let waits_on = matches!(woke, ReadEnd::TimedOut) && limit > WARM;
        // A drain hurries this wait: then there is no second one.
        if !waits_on || self.link.door.is_closed() {
            return woke;
        }
        self.reader.release();
        self.reader.readable(limit - WARM).await
    }

    fn header_timeout(&self) -> Wanted {
        if self.reader.buf.is_empty() {
            Wanted::Nothing
        } else {
            Wanted::Refused(Failure::RequestHeaderTimeout)
        }
    }

    /// Goes on as a connection of HTTP/2: its client has begun with it, or has chosen it in the
    /// handshake (RFC 9113 §3.2, §3.3).
    pub(crate) async fn into_http2(self) {
        let Self {
            reader,
            writer,
            link,
            ..
        } = self;
        let (half, begun) = reader.into_half();
        if let Some(transport) = Transport::join(half, writer.into_half()) {
            // Large, and connections of HTTP/1 do not pay for it.
            Box::pin(server::serve(transport, begun, link)).await;
        }
    }

    async fn close(mut self, linger: Duration) {
        if self.reader.ended {
            return self.writer.farewell(linger).await;
        }
        self.writer.shutdown(linger).await;
        if !self.reader.is_quiet() {
            // Unread bytes would turn the close into a reset.
            self.reader.linger(linger).await;
        }
    }

    async fn linger(mut self, limit: Duration) {
        self.writer.shutdown(limit).await;
        self.reader.linger(limit).await;
    }

    /// Closes with a reset, so that a response cut short is not taken for complete.
    fn abort(self) {
        let set = |tcp: &TcpStream| SockRef::from(tcp).set_linger(Some(Duration::ZERO));
        if let Err(err) = self.reader.half().with_tcp(set) {
            tracing::debug!(%err, "a connection could not be set to reset");
        }
        self.writer.forget();
    }
}

impl Link {
    /// What a new exchange on the connection sees; `None` only if nothing was ever configured here.
    pub(crate) fn scene(&self) -> Option<Scene> {
        self.door.scene(&self.worker)
    }
}

impl Downstream<'_> {
    /// What is known about an exchange from its connection.
    pub(crate) fn facts(&self, version: Version, client: IpAddr) -> Facts {
        Facts {
            started: self.head_started.unwrap_or_else(Instant::now),
            started_unix_nanos: crate::clock::unix_nanos(SystemTime::now()),
            version,
            client,
            peer: self.link.peer,
            local: self.link.local,
            connection_id: self.link.id,
            secured: self.link.secured.clone(),
            backend: None,
            endpoint: None,
            attempts: 0,
            received: 0,
            sent: 0,
            flag: "",
            details: bytes::Bytes::new(),
        }
    }
}

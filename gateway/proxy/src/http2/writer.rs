//! The sending end of a stream.
//!
//! Owns flow control from the peer: nothing is handed to the connection that the peer has no room
//! for, so that what waits there is bounded, and a peer that makes no room for too long is noticed.

use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::Reason;
use http::HeaderMap;
use http::Request;
use http::Response;
use http::StatusCode;
use tidegate_core::hop_by_hop::may_be_trailer;

use crate::deadline::Wheel;
use crate::http1::writer::WriteError;
use crate::http2::head;
use crate::http2::stream::Sending;
use crate::http2::stream::Stream;

/// What `:status` counts for: a head without fields is a head too.
const STATUS_BYTES: u64 = 10;

/// The sending end of a stream.
#[derive(Debug)]
pub(crate) struct StreamWriter {
    stream: Rc<Stream>,
    wheel: Wheel,
    written: u64,
    /// The end of the message was sent.
    ended: bool,
    /// What follows the head is no body: its end comes with [`Self::finish`].
    tunnel: bool,
}

impl StreamWriter {
    pub(crate) fn new(stream: Rc<Stream>, wheel: Wheel) -> Self {
        Self {
            stream,
            wheel,
            written: 0,
            ended: false,
            tunnel: false,
        }
    }

    /// The head that comes next opens a tunnel (RFC 8441 §5).
    pub(crate) fn begin_tunnel(&mut self) {
        self.tunnel = true;
    }

    /// Ends what was sent through a tunnel.
    pub(crate) fn finish(&mut self) -> Result<(), WriteError> {
        self.tunnel = false;
        self.end(None)
    }

    /// Bytes that were sent: heads as if they were not compressed, and bodies.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether all of the message was sent.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Sends the head of a response; nothing follows if it `ends` it.
    pub(crate) fn response(
        &mut self,
        status: StatusCode,
        headers: HeaderMap,
        ends: bool,
    ) -> Result<(), WriteError> {
        let size = head::size(&headers);
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        let mut sending = self.stream.sending.borrow_mut();
        let Sending::Response(respond) = &mut *sending else {
            return Err(WriteError::Broken);
        };
        let body = respond.send_response(response, ends).map_err(broken)?;
        *sending = Sending::Body(body);
        self.written += size + STATUS_BYTES;
        self.ended = ends;
        Ok(())
    }

    /// Sends the head of a request; nothing follows if it `ends` it.
    pub(crate) fn request(&mut self, request: Request<()>, ends: bool) -> Result<(), WriteError> {
        let size = head::size(request.headers());
        let mut sending = self.stream.sending.borrow_mut();
        let Sending::Request(reserved) = &mut *sending else {
            return Err(WriteError::Broken);
        };
        match reserved.send(request, ends) {
            Ok((response, body)) => {
                *sending = Sending::Body(body);
                *self.stream.response.borrow_mut() = Some(response);
                self.written += size;
                self.ended = ends;
                if let Some(waiting) = self.stream.waiting.borrow_mut().take() {
                    waiting.wake();
                }
                Ok(())
            }
            Err(err) => {
                // Nothing has left: the connection was told to go away, or is broken.
                self.stream.unprocessed.set(true);
                *sending = Sending::Over;
                if let Some(waiting) = self.stream.waiting.borrow_mut().take() {
                    waiting.wake();
                }
                Err(broken(err))
            }
        }
    }

    /// Sends an interim response.
    pub(crate) fn interim(
        &mut self,
        status: StatusCode,
        headers: HeaderMap,
    ) -> Result<(), WriteError> {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        match &mut *self.stream.sending.borrow_mut() {
            Sending::Response(respond) => respond.send_informational(response).map_err(broken),
            _ => Err(WriteError::Broken),
        }
    }

    /// Whether the peer has room for so many bytes now.
    pub(crate) fn has_room(&mut self, size: usize) -> bool {
        match &mut *self.stream.sending.borrow_mut() {
            Sending::Body(body) => {
                body.reserve_capacity(size);
                body.capacity() >= size
            }
            _ => false,
        }
    }

    /// Sends a piece that the peer has room for; it is the end of the message if `last`.
    pub(crate) fn send_now(&mut self, piece: Bytes, last: bool) -> Result<(), WriteError> {
        let size = piece.len() as u64;
        match &mut *self.stream.sending.borrow_mut() {
            Sending::Body(body) => body.send_data(piece, last).map_err(broken)?,
            _ => return Err(WriteError::Broken),
        }
        self.written += size;
        self.ended = last;
        Ok(())
    }

    /// Sends a piece as the peer has room for it, waiting at most `stall` for some.
    pub(crate) async fn send(
        &mut self,
        mut piece: Bytes,
        last: bool,
        stall: Duration,
    ) -> Result<(), WriteError> {
        while !self.has_room(piece.len()) {
            let stream = &self.stream;
            let room = poll_fn(|cx| match &mut *stream.sending.borrow_mut() {
                Sending::Body(body) => body.poll_capacity(cx),
                _ => std::task::Poll::Ready(None),
            });
            let waited = self.wheel.limit(stall, room).await;
            let room = match waited.map_err(|_| WriteError::Stalled)? {
                Some(Ok(room)) => room.min(piece.len()),
                Some(Err(err)) => return Err(broken(err)),
                None => return Err(WriteError::Broken),
            };
            if room == piece.len() {
                break;
            }
            if room > 0 {
                self.send_now(piece.split_to(room), false)?;
            }
        }
        self.send_now(piece, last)
    }

    /// Ends the message, with trailers if there are some.
    pub(crate) fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), WriteError> {
        if self.ended || self.tunnel {
            return Ok(());
        }
        self.ended = true;
        let allowed = trailers.map(|trailers| {
            let fields = trailers.iter().filter(|(name, _)| may_be_trailer(name));
            let fields = fields.map(|(name, value)| (name.clone(), value.clone()));
            fields.collect::<HeaderMap>()
        });
        match &mut *self.stream.sending.borrow_mut() {
            Sending::Body(body) => match allowed.filter(|allowed| !allowed.is_empty()) {
                Some(trailers) => {
                    self.written += head::size(&trailers);
                    body.send_trailers(trailers).map_err(broken)
                }
                None => body.send_data(Bytes::new(), true).map_err(broken),
            },
            _ => Err(WriteError::Broken),
        }
    }

    /// The stream, to learn that it was reset.
    pub(crate) fn stream(&self) -> &Rc<Stream> {
        &self.stream
    }

    /// Whether the peer has reset the stream, or its connection has ended.
    pub(crate) fn was_reset(&self) -> bool {
        self.stream.is_gone()
    }

    /// Ends the stream before its message is complete: the peer must not take it for whole.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.reset(reason);
    }
}

fn broken(err: h2::Error) -> WriteError {
    tracing::debug!(%err, "a stream takes nothing more");
    WriteError::Broken
}

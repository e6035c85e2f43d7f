//! The receiving end of a stream.
//!
//! Owns flow control towards the peer: what was handed out is made room for when the next frame is
//! asked for, because by then it has gone on. What a filter keeps is bounded where it is kept.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use http::HeaderMap;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;

use crate::deadline::Wheel;
use crate::http1::body::BodyError;
use crate::http1::body::Frame;
use crate::http1::head::ParsedResponse;
use crate::http2::head;
use crate::http2::stream::Stream;

/// Bytes of a body that are read and dropped after an early answer: what may be on its way.
const MOST_UNREAD: u64 = 256 * 1024;

/// The receiving end of a stream.
#[derive(Debug)]
pub(crate) struct StreamReader {
    /// `None` until an origin has answered.
    body: Option<RecvStream>,
    stream: Rc<Stream>,
    wheel: Wheel,
    limits: SizeLimits,
    /// Bytes that were handed out last and not made room for yet.
    handed_out: usize,
    received: u64,
    done: bool,
}

impl StreamReader {
    /// Reads the answer to a request.
    pub(crate) fn of_answer(stream: Rc<Stream>, wheel: Wheel, limits: SizeLimits) -> Self {
        Self {
            body: None,
            stream,
            wheel,
            limits,
            handed_out: 0,
            received: 0,
            done: false,
        }
    }

    /// Reads the body of a client's request.
    pub(crate) fn of_request(
        body: RecvStream,
        stream: Rc<Stream>,
        wheel: Wheel,
        limits: SizeLimits,
    ) -> Self {
        let done = body.is_end_stream();
        Self {
            body: Some(body),
            done,
            ..Self::of_answer(stream, wheel, limits)
        }
    }

    /// Whether the message has no body, or all of it was handed out.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Bytes of the body handed out.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The head of an origin's next response, waiting for it at most `idle`. Cancel-safe.
    pub(crate) async fn response_head(
        &mut self,
        idle: Duration,
    ) -> Result<ParsedResponse, Failure> {
        let wheel = self.wheel.clone();
        let head = poll_fn(|cx| self.poll_head(cx));
        let waited = wheel.limit(idle, head).await;
        waited.map_err(|_| Failure::UpstreamTimeout)?
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<ParsedResponse, Failure>> {
        let mut response = self.stream.response.borrow_mut();
        let Some(coming) = response.as_mut() else {
            if self.stream.is_over() {
                return Poll::Ready(Err(Failure::UpstreamReset));
            }
            *self.stream.waiting.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let failed = |err| Poll::Ready(Err(head::failure_of(&self.stream.note(err))));
        match ready!(coming.poll_informational(cx)) {
            Some(Ok(interim)) => {
                if let Some(heads) = &self.stream.heads {
                    heads.taken();
                }
                let (parts, ()) = interim.into_parts();
                return Poll::Ready(head::take_response(parts, &self.limits));
            }
            Some(Err(err)) => return failed(err),
            None => {}
        }
        match ready!(std::pin::Pin::new(coming).poll(cx)) {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                self.done = body.is_end_stream();
                self.body = Some(body);
                *response = None;
                Poll::Ready(head::take_response(parts, &self.limits))
            }
            Err(err) => failed(err),
        }
    }

    /// The next frame of the body if it is here already.
    pub(crate) fn decode(&mut self) -> Result<Option<Frame>, BodyError> {
        // Whoever waits afterwards asks again, with a waker of its own.
        match self.poll_frame(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(frame) => frame.map(Some),
            Poll::Pending => Ok(None),
        }
    }

    /// The next frame of the body, waiting at most `idle` for it. Cancel-safe.
    pub(crate) async fn frame(&mut self, idle: Duration) -> Result<Frame, BodyError> {
        let wheel = self.wheel.clone();
        let frame = poll_fn(|cx| self.poll_frame(cx));
        let waited = wheel.limit(idle, frame).await;
        waited.map_err(|_| BodyError::TimedOut)?
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Frame, BodyError>> {
        loop {
            let Some(body) = self.body.as_mut().filter(|_| !self.done) else {
                return Poll::Ready(Ok(Frame::End(None)));
            };
            if self.handed_out > 0 {
                // The stream may have been reset meanwhile: then there is nothing to make room for.
                body.flow_control().release_capacity(self.handed_out).ok();
                self.handed_out = 0;
            }
            match ready!(body.poll_data(cx)) {
                Some(Ok(bytes)) => {
                    let last = body.is_end_stream();
                    if let Some(frame) = self.data(bytes, last) {
                        return Poll::Ready(Ok(frame));
                    }
                }
                Some(Err(err)) => return Poll::Ready(Err(self.failed(&err))),
                None => {
                    let trailers = ready!(body.poll_trailers(cx));
                    return Poll::Ready(self.end(trailers));
                }
            }
        }
    }

    /// What to make of a DATA frame; an empty one means nothing unless it is the last.
    fn data(&mut self, bytes: Bytes, last: bool) -> Option<Frame> {
        self.handed_out = bytes.len();
        if last && let Some(body) = self.body.as_mut() {
            // Nobody asks for more: the connection's room is given back now.
            body.flow_control().release_capacity(bytes.len()).ok();
            self.handed_out = 0;
        }
        self.received += bytes.len() as u64;
        self.done = last;
        match (bytes.is_empty(), last) {
            (true, false) => None,
            (true, true) => Some(Frame::End(None)),
            (false, last) => Some(Frame::Data { bytes, last }),
        }
    }

    fn end(&mut self, trailers: Result<Option<HeaderMap>, h2::Error>) -> Result<Frame, BodyError> {
        let trailers = trailers.map_err(|err| self.failed(&err))?;
        self.done = true;
        let trailers = trailers.filter(|trailers| !trailers.is_empty());
        if let Some(trailers) = &trailers
            && !head::fits(trailers, &self.limits)
        {
            return Err(BodyError::Malformed);
        }
        Ok(Frame::End(trailers.map(Box::new)))
    }

    fn failed(&self, err: &h2::Error) -> BodyError {
        tracing::debug!(%err, "a stream broke in the middle of a body");
        // What we found wrong with the frames of this stream: they are not what its head promised.
        if err.is_library() && err.is_reset() {
            BodyError::WrongLength
        } else {
            BodyError::Cut
        }
    }

    /// Reads and drops what is still on its way, for at most `limit`: some clients lose an answer that is
    /// followed by a reset, which is what a body that nobody reads ends with.
    pub(crate) async fn linger(&mut self, limit: Duration) {
        let wheel = self.wheel.clone();
        let most = self.received.saturating_add(MOST_UNREAD);
        let mut drain = poll_fn(|cx| {
            loop {
                match ready!(self.poll_frame(cx)) {
                    Ok(_) if !self.done && self.received < most => {}
                    _ => return Poll::Ready(()),
                }
            }
        });
        // One limit for all of it: a client that keeps sending is cut off.
        wheel.limit(limit, &mut drain).await.ok();
    }

    /// Resolves when the client has reset the stream, or broken it, or its connection has ended.
    /// Cancel-safe.
    pub(crate) async fn gone(&mut self) -> Failure {
        poll_fn(|cx| self.stream.poll_gone(cx)).await;
        // What is left of the body says why, behind the data that came before.
        loop {
            match self.decode() {
                Ok(Some(_)) if !self.done => {}
                Err(BodyError::WrongLength) => return Failure::BadContentLength,
                _ => return Failure::ClientClosed,
            }
        }
    }
}

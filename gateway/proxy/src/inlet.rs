//! Where a message comes from: one view of both versions of HTTP.
//!
//! Owns nothing: it lends a connection or a stream to whoever reads its head and its body.

use std::time::Duration;

use http::HeaderMap;
use http::Method;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;
use tidegate_core::framing;
use tidegate_core::framing::BodyLength;
use tidegate_core::framing::Framing;
use tidegate_core::message::Version;

use crate::http1::body::BodyError;
use crate::http1::body::BodyReader;
use crate::http1::body::Frame;
use crate::http1::head::ParsedResponse;
use crate::http1::reader::ReadEnd;
use crate::http1::reader::Reader;
use crate::http2::reader::StreamReader;

/// Where a message comes from.
#[derive(Debug)]
pub(crate) enum Inlet<'a> {
    /// A connection.
    Http1(&'a mut Reader),
    /// A stream.
    Http2(&'a mut StreamReader),
}

impl Inlet<'_> {
    /// The same, lent on.
    pub(crate) fn lend(&mut self) -> Inlet<'_> {
        match self {
            Self::Http1(reader) => Inlet::Http1(reader),
            Self::Http2(reader) => Inlet::Http2(reader),
        }
    }

    /// The head of an origin's next response, waiting at most `idle` between bytes. Cancel-safe only
    /// before the first byte.
    ///
    /// # Errors
    ///
    /// How the origin failed to answer.
    pub(crate) async fn response_head(
        &mut self,
        limits: &SizeLimits,
        idle: Duration,
    ) -> Result<ParsedResponse, Failure> {
        match self {
            Self::Http1(reader) => reader.response_head(limits, idle).await,
            Self::Http2(reader) => Box::pin(reader.response_head(idle)).await,
        }
    }

    /// What a request's fields say about its body; framing fields are taken off.
    ///
    /// # Errors
    ///
    /// See [`framing::request_framing`] and [`framing::request_stream`].
    pub(crate) fn request_framing(
        &self,
        headers: &mut HeaderMap,
        version: Version,
    ) -> Result<Framing, Failure> {
        match self {
            Self::Http1(_) => framing::request_framing(headers, version),
            Self::Http2(reader) => framing::request_stream(headers, reader.is_done()),
        }
    }

    /// The same of an origin's answer.
    ///
    /// # Errors
    ///
    /// [`Failure::UpstreamProtocol`].
    pub(crate) fn response_framing(
        &self,
        parsed: &mut ParsedResponse,
        method: &Method,
    ) -> Result<Framing, Failure> {
        let (headers, status) = (&mut parsed.headers, parsed.status);
        match self {
            Self::Http1(_) => framing::response_framing(headers, parsed.version, method, status),
            Self::Http2(reader) => {
                framing::response_stream(headers, method, status, reader.is_done())
            }
        }
    }

    /// A head was read: its body follows.
    pub(crate) fn begin_body(&mut self, length: BodyLength, limits: &SizeLimits) {
        match self {
            Self::Http1(reader) => reader.body = BodyReader::new(length, limits),
            // Its frames say where it ends.
            Self::Http2(_) => {}
        }
    }

    /// Whether the last frame was handed out, or there is no body.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Http1(reader) => reader.body.is_done(),
            Self::Http2(reader) => reader.is_done(),
        }
    }

    /// Bytes of the body handed out.
    pub(crate) fn received(&self) -> u64 {
        match self {
            Self::Http1(reader) => reader.body.received(),
            Self::Http2(reader) => reader.received(),
        }
    }

    /// Whether bytes are here that nobody has looked at.
    pub(crate) fn has_bytes(&self) -> bool {
        match self {
            Self::Http1(reader) => !reader.buf.is_empty(),
            Self::Http2(_) => false,
        }
    }

    /// The next frame of the body if it is here already.
    pub(crate) fn decode(&mut self) -> Result<Option<Frame>, BodyError> {
        match self {
            Self::Http1(reader) => reader.decode(),
            Self::Http2(reader) => reader.decode(),
        }
    }

    /// The next frame of the body, waiting at most `idle` for its bytes. Cancel-safe.
    pub(crate) async fn frame(&mut self, idle: Duration) -> Result<Frame, BodyError> {
        match self {
            Self::Http1(reader) => reader.frame(idle).await,
            Self::Http2(reader) => Box::pin(reader.frame(idle)).await,
        }
    }

    /// Whether the rest of the body can be passed on without being read, and is worth it.
    pub(crate) fn flows(&self) -> bool {
        match self {
            Self::Http1(reader) => reader.flows(),
            Self::Http2(_) => false,
        }
    }

    /// Waits at most `idle` until more of a body that [`Self::flows`] is there. Cancel-safe.
    pub(crate) async fn readable(&mut self, idle: Duration) -> Result<(), BodyError> {
        match self {
            Self::Http1(reader) => match reader.readable(idle).await {
                ReadEnd::TimedOut => Err(BodyError::TimedOut),
                // A read says what it is.
                ReadEnd::Data | ReadEnd::Eof | ReadEnd::Broken => Ok(()),
            },
            Self::Http2(_) => Ok(()),
        }
    }

    /// Resolves when the client has gone away, with what that is called; bytes that arrive meanwhile
    /// are kept, up to `keep`. Cancel-safe.
    pub(crate) async fn gone(&mut self, keep: usize) -> Failure {
        match self {
            Self::Http1(reader) => reader.gone(keep).await,
            Self::Http2(reader) => reader.gone().await,
        }
    }
}

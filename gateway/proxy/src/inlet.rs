//! Where a message comes from: one view of both versions of HTTP.
//!
//! Owns nothing: it lends a connection or a stream to whoever reads its head and its body.

use std::time::Duration;

use tidegate_core::defaults::SizeLimits;
use tidegate_core::failure::Failure;
use tidegate_core::framing::BodyLength;

use crate::http1::body::BodyError;
use crate::http1::body::BodyReader;
use crate::http1::body::Frame;
use crate::http1::head::ParsedResponse;
use crate::http1::reader::Gone;
use crate::http1::reader::Reader;

/// Where a message comes from.
#[derive(Debug)]
pub(crate) enum Inlet<'a> {
    /// A connection.
    Http1(&'a mut Reader),
}

impl Inlet<'_> {
    /// The same, lent on.
    pub(crate) fn lend(&mut self) -> Inlet<'_> {
        match self {
            Self::Http1(reader) => Inlet::Http1(reader),
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
        }
    }

    /// A head was read: its body follows.
    pub(crate) fn begin_body(&mut self, length: BodyLength, limits: &SizeLimits) {
        match self {
            Self::Http1(reader) => reader.body = BodyReader::new(length, limits),
        }
    }

    /// Whether the last frame was handed out, or there is no body.
    pub(crate) fn is_done(&self) -> bool {
        match self {
            Self::Http1(reader) => reader.body.is_done(),
        }
    }

    /// Bytes of the body handed out.
    pub(crate) fn received(&self) -> u64 {
        match self {
            Self::Http1(reader) => reader.body.received(),
        }
    }

    /// Whether bytes are here that nobody has looked at.
    pub(crate) fn has_bytes(&self) -> bool {
        match self {
            Self::Http1(reader) => !reader.buf.is_empty(),
        }
    }

    /// The next frame of the body if it is here already.
    pub(crate) fn decode(&mut self) -> Result<Option<Frame>, BodyError> {
        match self {
            Self::Http1(reader) => reader.decode(),
        }
    }

    /// The next frame of the body, waiting at most `idle` for its bytes. Cancel-safe.
    pub(crate) async fn frame(&mut self, idle: Duration) -> Result<Frame, BodyError> {
        match self {
            Self::Http1(reader) => reader.frame(idle).await,
        }
    }

    /// Resolves when the peer has gone away; bytes that arrive meanwhile are kept, up to `keep`.
    /// Cancel-safe.
    pub(crate) async fn gone(&mut self, keep: usize) -> Gone {
        match self {
            Self::Http1(reader) => reader.gone(keep).await,
        }
    }
}

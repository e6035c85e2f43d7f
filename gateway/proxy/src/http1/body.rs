//! Bodies as frames, whatever framed them on the wire.
//!
//! Owns decoding by length, chunks or close. A decoder never reads past the end of its body; what
//! follows stays in the buffer for the next message.

use bytes::Bytes;
use bytes::BytesMut;
use http::HeaderMap;
use tidegate_core::defaults::SizeLimits;
use tidegate_core::framing::BodyLength;

use crate::http1::chunked::Chunk;
use crate::http1::chunked::ChunkDecoder;

/// A piece of a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// Data; nothing follows if `last`.
    Data { bytes: Bytes, last: bool },
    /// The end, with trailers if there were any.
    End(Option<Box<HeaderMap>>),
}

/// Why a body could not be read to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// The bytes are not what the framing promised.
    Malformed,
    /// It is longer or shorter than its `content-length`.
    WrongLength,
    /// The connection ended before the body.
    Cut,
    /// No byte for too long.
    TimedOut,
}

/// Reads one body; there is none by default.
#[derive(Debug, Default)]
pub(crate) struct BodyReader {
    kind: Kind,
    received: u64,
}

#[derive(Debug, Default)]
enum Kind {
    #[default]
    Done,
    Exactly(u64),
    Chunked(Box<ChunkDecoder>),
    UntilClose,
}

impl BodyReader {
    pub(crate) fn new(length: BodyLength, limits: &SizeLimits) -> Self {
        let kind = match length {
            BodyLength::Empty | BodyLength::Exactly(0) => Kind::Done,
            BodyLength::Exactly(bytes) => Kind::Exactly(bytes),
            BodyLength::Chunked => Kind::Chunked(Box::new(ChunkDecoder::new(limits))),
            BodyLength::UntilClose => Kind::UntilClose,
        };
        Self { kind, received: 0 }
    }

    /// Whether the last frame was handed out, or there is no body.
    pub(crate) fn is_done(&self) -> bool {
        matches!(self.kind, Kind::Done)
    }

    /// Bytes of data handed out.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self.kind {
            Kind::Exactly(left) => Some(left),
            Kind::Done => Some(0),
            Kind::Chunked(_) | Kind::UntilClose => None,
        }
    }

    /// So many bytes of those that are [`Self::left`] were passed on and not read.
    pub(crate) fn skip(&mut self, bytes: usize) {
        if let Kind::Exactly(left) = &mut self.kind {
            *left = left.saturating_sub(bytes as u64);
            self.received += bytes as u64;
            if *left == 0 {
                self.kind = Kind::Done;
            }
        }
    }

    /// The next frame if it is in the buffer already.
    pub(crate) fn decode(&mut self, buf: &mut BytesMut) -> Result<Option<Frame>, BodyError> {
        let frame = match &mut self.kind {
            Kind::Done => Frame::End(None),
            _ if buf.is_empty() => return Ok(None),
            Kind::Exactly(left) => {
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buf.len());
                *left -= take as u64;
                Frame::Data {
                    last: *left == 0,
                    bytes: buf.split_to(take).freeze(),
                }
            }
            Kind::UntilClose => Frame::Data {
                last: false,
                bytes: buf.split().freeze(),
            },
            Kind::Chunked(decoder) => {
                match decoder.decode(buf).map_err(|_| BodyError::Malformed)? {
                    Chunk::Partial => return Ok(None),
                    Chunk::Data { bytes, last } => Frame::Data { bytes, last },
                    Chunk::End(trailers) => {
                        Frame::End((!trailers.is_empty()).then(|| Box::new(trailers)))
                    }
                }
            }
        };
        match &frame {
            Frame::Data { bytes, last } => {
                self.received += bytes.len() as u64;
                if *last {
                    self.kind = Kind::Done;
                }
            }
            Frame::End(_) => self.kind = Kind::Done,
        }
        Ok(Some(frame))
    }

    /// Nothing more comes: whether that is the end of the body.
    pub(crate) fn ends_by_close(&mut self) -> bool {
        let ends = matches!(self.kind, Kind::UntilClose);
        if ends {
            self.kind = Kind::Done;
        }
        ends
    }
}

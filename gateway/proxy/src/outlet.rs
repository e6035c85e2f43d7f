//! Where a message goes: one view of both versions of HTTP.
//!
//! Owns nothing: it lends a connection or a stream to whoever writes a message. What frames a body
//! on the wire is written here; that it is as long as announced is checked by the encoder.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;
use tidegate_core::framing::BodyLength;
use tidegate_core::message::RequestHead;

use crate::http1::encode;
use crate::http1::encode::BodyEncoder;
use crate::http1::encode::LengthBroken;
use crate::http1::writer::WriteError;
use crate::http1::writer::Writer;
use crate::http2::head;
use crate::http2::writer::StreamWriter;

/// A body of at most so many bytes is sent with its head on a stream.
const GATHER: usize = 16 * 1024;

/// Where a message goes.
#[derive(Debug)]
pub(crate) enum Outlet<'a> {
    /// A connection.
    Http1(&'a mut Writer),
    /// A stream.
    Http2(&'a mut StreamWriter),
}

/// Why a part of a body was not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The body is longer or shorter than announced.
    Length,
    /// The receiver failed.
    Sink(WriteError),
}

impl From<WriteError> for Unwritten {
    fn from(err: WriteError) -> Self {
        Self::Sink(err)
    }
}

impl From<LengthBroken> for Unwritten {
    fn from(LengthBroken: LengthBroken) -> Self {
        Self::Length
    }
}

impl Outlet<'_> {
    /// The same, lent on.
    pub(crate) fn lend(&mut self) -> Outlet<'_> {
        match self {
            Self::Http1(writer) => Outlet::Http1(writer),
            Self::Http2(writer) => Outlet::Http2(writer),
        }
    }

    /// Bytes that have left since the connection began.
    pub(crate) fn written(&self) -> u64 {
        match self {
            Self::Http1(writer) => writer.written(),
            Self::Http2(writer) => writer.written(),
        }
    }

    /// What was gathered so far and may be forgotten again: see [`Self::forget_after`].
    pub(crate) fn mark(&self) -> usize {
        match self {
            Self::Http1(writer) => writer.out.len(),
            Self::Http2(_) => 0,
        }
    }

    /// Forgets what was gathered after a mark and has not left.
    pub(crate) fn forget_after(&mut self, mark: usize) {
        match self {
            Self::Http1(writer) => writer.forget_after(mark),
            // What was sent on a stream has left.
            Self::Http2(_) => {}
        }
    }

    /// Whether a message whose body has so many bytes is better gathered than written as it comes.
    pub(crate) fn gathers(&self, size: usize) -> bool {
        match self {
            Self::Http1(writer) => writer.gathers(size),
            Self::Http2(_) => size <= GATHER,
        }
    }

    /// Whether so many bytes of a body can be taken at once, without a wait.
    pub(crate) fn takes_now(&mut self, size: usize) -> bool {
        match self {
            // What was gathered until now fits: see [`Self::gathers`].
            Self::Http1(_) => true,
            Self::Http2(writer) => writer.has_room(size),
        }
    }

    /// Takes a piece that [`Self::takes_now`]; it is the end of the message if `last`.
    pub(crate) fn gather(
        &mut self,
        encoder: &mut BodyEncoder,
        piece: &Bytes,
        last: bool,
    ) -> Result<(), Unwritten> {
        match self {
            Self::Http1(writer) => {
                encoder.before(&mut writer.out, piece)?;
                writer.out.extend_from_slice(piece);
                encoder.after(&mut writer.out);
                Ok(())
            }
            Self::Http2(writer) => {
                encoder.count(piece.len())?;
                Ok(writer.send_now(piece.clone(), last)?)
            }
        }
    }

    /// Sends a piece of a body; it is the end of the message if `last`.
    ///
    /// # Errors
    ///
    /// See [`Unwritten`]; the receiver may take nothing for at most `stall`.
    pub(crate) async fn send(
        &mut self,
        encoder: &mut BodyEncoder,
        piece: Bytes,
        last: bool,
        stall: Duration,
    ) -> Result<(), Unwritten> {
        match self {
            Self::Http1(writer) => {
                encoder.before(&mut writer.out, &piece)?;
                writer.send(&piece, stall).await?;
                encoder.after(&mut writer.out);
                Ok(())
            }
            Self::Http2(writer) => {
                encoder.count(piece.len())?;
                Ok(Box::pin(writer.send(piece, last, stall)).await?)
            }
        }
    }

    /// Ends a body, with trailers where the framing has room for them.
    pub(crate) fn end(
        &mut self,
        encoder: &mut BodyEncoder,
        trailers: Option<&HeaderMap>,
    ) -> Result<(), Unwritten> {
        match self {
            Self::Http1(writer) => Ok(encoder.end(&mut writer.out, trailers)?),
            Self::Http2(writer) => {
                encoder.check_end()?;
                Ok(writer.end(trailers)?)
            }
        }
    }

    /// Writes all that was gathered.
    ///
    /// # Errors
    ///
    /// The connection broke, or the peer did not read for `stall`.
    pub(crate) async fn flush(&mut self, stall: Duration) -> Result<(), WriteError> {
        match self {
            Self::Http1(writer) => writer.flush(stall).await,
            // The connection's task does.
            Self::Http2(_) => Ok(()),
        }
    }

    /// Sends an interim response (RFC 9110 §15.2).
    ///
    /// # Errors
    ///
    /// As [`Self::flush`].
    pub(crate) async fn interim(
        &mut self,
        status: StatusCode,
        headers: &HeaderMap,
        stall: Duration,
    ) -> Result<(), WriteError> {
        match self {
            Self::Http1(writer) => {
                encode::interim_response(&mut writer.out, status, headers);
                writer.flush(stall).await
            }
            Self::Http2(writer) => writer.interim(status, head::interim(headers)),
        }
    }

    /// Writes the head of a request to an origin; nothing follows if it `ends` it.
    ///
    /// # Errors
    ///
    /// See [`HeadUnwritten`].
    pub(crate) fn request(
        &mut self,
        head: &RequestHead,
        host: &[u8],
        length: BodyLength,
        wants_trailers: bool,
        ends: bool,
    ) -> Result<(), HeadUnwritten> {
        match self {
            Self::Http1(writer) => {
                encode::request_head(&mut writer.out, head, host, length, wants_trailers);
                Ok(())
            }
            Self::Http2(writer) => {
                let request = head::for_origin(head, host, length, wants_trailers);
                let request = request.ok_or(HeadUnwritten::Invalid)?;
                writer.request(request, ends).map_err(HeadUnwritten::Sink)
            }
        }
    }

    /// Whether a response can still be sent: the peer is there, as far as is known.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Http1(_) => true,
            Self::Http2(writer) => !writer.was_reset(),
        }
    }
}

/// Why a request's head was not written.
#[derive(Debug)]
pub(crate) enum HeadUnwritten {
    /// It cannot be sent in this version of HTTP: a filter wrote it.
    Invalid,
    /// The receiver failed.
    Sink(WriteError),
}

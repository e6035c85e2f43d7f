//! Where a message goes: one view of both versions of HTTP.
//!
//! Owns nothing: it lends a connection or a stream to whoever writes a message. What frames a body
//! on the wire is written here; that it is as long as announced is checked by the encoder.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::StatusCode;

use crate::http1::encode;
use crate::http1::encode::BodyEncoder;
use crate::http1::encode::LengthBroken;
use crate::http1::writer::WriteError;
use crate::http1::writer::Writer;

/// Where a message goes.
#[derive(Debug)]
pub(crate) enum Outlet<'a> {
    /// A connection.
    Http1(&'a mut Writer),
}

/// Why a part of a body was not written.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The body is longer or shorter than announced.
    Length,
    /// The receiver failed.
    Sink(WriteError),
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
        }
    }

    /// Bytes that have left since the connection began.
    pub(crate) fn written(&self) -> u64 {
        match self {
            Self::Http1(writer) => writer.written(),
        }
    }

    /// What was gathered so far and may be forgotten again: see [`Self::forget_after`].
    pub(crate) fn mark(&self) -> usize {
        match self {
            Self::Http1(writer) => writer.out.len(),
        }
    }

    /// Forgets what was gathered after a mark and has not left.
    pub(crate) fn forget_after(&mut self, mark: usize) {
        match self {
            Self::Http1(writer) => writer.forget_after(mark),
        }
    }

    /// Whether a message whose body has so many bytes is better gathered than written as it comes.
    pub(crate) fn gathers(&self, size: usize) -> bool {
        match self {
            Self::Http1(writer) => writer.gathers(size),
        }
    }

    /// Whether so many bytes of a body can be taken at once, without a wait.
    pub(crate) fn takes_now(&mut self, _size: usize) -> bool {
        match self {
            // What was gathered until now fits: see [`Self::gathers`].
            Self::Http1(_) => true,
        }
    }

    /// Takes a piece that [`Self::takes_now`]; it is the end of the message if `last`.
    pub(crate) fn gather(
        &mut self,
        encoder: &mut BodyEncoder,
        piece: &Bytes,
        _last: bool,
    ) -> Result<(), Unwritten> {
        match self {
            Self::Http1(writer) => {
                encoder.before(&mut writer.out, piece)?;
                writer.out.extend_from_slice(piece);
                encoder.after(&mut writer.out);
                Ok(())
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
        _last: bool,
        stall: Duration,
    ) -> Result<(), Unwritten> {
        match self {
            Self::Http1(writer) => {
                encoder.before(&mut writer.out, &piece)?;
                writer.send(&piece, stall).await.map_err(Unwritten::Sink)?;
                encoder.after(&mut writer.out);
                Ok(())
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
        }
    }
}

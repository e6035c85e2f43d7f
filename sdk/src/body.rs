//! Bodies: read as a whole, rewritten as a whole, or rewritten in parts.
//!
//! A body that nobody asked for passes without a copy. Limits are counted in bytes as the host
//! has them, before content encodings are undone, which nobody does.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use serde::de::DeserializeOwned;
use tidegate_sdk_sys::text::{concat, decimal};

use crate::error::{Error, Result};
use crate::headers::HeadersMut;
use crate::runtime::side::{Body, Direction};
use crate::runtime::stream::{Stream, Waiting};

/// What is read at most unless a filter says otherwise.
pub const DEFAULT_LIMIT: usize = 1024 * 1024;

/// A body that is read as a whole.
#[derive(Debug)]
#[must_use = "nothing is read before one of bytes, text or json is awaited"]
pub struct BodyReader<'a> {
    stream: &'a Rc<Stream>,
    direction: Direction,
    limit: usize,
}

impl<'a> BodyReader<'a> {
    pub(crate) const fn new(stream: &'a Rc<Stream>, direction: Direction) -> Self {
        Self {
            stream,
            direction,
            limit: DEFAULT_LIMIT,
        }
    }

    /// Reads at most this many bytes; 1 MiB unless this is called. A request with more is
    /// answered with 413, unless the filter does something else with the error.
    pub const fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// All of it.
    ///
    /// # Errors
    /// If it is larger than the limit, is rewritten by this filter, or the host cannot hand it
    /// out.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        let (size, is_all) = self.collected().await?;
        if !is_all {
            return Err(Error::too_large(self.direction, self.limit));
        }
        self.stream.body_bytes(self.direction, size)
    }

    /// The first bytes of it, as many as the limit says, and whether they are all. The rest is held
    /// with them until the message goes on, as far as the host holds so much.
    ///
    /// # Errors
    /// If it is rewritten by this filter, or the host cannot hand it out.
    pub async fn beginning(self) -> Result<(Vec<u8>, bool)> {
        let (size, is_all) = self.collected().await?;
        let bytes = self.stream.body_bytes(self.direction, size)?;
        Ok((bytes, is_all))
    }

    /// Waits until the limit is passed or the body has ended: how many bytes to read, and whether they
    /// are all.
    async fn collected(&self) -> Result<(usize, bool)> {
        let Self {
            stream,
            direction,
            limit,
        } = self;
        let side = stream.side(*direction);
        if matches!(*side.body.borrow(), Body::Chunks(_) | Body::Whole { .. }) {
            return Err(Error::new("a body that is rewritten cannot be read"));
        }
        let waiting = match direction {
            Direction::Request => "the body of the request",
            Direction::Response => "the body of the response",
        };
        poll_fn(|cx| {
            let size = side.body_size.get();
            if size > *limit {
                return Poll::Ready(Ok((*limit, false)));
            }
            if side.ended.get() {
                return Poll::Ready(Ok((size, true)));
            }
            stream.waits_for(Waiting::For(waiting));
            *side.body.borrow_mut() = Body::Collect;
            stream.wait(side, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// All of it, as text.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), or if it is no UTF-8.
    pub async fn text(self) -> Result<String> {
        String::from_utf8(self.bytes().await?).map_err(|_| Error::new("a body that is no UTF-8"))
    }

    /// All of it, as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), or if it is not the JSON that is asked for.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }

    /// Puts `body` in the place of what has been read.
    ///
    /// # Errors
    /// If it was not read before, or the host refuses it.
    pub fn replace(self, body: &[u8]) -> Result<()> {
        let side = self.stream.side(self.direction);
        if !side.ended.get() {
            return Err(Error::new("a body is read before it is replaced"));
        }
        if side.released.get() && body.len() != side.body_size.get() {
            return Err(Error::new(
                "the length of a body is that of its headers, which have gone on",
            ));
        }
        if !side.released.get() {
            let length = decimal(body.len() as u64);
            HeadersMut::new(self.stream, self.direction.headers()).set("content-length", length)?;
        }
        self.stream
            .replace_body(self.direction, side.body_size.get(), body)?;
        side.body_size.set(body.len());
        Ok(())
    }
}

/// What is left of a request whose headers have gone on; see
/// [`Next::pass_headers`](crate::next::Next::pass_headers).
#[derive(Debug)]
pub struct RequestBody {
    pub(crate) stream: Rc<Stream>,
}

impl RequestBody {
    pub(crate) const fn new(stream: Rc<Stream>) -> Self {
        Self { stream }
    }

    /// Reads it.
    pub fn body(&mut self) -> BodyReader<'_> {
        BodyReader::new(&self.stream, Direction::Request)
    }
}

/// Makes `body` what happens to a body, and takes its length off the headers.
pub(crate) fn install(stream: &Rc<Stream>, direction: Direction, body: Body) -> Result<()> {
    let side = stream.side(direction);
    if !matches!(*side.body.borrow(), Body::Pass) || side.released.get() {
        return Err(Error::new(concat(&[
            "the body of this ",
            direction.word(),
            " is read or rewritten already",
        ])));
    }
    if side.ended.get() {
        // There is none; the length may be that of the answer to a GET (RFC 9110, 9.3.2).
        return Ok(());
    }
    HeadersMut::new(stream, direction.headers()).remove("content-length");
    *side.body.borrow_mut() = body;
    Ok(())
}

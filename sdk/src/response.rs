//! The response: the backend's, as `next` gave it, or one of the filter's own.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tidegate_sdk_sys::text::decimal;
use tidegate_sdk_sys::{Host as _, LogLevel, Status, host};

use crate::body::{BodyReader, install};
use crate::error::{Error, Result};
use crate::headers::{HeaderList, Headers, HeadersMut};
use crate::log::log_line;
use crate::parts::BodyParts;
use crate::runtime::side::{Body, Direction};
use crate::runtime::stream::Stream;
use crate::sse::{Event, EventRewriter};

/// A response.
#[derive(Debug)]
pub struct Response {
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// It comes from the rest of the chain and is held.
    Backend(Rc<Stream>),
    /// We make it.
    Local(LocalResponse),
}

/// A response of our own, on its way to the host.
#[derive(Debug, Clone, Default)]
pub(crate) struct LocalResponse {
    pub(crate) status: u16,
    pub(crate) headers: HeaderList,
    pub(crate) body: Cow<'static, [u8]>,
    /// Its body, if it has one, is plain text, unless its headers say another type.
    pub(crate) is_plain: bool,
    /// For the host's log.
    pub(crate) details: Option<Cow<'static, str>>,
    pub(crate) grpc_status: Option<u32>,
}

impl LocalResponse {
    /// Final statuses are 200 to 599 (RFC 9110, 15); what is none becomes 500.
    pub(crate) fn new(status: u16) -> Self {
        let is_final = (200..600).contains(&status);
        if !is_final {
            let status = decimal(status.into());
            log_line(LogLevel::Error, &["not a status of a response: ", &status]);
        }
        Self {
            status: if is_final { status } else { 500 },
            ..Self::default()
        }
    }

    /// Adds a header; one that is wrong is said in the log.
    pub(crate) fn add_header(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("content-type") {
            self.headers.remove(name);
            self.is_plain = false;
        }
        if let Err(error) = self.headers.add(name, value.as_bytes()) {
            log_line(
                LogLevel::Error,
                &["left out of a response: ", &error.text()],
            );
        }
    }

    pub(crate) fn set_json(&mut self, body: &impl Serialize) {
        match serde_json::to_vec(body) {
            Ok(bytes) => {
                self.body = bytes.into();
                self.add_header("content-type", "application/json");
            }
            Err(error) => {
                log_line(
                    LogLevel::Error,
                    &["cannot write JSON: ", &error.to_string()],
                );
            }
        }
    }

    pub(crate) fn send(&self) -> std::result::Result<(), Status> {
        let mut headers = self.headers.borrowed();
        if self.is_plain && !self.body.is_empty() {
            headers.insert(0, (b"content-type", b"text/plain"));
        }
        host().send_local_response(
            u32::from(self.status),
            self.details
                .as_deref()
                .unwrap_or("filter_response")
                .as_bytes(),
            &headers,
            &self.body,
            self.grpc_status,
        )
    }
}

impl Response {
    /// A response of the filter's own with this status, without a body. A status that is not
    /// final (200 to 599) becomes 500.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            kind: Kind::Local(LocalResponse::new(status)),
        }
    }

    /// A response of the filter's own with a body of JSON.
    #[must_use]
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        let mut response = LocalResponse::new(status);
        response.set_json(body);
        Self {
            kind: Kind::Local(response),
        }
    }

    /// A response of the filter's own with a body of text.
    #[must_use]
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let mut response = LocalResponse::new(status);
        response.body = body.into().into_bytes().into();
        response.add_header("content-type", "text/plain; charset=utf-8");
        Self {
            kind: Kind::Local(response),
        }
    }

    pub(crate) const fn of_backend(stream: Rc<Stream>) -> Self {
        Self {
            kind: Kind::Backend(stream),
        }
    }

    /// The same response with one more header. One that HTTP does not allow is left out and the
    /// log says so.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        match &mut self.kind {
            Kind::Local(response) => response.add_header(name, value),
            Kind::Backend(_) => {
                if let Err(error) = self.headers_mut().append(name, value) {
                    log_line(
                        LogLevel::Error,
                        &["left out of a response: ", &error.text()],
                    );
                }
            }
        }
        self
    }

    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        match &self.kind {
            Kind::Local(response) => response.status,
            Kind::Backend(_) => self
                .header(":status")
                .and_then(|it| it.parse().ok())
                .unwrap_or(0),
        }
    }

    /// Sets the status.
    ///
    /// # Errors
    /// If the host refuses it.
    pub fn set_status(&mut self, status: u16) -> Result<()> {
        match &mut self.kind {
            Kind::Local(response) => {
                response.status = LocalResponse::new(status).status;
                Ok(())
            }
            Kind::Backend(stream) => {
                backend_headers_mut(stream).set(":status", decimal(status.into()))
            }
        }
    }

    /// The first value of a header; see [`Headers::get`].
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        match &self.kind {
            Kind::Local(response) => response.headers.get(name),
            Kind::Backend(stream) => Headers::new(stream, Direction::Response.headers()).get(name),
        }
    }

    /// Every header with its value, in order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        match &self.kind {
            Kind::Local(response) => response.headers.all(),
            Kind::Backend(stream) => Headers::new(stream, Direction::Response.headers()).all(),
        }
    }

    /// The headers, to edit.
    #[must_use]
    pub fn headers_mut(&mut self) -> ResponseHeaders<'_> {
        ResponseHeaders(self)
    }

    /// Reads the body before the response goes on; without this, it is never held. A response of
    /// the filter's own is read at once.
    ///
    /// As for requests, this needs `needs(stop_iteration)`; [`map_body`](Self::map_body) does not.
    pub fn body(&mut self) -> ResponseBody<'_> {
        match &self.kind {
            Kind::Backend(stream) => {
                ResponseBody::Backend(BodyReader::new(stream, Direction::Response))
            }
            Kind::Local(response) => ResponseBody::Local(&response.body),
        }
    }

    /// Lets the headers go on, and each part of the body when it is told to; without this, nothing
    /// is ever held. The filter's function goes on beside, and returns the response in the end.
    ///
    /// # Errors
    /// If the body is read or rewritten by this filter, or the response is one of the filter's own.
    pub fn parts(&mut self) -> Result<BodyParts> {
        match &self.kind {
            Kind::Backend(stream) => BodyParts::of(stream, Direction::Response),
            Kind::Local(_) => Err(Error::new(
                "a response of the filter's own goes out as it is",
            )),
        }
    }

    /// Rewrites the body in parts, as they come; see
    /// [`Request::map_chunks`](crate::request::Request::map_chunks).
    ///
    /// # Errors
    /// As there. For a response of the filter's own, what `rewrite` says.
    pub fn map_chunks(
        &mut self,
        mut rewrite: impl FnMut(Vec<u8>, bool) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Backend(stream) => {
                install(stream, Direction::Response, Body::Chunks(Box::new(rewrite)))
            }
            Kind::Local(response) => {
                let body = std::mem::take(&mut response.body);
                response.body = rewrite(body.into_owned(), true)?.into();
                Ok(())
            }
        }
    }

    /// Rewrites the body once all of it is there, in at most `limit` bytes. The headers go on
    /// before; a body that is larger cuts the response.
    ///
    /// # Errors
    /// As [`map_chunks`](Self::map_chunks).
    pub fn map_body(
        &mut self,
        limit: usize,
        rewrite: impl FnOnce(Vec<u8>) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        match &mut self.kind {
            Kind::Backend(stream) => {
                let rewrite = Some(Box::new(rewrite) as _);
                install(stream, Direction::Response, Body::Whole { limit, rewrite })
            }
            Kind::Local(response) => {
                let body = std::mem::take(&mut response.body);
                response.body = rewrite(body.into_owned())?.into();
                Ok(())
            }
        }
    }

    /// Rewrites server-sent events one by one; `None` drops one. See [`crate::sse`].
    ///
    /// # Errors
    /// As [`map_chunks`](Self::map_chunks).
    pub fn map_events(
        &mut self,
        rewrite: impl FnMut(Event) -> Option<Event> + 'static,
    ) -> Result<()> {
        let mut events = EventRewriter::new(rewrite);
        self.map_chunks(move |part, end| events.push(&part, end))
    }

    /// Looks at the trailers when they come, if any do. A response of the filter's own has none.
    pub fn map_trailers(&mut self, look: impl FnOnce(&mut HeadersMut<'_>) -> Result<()> + 'static) {
        if let Kind::Backend(stream) = &self.kind {
            *stream.response.trailers.borrow_mut() = Some(Box::new(look));
        }
    }
}

fn backend_headers_mut(stream: &Stream) -> HeadersMut<'_> {
    HeadersMut::new(stream, Direction::Response.headers())
}

/// The headers of a response, to edit.
#[derive(Debug)]
pub struct ResponseHeaders<'a>(&'a mut Response);

impl ResponseHeaders<'_> {
    /// Sets a header to one value; see [`HeadersMut::set`].
    ///
    /// # Errors
    /// As there.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        match &mut self.0.kind {
            Kind::Backend(stream) => backend_headers_mut(stream).set(name, value),
            Kind::Local(response) => {
                response.headers.remove(name);
                response.headers.add(name, value.as_ref())
            }
        }
    }

    /// Adds a value; see [`HeadersMut::append`].
    ///
    /// # Errors
    /// As there.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        match &mut self.0.kind {
            Kind::Backend(stream) => backend_headers_mut(stream).append(name, value),
            Kind::Local(response) => response.headers.add(name, value.as_ref()),
        }
    }

    /// Removes a header with all its values, if it is there.
    pub fn remove(&mut self, name: &str) {
        match &mut self.0.kind {
            Kind::Backend(stream) => backend_headers_mut(stream).remove(name),
            Kind::Local(response) => response.headers.remove(name),
        }
    }
}

/// A response's body, to read.
#[must_use]
pub enum ResponseBody<'a> {
    /// It comes.
    #[doc(hidden)]
    Backend(BodyReader<'a>),
    /// It is there.
    #[doc(hidden)]
    Local(&'a [u8]),
}

impl fmt::Debug for ResponseBody<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl ResponseBody<'_> {
    /// Reads at most this many bytes; see [`BodyReader::limit`].
    pub fn limit(self, bytes: usize) -> Self {
        match self {
            Self::Backend(reader) => Self::Backend(reader.limit(bytes)),
            local @ Self::Local(_) => local,
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// If it is larger than the limit, or the host cannot hand it out.
    pub async fn bytes(self) -> Result<Vec<u8>> {
        match self {
            Self::Backend(reader) => reader.bytes().await,
            Self::Local(bytes) => Ok(bytes.to_vec()),
        }
    }

    /// All of it, as JSON.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes), or if it is not the JSON that is asked for.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T> {
        Ok(serde_json::from_slice(&self.bytes().await?)?)
    }
}

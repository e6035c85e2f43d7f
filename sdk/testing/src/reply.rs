//! What a backend of a test answers, and what it got.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::fields::{Fields, text};

/// What a backend answers.
#[derive(Debug, Clone)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<Vec<u8>>,
    pub(crate) trailers: Fields,
    pub(crate) whole: bool,
    pub(crate) after: Duration,
    pub(crate) course: Course,
}

/// How an answer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    /// It arrives.
    Whole,
    /// The connection ends after the chunks.
    Cut,
    /// The connection ends instead of an answer.
    Reset,
    /// There is none, for ever.
    Never,
}

impl Reply {
    /// A status without a body.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status,
            headers: Fields::default(),
            body: Vec::new(),
            trailers: Fields::default(),
            whole: true,
            after: Duration::ZERO,
            course: Course::Whole,
        }
    }

    /// A body of text.
    #[must_use]
    pub fn text(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::status(status)
            .header("content-type", "text/plain; charset=utf-8")
            .body(body)
    }

    /// A body of JSON.
    #[must_use]
    pub fn json(status: u16, body: &impl Serialize) -> Self {
        Self::status(status)
            .header("content-type", "application/json")
            .body(crate::json_bytes(body))
    }

    /// Server-sent events: the texts go out one by one, as they are written here.
    #[must_use]
    pub fn events<C: AsRef<[u8]>>(chunks: impl IntoIterator<Item = C>) -> Self {
        Self::status(200)
            .header("content-type", "text/event-stream")
            .chunks(chunks)
    }

    /// The backend ends the connection without an answer.
    #[must_use]
    pub fn reset() -> Self {
        Self {
            course: Course::Reset,
            ..Self::status(500)
        }
    }

    /// The backend never answers: only a time-out ends the call.
    #[must_use]
    pub fn never() -> Self {
        Self {
            course: Course::Never,
            ..Self::status(500)
        }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.add(name, value.as_ref());
        self
    }

    /// Sets the body, which goes out whole with its length.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = vec![body.as_ref().to_vec()];
        self.whole = true;
        self
    }

    /// Sets the body as chunks, which go out one by one without a length.
    #[must_use]
    pub fn chunks<C: AsRef<[u8]>>(mut self, chunks: impl IntoIterator<Item = C>) -> Self {
        let chunks = chunks.into_iter().map(|it| it.as_ref().to_vec());
        self.body = chunks.collect();
        self.whole = false;
        self
    }

    /// Adds a trailer; the body goes out without a length then.
    #[must_use]
    pub fn trailer(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.trailers.add(name, value.as_ref());
        self.whole = false;
        self
    }

    /// Answers only after this time.
    #[must_use]
    pub const fn after(mut self, delay: Duration) -> Self {
        self.after = delay;
        self
    }

    /// Ends the connection after the chunks of the body: the answer is never whole.
    #[must_use]
    pub const fn cut(mut self) -> Self {
        self.course = Course::Cut;
        self.whole = false;
        self
    }

    pub(crate) fn ends_with_headers(&self, method: &str) -> bool {
        let no_body = method == "HEAD" || matches!(self.status, 204 | 304);
        let empty = self.trailers.is_empty() && self.body.iter().all(Vec::is_empty);
        no_body || (empty && self.course == Course::Whole)
    }

    /// The headers with the length of the body, if it is announced.
    pub(crate) fn framed_headers(&self) -> Fields {
        let mut headers = self.headers.clone();
        let bodiless = matches!(self.status, 204 | 304);
        if self.whole && !bodiless && !headers.has("content-length") {
            let length: usize = self.body.iter().map(Vec::len).sum();
            headers.add("content-length", length.to_string());
        }
        headers
    }
}

/// A request as a backend got it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) host: String,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) ended: bool,
}

impl Received {
    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path with the query.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The host that was asked for.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The headers, without pseudo-headers.
    #[must_use]
    pub const fn headers(&self) -> &Fields {
        &self.headers
    }

    /// The first value of a trailer.
    #[must_use]
    pub fn trailer(&self, name: &str) -> Option<String> {
        self.trailers.get(name)
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        text(&self.body)
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// If it is not the JSON that is asked for.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        crate::json_of("a request's body", &self.body)
    }

    /// Whether the request came to its end; false if it was cut.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.ended
    }
}

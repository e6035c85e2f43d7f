//! What a client got.

use serde::de::DeserializeOwned;

use crate::fail;
use crate::fields::{Fields, text};

/// An answer as the client of a test got it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub(crate) status: Option<u16>,
    pub(crate) headers: Fields,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Fields,
    pub(crate) end: End,
}

/// How far an answer is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// More is to come.
    #[default]
    Pending,
    /// All of it is there.
    Whole,
    /// The connection ended before it was whole.
    Cut,
}

impl Answer {
    /// The status.
    ///
    /// # Panics
    /// If the connection was closed without an answer.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> u16 {
        match self.status {
            Some(status) => status,
            None => fail("there is no answer: the connection was closed before one began"),
        }
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

    /// What came of the body.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// What came of the body, as text.
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
        crate::json_of("an answer's body", &self.body)
    }

    /// Whether the connection ended before the answer was whole, or before it began.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.end == End::Cut
    }

    /// Whether the answer has begun.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.status.is_some()
    }
}

//! What a filter returns when it does not return a response.
//!
//! A [`Deny`] is a decision: the client sees it. Every other [`Error`] is a fault: the client
//! gets a plain 500 and the log the reason. Nothing here panics, and no status of the host does.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use serde::Serialize;
use tidegate_sdk_sys::text::{concat, decimal};
use tidegate_sdk_sys::{LogLevel, Status};

use crate::response::LocalResponse;
use crate::runtime::side::Direction;

/// What the functions of a filter give.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a filter has no response: it denies, or something failed.
#[derive(Debug, Clone)]
pub struct Error(Rc<Reason>);

#[derive(Debug)]
enum Reason {
    Deny(Deny),
    TooLarge { of_request: bool, limit: usize },
    Host { what: &'static str, status: Status },
    Call { backend: Box<str>, why: CallFailure },
    Message(Box<str>),
    Context { what: Box<str>, error: Error },
    Status { status: u16, error: Error },
}

/// Why a call to a backend has no response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFailure {
    /// There is no such backend, or the plugin may not call it.
    Unknown,
    /// No answer within the call's timeout.
    Timeout,
    /// The connection failed, was reset, or nothing listened.
    Unreachable,
    /// The answer's status is not the one that was asked for.
    Status(u16),
    /// The host could not make the call.
    Refused(Status),
    /// The host does not make calls of this kind.
    Unsupported,
}

impl CallFailure {
    fn text(self) -> String {
        String::from(match self {
            Self::Unknown => "the host knows no such backend, or the plugin may not call it",
            Self::Timeout => "no answer within the call's timeout",
            Self::Unreachable => "no answer: the call failed",
            Self::Status(status) => {
                return concat(&["it answered with status ", &decimal(status.into())]);
            }
            Self::Unsupported => "the host does not make calls of this kind",
            Self::Refused(status) => {
                return concat(&["the host refused the call (", &status.text(), ")"]);
            }
        })
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Error {
    /// A fault with a message for the log. The client gets a 500 that does not tell it.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Reason::Message(message.into().into_boxed_str()))
    }

    /// Why the call failed that this error is about, if it is about one.
    #[must_use]
    pub fn call_failure(&self) -> Option<CallFailure> {
        match &*self.0 {
            Reason::Call { why, .. } => Some(*why),
            Reason::Context { error, .. } | Reason::Status { error, .. } => error.call_failure(),
            Reason::Deny(_)
            | Reason::TooLarge { .. }
            | Reason::Host { .. }
            | Reason::Message(_) => None,
        }
    }

    /// The refusal that this is, if it is one.
    #[must_use]
    pub fn deny(&self) -> Option<&Deny> {
        match &*self.0 {
            Reason::Deny(deny) => Some(deny),
            Reason::Context { error, .. } | Reason::Status { error, .. } => error.deny(),
            Reason::TooLarge { .. }
            | Reason::Host { .. }
            | Reason::Call { .. }
            | Reason::Message(_) => None,
        }
    }

    /// The status that the host answered with, if this is about a host call.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match &*self.0 {
            Reason::Host { status, .. } => Some(*status),
            Reason::Context { error, .. } | Reason::Status { error, .. } => error.status(),
            Reason::Deny(_)
            | Reason::TooLarge { .. }
            | Reason::Call { .. }
            | Reason::Message(_) => None,
        }
    }

    /// Says what was being done: `while reading keys: …`.
    #[must_use]
    pub fn context(self, what: impl Into<String>) -> Self {
        Self::of(Reason::Context {
            what: what.into().into_boxed_str(),
            error: self,
        })
    }

    /// Makes the client get this status instead of 500; the log still says why. A refusal stays
    /// what it is.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self::of(Reason::Status {
            status,
            error: self,
        })
    }

    pub(crate) fn host(what: &'static str, status: Status) -> Self {
        Self::of(Reason::Host { what, status })
    }

    pub(crate) fn call(backend: &str, why: CallFailure) -> Self {
        Self::of(Reason::Call {
            backend: backend.into(),
            why,
        })
    }

    pub(crate) fn too_large(direction: Direction, limit: usize) -> Self {
        Self::of(Reason::TooLarge {
            of_request: direction == Direction::Request,
            limit,
        })
    }

    pub(crate) fn refused(why: &str) -> Self {
        Self::new(concat(&["setup refused: ", why]))
    }

    /// What it says.
    pub(crate) fn text(&self) -> String {
        match &*self.0 {
            Reason::Deny(deny) => {
                concat(&["denied with status ", &decimal(deny.response.status.into())])
            }
            Reason::TooLarge { of_request, limit } => concat(&[
                "the body of the ",
                if *of_request { "request" } else { "response" },
                " is larger than ",
                &decimal(*limit as u64),
                " bytes",
            ]),
            Reason::Host { what, status } => concat(&["cannot ", what, ": ", &status.text()]),
            Reason::Call { backend, why } => {
                concat(&["call to backend ", backend, ": ", &why.text()])
            }
            Reason::Message(message) => String::from(&**message),
            Reason::Context { what, error } => concat(&[what, ": ", &error.text()]),
            Reason::Status { error, .. } => error.text(),
        }
    }

    fn of(reason: Reason) -> Self {
        Self(Rc::new(reason))
    }

    /// What the client gets, and what the log says at which level, if anything.
    pub(crate) fn into_response(self) -> (Option<(LogLevel, String)>, LocalResponse) {
        // Nobody else has most refusals: they need not be copied.
        let error = match Rc::try_unwrap(self.0) {
            Ok(Reason::Deny(deny)) => return (None, deny.response),
            Ok(reason) => Self::of(reason),
            Err(shared) => Self(shared),
        };
        let (level, response) = error.response();
        (level.map(|level| (level, error.text())), response)
    }

    /// What the client gets, and at which level the log says why, if at all.
    fn response(&self) -> (Option<LogLevel>, LocalResponse) {
        match &*self.0 {
            Reason::Deny(deny) => (None, deny.response.clone()),
            Reason::TooLarge {
                of_request: true, ..
            } => {
                let deny = Deny::status(413).because("request_body_too_large");
                (Some(LogLevel::Info), deny.response)
            }
            Reason::Context { error, .. } | Reason::Status { error, .. }
                if error.deny().is_some() =>
            {
                error.response()
            }
            Reason::Status { status, .. } => {
                let deny = Deny::status(*status).because("filter_error");
                (Some(LogLevel::Error), deny.response)
            }
            Reason::TooLarge { .. }
            | Reason::Host { .. }
            | Reason::Call { .. }
            | Reason::Message(_)
            | Reason::Context { .. } => {
                let deny = Deny::status(500).because("filter_error");
                (Some(LogLevel::Error), deny.response)
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl std::error::Error for Error {}

impl From<Deny> for Error {
    fn from(deny: Deny) -> Self {
        Self::of(Reason::Deny(deny))
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// A refusal: the response that a client gets instead of what it asked for.
///
/// It is an error, so that `?` ends the filter with it.
///
/// ```
/// # use tidegate_sdk::prelude::*;
/// # fn check(req: &Request) -> Result<()> {
/// let key = req.header("x-key").or_deny(Deny::unauthorized("Key"))?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a refusal refuses when it is returned"]
pub struct Deny {
    response: LocalResponse,
}

impl Deny {
    /// Refuses with `status` and its reason as the body. A status outside of 200 to 599 is 500.
    pub fn status(status: u16) -> Self {
        let mut response = LocalResponse::new(status);
        let reason = reason_phrase(response.status);
        response.body = Cow::Borrowed(reason.as_bytes());
        response.is_plain = !reason.is_empty();
        response.details = Some(Cow::Borrowed("denied"));
        Self { response }
    }

    /// 401 with `WWW-Authenticate: scheme` (RFC 9110, 11.6.1).
    pub fn unauthorized(scheme: &str) -> Self {
        Self::status(401).header("www-authenticate", scheme)
    }

    /// 403.
    pub fn forbidden() -> Self {
        Self::status(403)
    }

    /// 400.
    pub fn bad_request() -> Self {
        Self::status(400)
    }

    /// 429 with `Retry-After` in whole seconds, rounded up (RFC 6585, 4).
    pub fn too_many_requests(retry_after: std::time::Duration) -> Self {
        let seconds = retry_after.as_secs() + u64::from(retry_after.subsec_nanos() > 0);
        Self::status(429).header("retry-after", &decimal(seconds))
    }

    /// Adds a header. One that HTTP does not allow is left out and the log says so.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.response.add_header(name, value);
        self
    }

    /// Sets a text body; its content type is `text/plain` unless a header says more.
    pub fn text(mut self, body: impl Into<String>) -> Self {
        self.response.body = body.into().into_bytes().into();
        self.response.is_plain = self.response.headers.get("content-type").is_none();
        self
    }

    /// Sets a body of bytes, whose content type a header says.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.response.body = Cow::Owned(body.into());
        self.response.is_plain = false;
        self
    }

    /// Sets a body of JSON with its content type.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        self.response.set_json(body);
        self
    }

    /// Sets why, for the host's log and metrics: one word with underscores, or a phrase that operators
    /// look for. Clients do not see it.
    pub fn because(mut self, reason: impl Into<Cow<'static, str>>) -> Self {
        self.response.details = Some(reason.into());
        self
    }

    /// Sets the status that a gRPC client gets; without it the host derives one.
    pub fn grpc_status(mut self, status: u32) -> Self {
        self.response.grpc_status = Some(status);
        self
    }
}

/// Makes a refusal of what is not there.
pub trait OrDeny<T> {
    /// The value, or `deny` as an error if there is none.
    ///
    /// # Errors
    /// `deny`, for `None`, `Err` and `false`.
    fn or_deny(self, deny: Deny) -> Result<T>;
}

impl<T> OrDeny<T> for Option<T> {
    fn or_deny(self, deny: Deny) -> Result<T> {
        self.ok_or_else(|| deny.into())
    }
}

impl<T, E> OrDeny<T> for std::result::Result<T, E> {
    fn or_deny(self, deny: Deny) -> Result<T> {
        self.map_err(|_| deny.into())
    }
}

impl OrDeny<()> for bool {
    fn or_deny(self, deny: Deny) -> Result<()> {
        if self { Ok(()) } else { Err(deny.into()) }
    }
}

/// The reason of a status (RFC 9110, 15), with a newline; nothing for those that filters seldom use.
fn reason_phrase(status: u16) -> &'static str {
    match status {
        400 => "Bad Request\n",
        401 => "Unauthorized\n",
        403 => "Forbidden\n",
        404 => "Not Found\n",
        413 => "Content Too Large\n",
        429 => "Too Many Requests\n",
        500 => "Internal Server Error\n",
        503 => "Service Unavailable\n",
        _ => "",
    }
}

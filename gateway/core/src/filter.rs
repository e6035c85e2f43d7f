//! What a rule does to requests and responses, beside sending them on.
//!
//! Owns the closed list of filters and what each does, as pure functions on heads. When they run is
//! the exchange's in the proxy; plugins run there too.

use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;

use crate::backend::BackendId;
use crate::snapshot::PluginId;

/// One filter of a rule (Gateway API: `HTTPRouteFilter`).
#[derive(Debug, Clone)]
pub enum Filter {
    /// A plugin decides.
    Plugin(PluginId),
    /// Edits the request's header fields.
    RequestHeaders(HeaderEdits),
    /// Edits the response's header fields.
    ResponseHeaders(HeaderEdits),
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Changes host or path of what is sent to the backend. Applied after all other filters.
    Rewrite(Rewrite),
    /// Sends a copy elsewhere and ignores the answer.
    Mirror(Mirror),
    /// Answers preflights, and lets browsers of other origins read responses.
    Cors(Cors),
}

/// Edits of header fields: set, then add, then remove (Gateway API: `HTTPHeaderFilter`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdits {
    /// Replaces all lines of a field.
    pub set: Vec<(HeaderName, HeaderValue)>,
    /// Adds a line.
    pub add: Vec<(HeaderName, HeaderValue)>,
    /// Removes all lines of a field.
    pub remove: Vec<HeaderName>,
}

/// A redirect; what it does not name stays as the request has it (Gateway API:
/// `HTTPRequestRedirectFilter`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redirect {
    /// `http` or `https`.
    pub scheme: Option<Box<str>>,
    /// Another host.
    pub host: Option<Box<str>>,
    /// Another port.
    pub port: Option<u16>,
    /// Another path.
    pub path: Option<PathEdit>,
    /// 301, 302, 303, 307 or 308.
    pub status: StatusCode,
}

/// Another host or path for the backend (Gateway API: `HTTPURLRewriteFilter`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rewrite {
    /// Another authority.
    pub host: Option<HeaderValue>,
    /// Another path.
    pub path: Option<PathEdit>,
}

/// Another path; the query stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    /// Instead of the whole path.
    Full(Box<str>),
    /// Instead of the prefix that matched.
    Prefix(Box<str>),
}

/// Where copies of requests go (Gateway API: `HTTPRequestMirrorFilter`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mirror {
    /// To which backend; `None` goes nowhere: the reference is dangling.
    pub backend: Option<BackendId>,
    /// How many of [`Mirror::of`] requests are copied.
    pub share: u32,
    /// See [`Mirror::share`]; at least 1.
    pub of: u32,
}

/// Cross-origin resource sharing (Gateway API: `HTTPCORSFilter`; the protocol is the Fetch
/// standard's).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cors {
    /// Origins that may read responses: `*`, `https://a.test`, `https://*.a.test`.
    pub allow_origins: Vec<Box<str>>,
    /// Whether requests may carry credentials.
    pub allow_credentials: bool,
    /// Methods beside the simple ones; `*` is all.
    pub allow_methods: Vec<Box<str>>,
    /// Request fields beside the simple ones; `*` is all.
    pub allow_headers: Vec<Box<str>>,
    /// Response fields that scripts may read; `*` is all.
    pub expose_headers: Vec<Box<str>>,
    /// How many seconds a preflight may be remembered.
    pub max_age: u32,
}

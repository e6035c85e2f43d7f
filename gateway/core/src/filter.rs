//! What a rule does to requests and responses, beside sending them on.
//!
//! Owns the closed list of filters; what each does is in the module of its name, as pure functions
//! on heads. When they run is the exchange's in the proxy; plugins run there too.

use http::HeaderName;
use http::HeaderValue;
use http::StatusCode;

use crate::backend::BackendId;
use crate::snapshot::PluginId;

mod cors;
mod header_edits;
mod path_edit;
mod redirect;

pub use header_edits::is_protected;

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

/// Edits of header fields: set, then add, then remove (Gateway API: `HTTPHeaderFilter`). Fields
/// that are [protected](is_protected) stay as they are.
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

/// Another path; the query stays. A text that no path may hold ([`crate::path::normalise`] says
/// so) changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathEdit {
    /// Instead of the whole path.
    Full(Box<str>),
    /// Instead of the prefix that matched; without a match by prefix nothing changes.
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

impl Mirror {
    /// Whether an exchange is copied.
    ///
    /// `draw` is the exchange's 64 random bits; the lower half decides here (see
    /// [`crate::route::Rule::pick`]). Mirrors of one rule see the same draw: what one with a small
    /// share copies, one with a larger share copies too.
    pub fn takes(&self, draw: u64) -> bool {
        let lower = draw & u64::from(u32::MAX);
        (lower * u64::from(self.of.max(1))) >> 32 < u64::from(self.share)
    }
}

#[cfg(test)]
mod tests;

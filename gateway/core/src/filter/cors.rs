//! Which pages of other origins may read a response, and what they may send.
//!
//! Owns the answers to preflights and the fields on responses (Fetch standard, "HTTP CORS
//! protocol"; Gateway API: `HTTPCORSFilter`). Browsers enforce it: a refusal here is an answer
//! without the fields that would allow.
//!
//! `*` means all only to requests without credentials. So where credentials are allowed, what the
//! request named is repeated instead.

use http::HeaderMap;
use http::HeaderName;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::ACCESS_CONTROL_ALLOW_CREDENTIALS;
use http::header::ACCESS_CONTROL_ALLOW_HEADERS;
use http::header::ACCESS_CONTROL_ALLOW_METHODS;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;
use http::header::ACCESS_CONTROL_EXPOSE_HEADERS;
use http::header::ACCESS_CONTROL_MAX_AGE;
use http::header::ACCESS_CONTROL_REQUEST_HEADERS;
use http::header::ACCESS_CONTROL_REQUEST_METHOD;
use http::header::ORIGIN;
use http::header::VARY;

use super::Cors;
use crate::message::RequestHead;
use crate::message::ResponseHead;

const ANY: HeaderValue = HeaderValue::from_static("*");

/// What only the gateway may say where this filter is.
const OURS: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];

impl Cors {
    /// The answer to a preflight, or `None` if the request is none: OPTIONS with `origin` and
    /// `access-control-request-method`. It is 204, for an origin that is not allowed too.
    pub fn preflight(&self, request: &RequestHead) -> Option<ResponseHead> {
        let method = preflight_method(request)?;
        let mut headers = HeaderMap::new();
        if self.allow_origin(request, &mut headers) {
            if let Some(methods) = self.preflight_list(&self.allow_methods, Some(method)) {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
            let asked = request.headers.get(ACCESS_CONTROL_REQUEST_HEADERS);
            if let Some(names) = self.preflight_list(&self.allow_headers, asked) {
                headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
            }
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(self.max_age));
        }
        Some(ResponseHead {
            status: StatusCode::NO_CONTENT,
            headers,
        })
    }

    /// Writes what a browser needs to know into a response, instead of what the backend wrote.
    ///
    /// The answer to a preflight stays as [`Cors::preflight`] made it.
    pub fn on_response(&self, request: &RequestHead, headers: &mut HeaderMap) {
        if preflight_method(request).is_some() {
            return;
        }
        for name in OURS {
            headers.remove(name);
        }
        let exposed = self.exposed(headers);
        if self.allow_origin(request, headers)
            && let Some(exposed) = exposed
        {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }

    /// Lets the request's origin read the response, if it may. Says whether it may.
    fn allow_origin(&self, request: &RequestHead, headers: &mut HeaderMap) -> bool {
        if !self.allow_credentials && has_star(&self.allow_origins) {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
            return true;
        }
        // Other origins get another response: caches must know, whoever asked first.
        vary_by_origin(headers);
        let mut origins = request.headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (origins.next(), origins.next()) else {
            return false;
        };
        if !self.allows(origin.as_bytes()) {
            return false;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.allow_credentials {
            let yes = HeaderValue::from_static("true");
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, yes);
        }
        true
    }

    fn allows(&self, origin: &[u8]) -> bool {
        self.allow_origins
            .iter()
            .any(|pattern| origin_matches(pattern, origin))
    }

    /// A list for a preflight; `*` becomes what was asked for where it does not mean all.
    fn preflight_list(
        &self,
        list: &[Box<str>],
        asked: Option<&HeaderValue>,
    ) -> Option<HeaderValue> {
        match has_star(list) {
            false => joined(list.iter().map(AsRef::as_ref)),
            true if self.allow_credentials => asked.cloned(),
            true => Some(ANY),
        }
    }

    fn exposed(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match has_star(&self.expose_headers) {
            false => joined(self.expose_headers.iter().map(AsRef::as_ref)),
            true if self.allow_credentials => joined(headers.keys().map(HeaderName::as_str)),
            true => Some(ANY),
        }
    }
}

/// The method that a preflight asks for.
fn preflight_method(request: &RequestHead) -> Option<&HeaderValue> {
    let is_preflight = request.method == Method::OPTIONS && request.headers.contains_key(ORIGIN);
    is_preflight
        .then(|| request.headers.get(ACCESS_CONTROL_REQUEST_METHOD))
        .flatten()
}

/// Whether an origin is `*`, the same, or below a `*` in place of the first labels of its host. A
/// `*` takes no port: without one, a pattern is for the scheme's own (Gateway API:
/// `HTTPCORSFilter.allowOrigins`), which browsers leave out.
fn origin_matches(pattern: &str, origin: &[u8]) -> bool {
    if pattern == "*" {
        return true;
    }
    let pattern = without_default_port(pattern);
    let Some((scheme, host)) = pattern.split_once('*') else {
        return pattern.as_bytes().eq_ignore_ascii_case(origin);
    };
    let Some((start, rest)) = origin.split_at_checked(scheme.len()) else {
        return false;
    };
    let Some(labels) = rest.len().checked_sub(host.len()) else {
        return false;
    };
    let (labels, end) = rest.split_at(labels);
    start.eq_ignore_ascii_case(scheme.as_bytes())
        && end.eq_ignore_ascii_case(host.as_bytes())
        && !labels.is_empty()
        && !labels.iter().any(|byte| matches!(byte, b':' | b'/' | b'@'))
}

fn without_default_port(origin: &str) -> &str {
    let port = if origin.starts_with("https:") {
        ":443"
    } else {
        ":80"
    };
    origin.strip_suffix(port).unwrap_or(origin)
}

fn vary_by_origin(headers: &mut HeaderMap) {
    let mut tokens = headers
        .get_all(VARY)
        .iter()
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii);
    if !tokens.any(|token| token == b"*" || token.eq_ignore_ascii_case(b"origin")) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
    }
}

fn has_star(list: &[Box<str>]) -> bool {
    list.iter().any(|one| **one == *"*")
}

fn joined<'a>(names: impl Iterator<Item = &'a str>) -> Option<HeaderValue> {
    let names: Vec<&str> = names.collect();
    (!names.is_empty())
        .then(|| HeaderValue::from_str(&names.join(", ")).ok())
        .flatten()
}

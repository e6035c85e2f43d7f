//! Where a redirect leads.
//!
//! Owns the rules for scheme, host, port and path (Gateway API: `HTTPRequestRedirectFilter`).

use http::HeaderValue;

use super::Redirect;
use super::path_edit::split_query;
use crate::authority;
use crate::forwarded::X_FORWARDED_PROTO;
use crate::message::RequestHead;

impl Redirect {
    /// The value of the `location` field.
    ///
    /// The scheme is the redirect's own, or the one that the client used: `x-forwarded-proto`, which
    /// nobody but trusted proxies can write. The port is the redirect's own; else, if it names a scheme,
    /// that scheme's; else the listener's, or what the client asked for if a proxy speaks another scheme
    /// with it. A port that goes without saying is left out. The query stays. `prefix` is what
    /// the rule found: see [`crate::route::Found::prefix`].
    ///
    /// Without any host (HTTP/1.0 clients need not name one) it is a path.
    pub fn location(
        &self,
        request: &RequestHead,
        prefix: Option<usize>,
        listener_port: u16,
    ) -> HeaderValue {
        let asked = request.authority.to_str().unwrap_or_default();
        let host = self.host.as_deref();
        let host = host.unwrap_or_else(|| authority::split(asked).host);
        let mut location = Vec::new();
        if !host.is_empty() {
            let own = self.scheme.as_deref().map(str::as_bytes);
            let seen = seen_scheme(request);
            let scheme = own.unwrap_or(seen);
            location.extend_from_slice(scheme);
            location.extend_from_slice(b"://");
            location.extend_from_slice(host.as_bytes());
            let is_in_front = own.is_none() && seen != request.scheme.as_bytes();
            let in_front = if is_in_front {
                authority::split(asked).port.or(well_known(seen))
            } else {
                None
            };
            let port = self.port_of(scheme, in_front.unwrap_or(listener_port));
            if well_known(scheme) != Some(port) {
                location.extend_from_slice(format!(":{port}").as_bytes());
            }
        }
        let edit = self.path.as_ref();
        let edited = edit.and_then(|edit| edit.apply(&request.path, prefix));
        let target = edited.as_ref().unwrap_or(&request.path).as_bytes();
        if host.is_empty() && target.starts_with(b"//") {
            // Browsers would take the first segment for a host.
            location.extend_from_slice(b"/.");
        }
        let (path, query) = split_query(target);
        location.extend_from_slice(if path == b"*" { b"/" } else { path });
        location.extend_from_slice(query);
        // All parts were checked on their way in.
        HeaderValue::from_bytes(&location).unwrap_or(HeaderValue::from_static("/"))
    }

    fn port_of(&self, scheme: &[u8], listener_port: u16) -> u16 {
        let of_scheme = self.scheme.as_ref().and_then(|_| well_known(scheme));
        self.port.or(of_scheme).unwrap_or(listener_port)
    }
}

/// The scheme that the client used.
fn seen_scheme(request: &RequestHead) -> &[u8] {
    let seen = request.headers.get(X_FORWARDED_PROTO);
    match seen.map(|seen| seen.as_bytes()) {
        Some(b"https") => b"https",
        Some(b"http") => b"http",
        _ => request.scheme.as_bytes(),
    }
}

const fn well_known(scheme: &[u8]) -> Option<u16> {
    match scheme {
        b"http" => Some(80),
        b"https" => Some(443),
        _ => None,
    }
}

//! Where a request goes, and whether an answer may send it elsewhere.
//!
//! Owns the rules: at most five redirects, never from HTTPS to HTTP, no loopback behind another
//! host's back, and nothing but HTTP.

use http::HeaderMap;
use http::StatusCode;
use http::header::LOCATION;
use url::Host;
use url::Url;

use crate::http::error::HttpError;
use crate::http::networks::Loopback;
use crate::quote;

/// Most redirects of one request.
pub(crate) const MOST_REDIRECTS: usize = 5;

/// Scheme, host and port: who gets what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    /// Whether it is spoken to by TLS.
    pub(crate) is_secure: bool,
    /// The host as in a URL: addresses of IPv6 in brackets.
    pub(crate) host: String,
    /// The port, also if it is the usual one.
    pub(crate) port: u16,
}

impl Origin {
    /// The origin of a URL.
    ///
    /// # Errors
    ///
    /// [`HttpError::Address`] if it is not HTTP or HTTPS, or has a user in it.
    pub(crate) fn of(url: &Url) -> Result<Self, HttpError> {
        let wrong = |reason| HttpError::Address {
            url: quote::url(url),
            reason,
        };
        let is_secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("it is neither https nor http")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("credentials do not belong into an address"));
        }
        let host = url.host_str().ok_or_else(|| wrong("it has no host"))?;
        let port = url.port_or_known_default();
        Ok(Self {
            is_secure,
            host: host.to_owned(),
            port: port.ok_or_else(|| wrong("it has no port"))?,
        })
    }

    /// Host and port, without the usual port: what `Host` says.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.is_secure { 443 } else { 80 };
        if self.port == usual {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// Whether a URL itself says that it is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    }
}

/// How a URL that an operator wrote came to name loopback, if it does.
pub(crate) fn named(url: &Url) -> Loopback {
    if is_loopback(url) {
        Loopback::Named
    } else {
        Loopback::Hidden
    }
}

/// The same for a URL that a peer sent us to, itself reached in the way of `before`.
pub(crate) fn sent(url: &Url, before: Loopback) -> Loopback {
    match before {
        Loopback::Named => named(url),
        Loopback::Hidden => Loopback::Hidden,
    }
}

/// Where an answer sends the request, if it does.
pub(crate) fn target(
    from: &Url,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Url>, HttpError> {
    let redirects = [301, 302, 303, 307, 308].contains(&status.as_u16());
    let Some(location) = headers.get(LOCATION).filter(|_| redirects) else {
        return Ok(None);
    };
    let location = String::from_utf8_lossy(location.as_bytes());
    let refused = |reason| HttpError::Redirect {
        url: quote::url(from),
        to: match from.join(&location) {
            Ok(url) => quote::url(&url),
            Err(_) => quote::plain(&location),
        },
        reason,
    };
    let to = from
        .join(&location)
        .map_err(|_| refused("that is no address"))?;
    if from.scheme() == "https" && to.scheme() != "https" {
        return Err(refused("from HTTPS to what is not encrypted"));
    }
    Ok(Some(to))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::StatusCode;
    use url::Url;

    fn target(from: &str, to: &str) -> Result<Option<Url>, String> {
        let mut headers = HeaderMap::new();
        headers.insert("location", to.parse().unwrap());
        let from = from.parse().unwrap();
        super::target(&from, StatusCode::FOUND, &headers).map_err(|err| err.to_string())
    }

    #[test]
    fn a_redirect_may_be_relative_and_never_leaves_https() {
        let to = target("https://a.test/v2/x?q", "../y").unwrap().unwrap();
        assert_eq!(to.as_str(), "https://a.test/y");
        let err = target("https://a.test/", "http://b.test/k?secret").unwrap_err();
        assert!(
            err.contains("not encrypted") && !err.contains("secret"),
            "{err}"
        );
        assert!(target("https://a.test/", "file:///etc/passwd").is_err());
    }

    #[test]
    fn only_a_url_that_says_loopback_is_named_loopback() {
        let is = |text: &str| super::is_loopback(&text.parse().unwrap());
        for yes in [
            "http://localhost",
            "http://127.8.0.1:1",
            "http://[::1]",
            "http://0x7f.1",
        ] {
            assert!(is(yes), "{yes}");
        }
        for no in [
            "http://localhost.example",
            "http://127.0.0.1.nip.test",
            "http://10.0.0.1",
        ] {
            assert!(!is(no), "{no}");
        }
    }
}

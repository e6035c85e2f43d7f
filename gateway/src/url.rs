//! Origins as operators write them: `http://host:port` or `https://host:port`.

use std::fmt;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::str::FromStr;

use http::HeaderValue;
use http::Uri;
use tidegate_core::dns::DnsSource;
use tidegate_core::dns::check_name;

/// The URL of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Url {
    secure: bool,
    host: String,
    port: u16,
    authority: HeaderValue,
}

/// A backend with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedUrl {
    pub(crate) name: String,
    pub(crate) url: Url,
}

/// What the host of a URL leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// It is an address.
    Address(SocketAddr),
    /// It is a name that is to be looked up.
    Name(DnsSource),
}

impl Url {
    /// The authority for requests that have none of their own.
    pub(crate) fn authority(&self) -> &HeaderValue {
        &self.authority
    }

    /// The name or address that its certificate must be for, if it is reached over TLS.
    pub(crate) fn tls_name(&self) -> Option<&str> {
        self.secure.then(|| self.bare_host())
    }

    fn bare_host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// What the host leads to.
    pub(crate) fn destination(&self) -> Destination {
        let host = self.bare_host();
        match host.parse() {
            Ok(ip) => Destination::Address(SocketAddr::new(ip, self.port)),
            Err(_) => Destination::Name(DnsSource::addresses(host, self.port)),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected http://HOST[:PORT] or https://HOST[:PORT]";
        let uri: Uri = text.parse().map_err(|err| format!("{err}; {expected}"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(expected.to_owned()),
        };
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(format!("a path is not supported here; {expected}"));
        }
        let authority = uri.authority().ok_or(expected)?;
        if authority.as_str().contains('@') || authority.host().is_empty() {
            return Err(expected.to_owned());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if host.parse::<IpAddr>().is_err() {
            check_name(host).map_err(|err| format!("{err}; {expected}"))?;
        }
        // What follows the host and is no port must not become the default one.
        let has_port = authority.as_str().len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(port) if port > 0 => port,
            None if !has_port && secure => 443,
            None if !has_port => 80,
            _ => return Err(format!("the port must be 1 to 65535; {expected}")),
        };
        Ok(Self {
            secure,
            host: authority.host().to_owned(),
            port,
            authority: HeaderValue::from_str(authority.as_str()).map_err(|_| expected)?,
        })
    }
}

impl FromStr for NamedUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, url) = text.split_once('=').ok_or("expected NAME=URL")?;
        if name.is_empty() {
            return Err("expected NAME=URL with a name".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            url: url.parse()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Destination;
    use super::Url;

    #[test]
    fn origins_are_http_with_host_and_port() {
        let url: Url = "http://localhost:9000/".parse().expect("fine");
        assert_eq!(url.to_string(), "http://localhost:9000");
        let Destination::Name(names) = url.destination() else {
            panic!("a name is looked up");
        };
        assert_eq!(&*names.names[0], "localhost");
        let url: Url = "http://[::1]".parse().expect("fine");
        let address = "[::1]:80".parse().expect("an address");
        assert_eq!(url.destination(), Destination::Address(address));
    }

    #[test]
    fn origins_over_tls_have_a_name_and_another_port() {
        let url: Url = "https://origin.test".parse().expect("fine");
        assert_eq!(url.to_string(), "https://origin.test:443");
        assert_eq!(url.tls_name(), Some("origin.test"));
        let url: Url = "https://[::1]:8443".parse().expect("fine");
        assert_eq!(url.tls_name(), Some("::1"));
        let url: Url = "http://origin.test".parse().expect("fine");
        assert_eq!(url.tls_name(), None);
    }

    #[test]
    fn what_is_not_supported_says_so() {
        for (bad, why) in [
            ("http://a/b", "a path is not supported"),
            ("a:80", "expected http://"),
            ("ftp://a", "expected http://"),
            ("http://u@a", "expected http://"),
            ("http://a..b", "nothing between two dots"),
            ("http://a:99999", "port must be 1 to 65535"),
            ("http://a:0", "port must be 1 to 65535"),
            ("http://[::1]:70000", "port must be 1 to 65535"),
            ("", "expected http://"),
        ] {
            let err = bad.parse::<Url>().expect_err(bad);
            assert!(err.contains(why), "{bad}: {err}");
        }
    }
}

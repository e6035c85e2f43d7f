//! The proxies that the environment names: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY`.
//!
//! Owns reading them as curl and Go do: lower case wins, loopback is never asked for through a
//! proxy. A proxy is the operator's, so its own address is not checked; behind it only it knows
//! which addresses it connects to, and addresses in references are checked all the same.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use ipnet::IpNet;
use url::Host;
use url::Url;

use crate::http::redirect::is_loopback;
use crate::quote;

/// Which proxy is for what.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    secure: Option<Proxy>,
    plain: Option<Proxy>,
    except: Vec<Except>,
}

/// A proxy of the environment that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the proxy in {variable} cannot be used: {reason}")]
pub struct ProxyError {
    /// The variable's name.
    pub variable: String,
    /// What is wrong with its value, which may have a password in it and is not repeated.
    pub reason: &'static str,
}

/// A proxy.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    /// `Proxy-Authorization`.
    pub(crate) authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&quote::url(&self.url))
    }
}

/// What is asked for directly.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Except {
    All,
    Network(IpNet),
    Address(IpAddr, Option<u16>),
    /// A domain with everything below it, or only what is below it.
    Domain {
        name: String,
        port: Option<u16>,
        is_only_below: bool,
    },
}

impl Proxies {
    /// No proxy for anything.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the environment of this process says.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] names the variable.
    pub fn from_env() -> Result<Self, ProxyError> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// What these variables say.
    ///
    /// # Errors
    ///
    /// [`ProxyError`] names the variable.
    pub fn from_variables(value: impl Fn(&str) -> Option<String>) -> Result<Self, ProxyError> {
        let find = |names: &[&str]| {
            names.iter().find_map(|name| {
                let value = value(name)?.trim().to_owned();
                (!value.is_empty()).then(|| ((*name).to_owned(), value))
            })
        };
        // A header `Proxy` of a request becomes HTTP_PROXY in a CGI program.
        let is_cgi = value("REQUEST_METHOD").is_some();
        let plain: &[&str] = if is_cgi {
            &["http_proxy", "all_proxy", "ALL_PROXY"]
        } else {
            &["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]
        };
        let secure = &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
        let except = find(&["no_proxy", "NO_PROXY"]).map(|(_, list)| list);
        Ok(Self {
            secure: find(secure).map(Proxy::read).transpose()?,
            plain: find(plain).map(Proxy::read).transpose()?,
            except: except.as_deref().map(exceptions).unwrap_or_default(),
        })
    }

    /// The proxy for this address.
    pub(crate) fn find(&self, url: &Url) -> Option<&Proxy> {
        let proxy = match url.scheme() {
            "https" => self.secure.as_ref(),
            _ => self.plain.as_ref(),
        }?;
        let is_direct = is_loopback(url) || self.except.iter().any(|it| it.covers(url));
        (!is_direct).then_some(proxy)
    }
}

impl Proxy {
    fn read((variable, value): (String, String)) -> Result<Self, ProxyError> {
        let wrong = |reason| ProxyError {
            variable: variable.clone(),
            reason,
        };
        let text = if value.contains("://") {
            value
        } else {
            format!("http://{value}")
        };
        let mut url: Url = text.parse().map_err(|_| wrong("it is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong("only http:// and https:// proxies are supported"));
        }
        if url.host_str().is_none() {
            return Err(wrong("it has no host"));
        }
        let authorization = authorization(&url).ok_or_else(|| wrong("its user is malformed"))?;
        // These two fail only for addresses without a host.
        url.set_username("").ok();
        url.set_password(None).ok();
        Ok(Self { url, authorization })
    }
}

/// `Some(None)` is no user.
fn authorization(url: &Url) -> Option<Option<HeaderValue>> {
    if url.username().is_empty() && url.password().is_none() {
        return Some(None);
    }
    let mut plain = decoded(url.username());
    plain.push(b':');
    plain.extend(decoded(url.password().unwrap_or_default()));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(plain))).ok()?;
    value.set_sensitive(true);
    Some(Some(value))
}

/// Percent-decoding; what is no escape stays.
fn decoded(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let escape = (*first == b'%')
            .then(|| after.split_at_checked(2))
            .flatten()
            .and_then(|(hex, after)| {
                let hex = std::str::from_utf8(hex).ok()?;
                Some((u8::from_str_radix(hex, 16).ok()?, after))
            });
        let (byte, after) = escape.unwrap_or((*first, after));
        out.push(byte);
        rest = after;
    }
    out
}

fn exceptions(list: &str) -> Vec<Except> {
    list.split([',', ' '])
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(exception)
        .collect()
}

fn exception(entry: &str) -> Except {
    if entry == "*" {
        return Except::All;
    }
    if let Ok(network) = entry.parse() {
        return Except::Network(network);
    }
    let bare = |text: &str| text.trim_matches(['[', ']']).parse::<IpAddr>();
    if let Ok(address) = bare(entry) {
        return Except::Address(address, None);
    }
    let (host, port) = match entry.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().ok()),
        None => (entry, None),
    };
    if let Ok(address) = bare(host) {
        return Except::Address(address, port);
    }
    let below = host.strip_prefix("*.").or_else(|| host.strip_prefix('.'));
    Except::Domain {
        name: below.unwrap_or(host).to_ascii_lowercase(),
        port,
        // As in Go: `.example.com` is not `example.com`.
        is_only_below: below.is_some(),
    }
}

impl Except {
    fn covers(&self, url: &Url) -> bool {
        let port_fits = |port: &Option<u16>| port.is_none() || *port == url.port_or_known_default();
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        match self {
            Self::All => true,
            Self::Network(network) => address.is_some_and(|it| network.contains(&it)),
            Self::Address(wanted, port) => address == Some(*wanted) && port_fits(port),
            Self::Domain {
                name,
                port,
                is_only_below,
            } => {
                let host = url.host_str().unwrap_or_default();
                let is_below = host
                    .strip_suffix(name.as_str())
                    .is_some_and(|rest| rest.ends_with('.'));
                let is_it = host == name && !is_only_below;
                address.is_none() && (is_it || is_below) && port_fits(port)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Proxies;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        let find = |name: &str| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Proxies::from_variables(find).expect("they are fine")
    }

    #[track_caller]
    fn check(proxies: &Proxies, url: &str, expected: Option<&str>) {
        let found = proxies.find(&url.parse().unwrap());
        let found = found.map(|proxy| proxy.url.to_string());
        assert_eq!(found.as_deref(), expected, "{url}");
    }

    #[test]
    fn each_scheme_has_its_proxy_and_lower_case_wins() {
        let set = proxies(&[
            ("HTTPS_PROXY", "http://up.test:1"),
            ("https_proxy", "http://low.test:1"),
            ("HTTP_PROXY", "plain.test:2"),
        ]);
        check(&set, "https://a.test/", Some("http://low.test:1/"));
        check(&set, "http://a.test/", Some("http://plain.test:2/"));
        check(&set, "https://localhost:5000/", None);
        check(&set, "https://127.0.0.1/", None);
        let cgi = proxies(&[
            ("HTTP_PROXY", "http://evil.test"),
            ("REQUEST_METHOD", "GET"),
        ]);
        check(&cgi, "http://a.test/", None);
    }

    #[test]
    fn exceptions_are_domains_networks_addresses_and_ports() {
        let set = proxies(&[
            ("ALL_PROXY", "http://p.test:1"),
            (
                "NO_PROXY",
                "corp.test, .below.test,10.0.0.0/8,192.0.2.7,[2001:db8::1],x.test:8443",
            ),
        ]);
        let through = Some("http://p.test:1/");
        for direct in [
            "https://corp.test/",
            "https://a.corp.test/",
            "https://a.below.test/",
            "https://10.9.9.9/",
            "https://192.0.2.7:99/",
            "https://[2001:db8::1]/",
            "https://x.test:8443/",
        ] {
            check(&set, direct, None);
        }
        for url in [
            "https://notcorp.test/",
            "https://below.test/",
            "https://11.0.0.1/",
            "https://x.test/",
        ] {
            check(&set, url, through);
        }
        let all = proxies(&[("ALL_PROXY", "http://p.test:1"), ("NO_PROXY", "*")]);
        check(&all, "https://a.test/", None);
    }

    #[test]
    fn a_user_of_the_proxy_is_never_printed() {
        let set = proxies(&[("https_proxy", "http://me:p%40ss@p.test:1")]);
        let url = "https://a.test/".parse().unwrap();
        let proxy = set.find(&url).expect("there is one");
        let value = proxy.authorization.as_ref().expect("there is a user");
        // me:p@ss
        assert_eq!(value.to_str().unwrap(), "Basic bWU6cEBzcw==");
        assert!(!format!("{set:?}").contains("bWU6"), "{set:?}");
        assert!(!format!("{set:?}").contains("p%40ss"), "{set:?}");
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_by_its_variable() {
        let read = |value: &str| {
            let value = value.to_owned();
            Proxies::from_variables(move |name| (name == "HTTPS_PROXY").then(|| value.clone()))
        };
        let err = read("socks5://me:secret@p.test")
            .expect_err("not supported")
            .to_string();
        assert!(
            err.contains("HTTPS_PROXY") && !err.contains("secret"),
            "{err}"
        );
    }
}

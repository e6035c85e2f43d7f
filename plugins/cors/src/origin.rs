//! Patterns of origins, and whether an origin is one of theirs.
//!
//! An origin is a scheme, a host and a port if it is not the scheme's own, as browsers write it
//! (Fetch standard, "serializing a request origin"): `https://app.example`, or `null`.

use std::str::FromStr;

use regex_lite::Regex;
use regex_lite::RegexBuilder;
use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

/// Longer ones are no origins of anybody: a host has 253 characters at most.
const LONGEST: usize = 512;

/// The most that a regular expression may be compiled to, in bytes: so matching one ends soon.
const REGEX_SIZE: usize = 64 * 1024;

/// Origins that a page may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    /// `*`: all.
    Any,
    /// `null`: pages without an origin, such as sandboxed frames, and files.
    Null,
    /// One, in lower case and without the port that its scheme has anyway.
    Exact(String),
    /// Those with a host or a port of a pattern.
    Like(Like),
}

/// Origins of one scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Like {
    /// With its `://`.
    scheme: String,
    host: Host,
    /// What follows the host: nothing, or a colon and a number. `None` for any of these.
    port: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Host {
    Any,
    Exact(String),
    /// What is before and after a star.
    Between(String, String),
}

impl Pattern {
    /// Whether pages of everybody may have such origins.
    pub(crate) fn is_of_all(&self) -> bool {
        match self {
            Self::Any | Self::Null => true,
            Self::Exact(_) => false,
            Self::Like(like) => like.host == Host::Any,
        }
    }

    /// Whether it has an origin, which is in lower case.
    pub(crate) fn has(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Null => origin == "null",
            Self::Exact(exact) => exact == origin,
            Self::Like(like) => like.has(origin),
        }
    }
}

impl Like {
    fn has(&self, origin: &str) -> bool {
        let Some(rest) = origin.strip_prefix(self.scheme.as_str()) else {
            return false;
        };
        let Some((host, port)) = split_port(rest) else {
            return false;
        };
        self.port.as_deref().is_none_or(|wanted| wanted == port) && self.host.has(host)
    }
}

impl Host {
    fn has(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(exact) => exact == host,
            Self::Between(before, after) => {
                let star = host
                    .strip_prefix(before.as_str())
                    .and_then(|it| it.strip_suffix(after.as_str()));
                // In the place of the first labels a star is any number of them, else a part of one.
                star.is_some_and(|it| !it.is_empty() && (before.is_empty() || !it.contains('.')))
            }
        }
    }
}

/// A host and the port behind it with its colon, if they are a host and a port.
fn split_port(rest: &str) -> Option<(&str, &str)> {
    let (host, port) = match rest.strip_prefix('[') {
        Some(inner) => {
            let end = rest.len() - inner.find(']').map(|at| inner.len() - at - 1)?;
            rest.split_at_checked(end)?
        }
        None => rest.split_at_checked(rest.find(':').unwrap_or(rest.len()))?,
    };
    let is_port = match port.strip_prefix(':') {
        Some(digits) => digits.len() <= 5 && !digits.is_empty() && is_number(digits),
        None => port.is_empty(),
    };
    (is_port && is_host(host)).then_some((host, port))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|it| it.is_ascii_digit())
}

/// A name, or an address; with a star in it if it is a pattern.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|it| it.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |it: u8| it.is_ascii_alphanumeric() || b"-._*".contains(&it);
            !host.is_empty() && host.bytes().all(allowed)
        }
    }
}

fn expected(text: &str) -> String {
    format!(
        "expected an origin such as https://app.example, https://*.app.example, http://localhost:* or *, \
         found {text:?}"
    )
}

impl FromStr for Pattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.to_ascii_lowercase();
        match pattern.as_str() {
            "*" => return Ok(Self::Any),
            "null" => return Ok(Self::Null),
            _ => {}
        }
        let at = pattern.find("://").ok_or_else(|| expected(text))?;
        let (scheme, rest) = pattern
            .split_at_checked(at + 3)
            .ok_or_else(|| expected(text))?;
        let name = scheme.trim_end_matches("://");
        let is_scheme = name.starts_with(|it: char| it.is_ascii_lowercase())
            && name
                .bytes()
                .all(|it| it.is_ascii_alphanumeric() || b"+-.".contains(&it));
        if !is_scheme {
            return Err(expected(text));
        }
        if !rest.is_ascii() {
            return Err(format!(
                "browsers write hosts in ASCII: write {text:?} as xn--…"
            ));
        }
        if let Some((origin, _)) = rest.split_once(['/', '?', '#']) {
            return Err(format!("an origin has no path: write {scheme}{origin}"));
        }
        let any_port = rest.strip_suffix(":*");
        let (host, port) = split_port(any_port.unwrap_or(rest)).ok_or_else(|| expected(text))?;
        let own_port = match name {
            "https" => ":443",
            "http" => ":80",
            _ => "",
        };
        let port = if port == own_port { "" } else { port };
        if any_port.is_none() && !host.contains('*') {
            return Ok(Self::Exact([scheme, host, port].concat()));
        }
        Ok(Self::Like(Like {
            scheme: scheme.to_owned(),
            host: host_pattern(host, text)?,
            port: any_port.is_none().then(|| port.to_owned()),
        }))
    }
}

fn host_pattern(host: &str, text: &str) -> Result<Host, String> {
    let Some((before, after)) = host.split_once('*') else {
        return Ok(Host::Exact(host.to_owned()));
    };
    if after.contains('*') {
        return Err(format!("one * is enough for a host, found {text:?}"));
    }
    match (before, after) {
        ("", "") => Ok(Host::Any),
        (_, "") => Err(format!(
            "{text} has the hosts of anybody who adds to it, such as {before}.evil.example: put the end of \
             the host behind the *"
        )),
        ("", after) if !after.starts_with('.') => Err(format!(
            "{text} has the hosts of anybody whose name ends so, such as evil{after}: write *.{after}"
        )),
        (before, after) => Ok(Host::Between(before.to_owned(), after.to_owned())),
    }
}

impl FilterConfig for Pattern {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(LONGEST);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        text.parse().map_err(Problem::new)
    }
}

/// A regular expression that an origin matches from its beginning to its end.
#[derive(Debug, Clone)]
pub(crate) struct OriginRegex(Regex);

impl OriginRegex {
    /// Whether it has an origin, which is in lower case.
    pub(crate) fn has(&self, origin: &str) -> bool {
        self.0.is_match(origin)
    }

    /// Whether it seems to match whatever comes.
    pub(crate) fn is_of_all(&self) -> bool {
        ["null", "https://a.invalid", "http://b.invalid"]
            .iter()
            .any(|it| self.has(it))
    }
}

impl FilterConfig for OriginRegex {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(1024);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().unwrap_or_default();
        RegexBuilder::new(&["^(?:", text, ")$"].concat())
            .size_limit(REGEX_SIZE)
            .build()
            .map(Self)
            .map_err(|error| Problem::new(format!("not a regular expression: {error}")))
    }
}

/// What origins are compared as: in lower case. `None` if it is longer than any can be.
pub(crate) fn comparable(origin: &str) -> Option<String> {
    (origin.len() <= LONGEST).then(|| origin.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        text.parse().unwrap()
    }

    #[test]
    fn a_pattern_has_its_origins_and_no_others() {
        for (text, inside, outside) in [
            (
                "https://app.example",
                &["https://app.example"][..],
                &[
                    "http://app.example",
                    "https://app.example:8443",
                    "https://app.example.evil",
                    "",
                ][..],
            ),
            (
                "HTTPS://App.Example:443",
                &["https://app.example"],
                &["https://app.example:443"],
            ),
            (
                "http://app.example:8080",
                &["http://app.example:8080"],
                &["http://app.example"],
            ),
            (
                "https://*.app.example",
                &["https://a.app.example", "https://a.b.app.example"],
                &[
                    "https://app.example",
                    "https://.app.example",
                    "https://evilapp.example",
                    "https://evil/.app.example",
                    "https://evil@.app.example",
                    "https://a.app.example:8443",
                    "https://a.app.example:",
                    "http://a.app.example",
                ],
            ),
            (
                "https://pr-*.app.example",
                &["https://pr-7.app.example"],
                &[
                    "https://pr-.app.example",
                    "https://pr-evil.net.app.example",
                    "https://x.app.example",
                ],
            ),
            (
                "http://localhost:*",
                &["http://localhost", "http://localhost:3000"],
                &[
                    "http://localhost:",
                    "http://localhost:x",
                    "http://localhost:3000.evil",
                    "http://localhost.evil",
                ],
            ),
            (
                "http://[::1]:*",
                &["http://[::1]:3000", "http://[::1]"],
                &["http://[::2]", "http://[::1"],
            ),
            (
                "https://*:*",
                &["https://a", "https://a:1"],
                &["http://a", "https://", "null"],
            ),
            ("null", &["null"], &["", "https://null"]),
            ("*", &["null", "https://a"], &[]),
            (
                "capacitor://localhost",
                &["capacitor://localhost"],
                &["http://localhost"],
            ),
        ] {
            for origin in inside {
                assert!(pattern(text).has(origin), "{text} has {origin}");
            }
            for origin in outside {
                assert!(!pattern(text).has(origin), "{text} does not have {origin}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_or_has_more_than_it_seems_is_refused() {
        for (text, why) in [
            ("app.example", "such as https://app.example"),
            ("", "such as https://app.example"),
            ("://a", "such as"),
            ("https://", "such as"),
            ("https://a b", "such as"),
            ("https://a:70000000", "such as"),
            ("https://user@a", "such as"),
            ("https://app.example/", "write https://app.example"),
            ("https://größe.example", "xn--"),
            ("https://app.example*", "evil.example"),
            ("https://app.*", "evil.example"),
            ("https://*app.example", "evilapp.example"),
            ("https://*.*.example", "one * is enough"),
        ] {
            let refused = text.parse::<Pattern>().unwrap_err();
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }
}

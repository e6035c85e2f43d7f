//! One form of a host for matching, filters and origin.
//!
//! Owns normalisation of `Host` and `:authority`: lower case, no trailing dot, port split off. It
//! refuses what is not a host (RFC 3986 §3.2.2), user information included.

use std::borrow::Cow;

use crate::failure::Failure;

/// A host with its port, both parts of one normalised authority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostPort<'a> {
    /// The name or address, brackets kept for IPv6.
    pub host: &'a str,
    /// The port, if one was given.
    pub port: Option<u16>,
}

/// The normal form of an authority.
///
/// # Errors
///
/// [`Failure::BadHost`] if it is empty or not a host with an optional port.
pub fn normalise(authority: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    let (host, port) = split_port(authority)?;
    if host.is_empty() || !is_host(host) {
        return Err(Failure::BadHost);
    }
    let trailing_dot = host.len() > 1 && host.last() == Some(&b'.');
    let is_normal = !trailing_dot && !host.iter().any(u8::is_ascii_uppercase);
    // An empty port (`host:`) is legal and means none.
    if is_normal && port != Some(&b""[..]) {
        return Ok(Cow::Borrowed(authority));
    }
    let host = if trailing_dot {
        host.split_last().map_or(host, |(_, rest)| rest)
    } else {
        host
    };
    let mut normal = host.to_ascii_lowercase();
    if let Some(port) = port.filter(|port| !port.is_empty()) {
        normal.push(b':');
        normal.extend_from_slice(port);
    }
    Ok(Cow::Owned(normal))
}

/// Splits a normalised authority.
pub fn split(authority: &str) -> HostPort<'_> {
    let after_bracket = authority.rfind(']').unwrap_or(0);
    let colon = authority.rfind(':').filter(|at| *at >= after_bracket);
    match colon.and_then(|at| authority.split_at_checked(at)) {
        Some((host, port)) => HostPort {
            host,
            port: port.trim_start_matches(':').parse().ok(),
        },
        None => HostPort {
            host: authority,
            port: None,
        },
    }
}

type Parts<'a> = (&'a [u8], Option<&'a [u8]>);

/// The host of a normalised authority, without port: what listeners and routes are compared with.
pub fn host_of(authority: &[u8]) -> &str {
    // On the way of every request: a normal form has nothing but a port behind its last colon, or it
    // is an address in brackets.
    let digits = authority
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit());
    let before = authority.len() - digits.count();
    let host = match authority.get(..before).and_then(<[u8]>::split_last) {
        Some((b':', host)) if before < authority.len() => host,
        _ => authority,
    };
    std::str::from_utf8(host).unwrap_or("")
}

fn split_port(authority: &[u8]) -> Result<Parts<'_>, Failure> {
    let after_bracket = authority
        .iter()
        .rposition(|byte| *byte == b']')
        .map_or(0, |at| at + 1);
    let tail = authority.get(after_bracket..).unwrap_or_default();
    let Some(colon) = tail.iter().position(|byte| *byte == b':') else {
        // Nothing may stand between `]` and the end.
        return if after_bracket == 0 || tail.is_empty() {
            Ok((authority, None))
        } else {
            Err(Failure::BadHost)
        };
    };
    if after_bracket > 0 && colon > 0 {
        return Err(Failure::BadHost);
    }
    let (host, port) = authority.split_at(after_bracket + colon);
    let port = port.strip_prefix(b":").unwrap_or_default();
    // Five digits cannot overflow; more are no port.
    let fits = port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    if !fits || decimal(port) > u32::from(u16::MAX) {
        return Err(Failure::BadHost);
    }
    Ok((host, Some(port)))
}

fn decimal(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'))
}

fn is_host(host: &[u8]) -> bool {
    if let Some(inner) = host.strip_prefix(b"[") {
        return inner.strip_suffix(b"]").is_some_and(|address| {
            std::str::from_utf8(address)
                .is_ok_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
        });
    }
    // Registered names: unreserved and sub-delims; escapes and user information are not hosts.
    host.iter().all(|byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'!' | b'$')
    })
}

#[cfg(test)]
mod host_tests {
    use super::host_of;

    #[test]
    fn the_host_of_an_authority_has_no_port() {
        for (authority, host) in [
            ("shop.test", "shop.test"),
            ("shop.test:8080", "shop.test"),
            ("shop1", "shop1"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:80", "[::1]"),
            ("", ""),
        ] {
            assert_eq!(host_of(authority.as_bytes()), host, "{authority}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::HostPort;
    use super::normalise;
    use super::split;
    use crate::failure::Failure;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        let got = normalise(given.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into());
        assert_eq!(got, Ok::<String, Failure>(expected.to_owned()), "{given}");
    }

    #[test]
    fn hosts_are_lower_case_without_trailing_dot() {
        check("Shop.Test", "shop.test");
        check("shop.test.", "shop.test");
        check("Shop.Test.:8080", "shop.test:8080");
        check("shop.test:", "shop.test");
        check("[::1]:80", "[::1]:80");
        check("127.0.0.1", "127.0.0.1");
    }

    #[test]
    fn what_is_not_a_host_is_refused() {
        for bad in [
            "",
            ":80",
            "a b",
            "user@host",
            "a:b",
            "a:99999",
            "a:99999999999999",
            "[::1",
            "[zz]",
            "[::1]x",
            "a/b",
            "ä",
        ] {
            assert_eq!(normalise(bad.as_bytes()), Err(Failure::BadHost), "{bad:?}");
        }
    }

    #[test]
    fn the_port_splits_off() {
        assert_eq!(
            split("a.test:81"),
            HostPort {
                host: "a.test",
                port: Some(81)
            }
        );
        assert_eq!(
            split("[::1]:81"),
            HostPort {
                host: "[::1]",
                port: Some(81)
            }
        );
        assert_eq!(
            split("[::1]"),
            HostPort {
                host: "[::1]",
                port: None
            }
        );
    }
}

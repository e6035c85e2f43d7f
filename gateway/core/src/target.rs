//! The four forms of a request target (RFC 9112 §3.2).
//!
//! Owns the split into path and authority. Normalisation is [`crate::path`]'s and
//! [`crate::authority`]'s.

use http::Method;

use crate::failure::Failure;

/// A request target in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The authority of an absolute-form target; it outranks the Host field (RFC 9112 §3.2.2).
    pub authority: Option<&'a [u8]>,
    /// Path and query, or `*`.
    pub path: &'a [u8],
}

/// Splits a request target.
///
/// # Errors
///
/// [`Failure::UnsupportedUpgrade`] for CONNECT, [`Failure::BadPath`] for anything that is not
/// origin-form, absolute-form with `http` or `https`, or `*` with OPTIONS.
pub fn parse<'a>(method: &Method, target: &'a [u8]) -> Result<Target<'a>, Failure> {
    if *method == Method::CONNECT {
        return Err(Failure::UnsupportedUpgrade);
    }
    if target.first() == Some(&b'/') {
        return Ok(Target {
            authority: None,
            path: target,
        });
    }
    if target == b"*" && *method == Method::OPTIONS {
        return Ok(Target {
            authority: None,
            path: target,
        });
    }
    let rest = strip_scheme(target, b"http://")
        .or_else(|| strip_scheme(target, b"https://"))
        .ok_or(Failure::BadPath)?;
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    match path.first() {
        None => Ok(Target {
            authority: Some(authority),
            path: b"/",
        }),
        Some(b'/') => Ok(Target {
            authority: Some(authority),
            path,
        }),
        // `http://host?x` has an empty path; nobody sends it, and guessing helps nobody.
        Some(_) => Err(Failure::BadPath),
    }
}

fn strip_scheme<'a>(target: &'a [u8], scheme: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = target.split_at_checked(scheme.len())?;
    start.eq_ignore_ascii_case(scheme).then_some(rest)
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::Target;
    use super::parse;
    use crate::failure::Failure;

    #[test]
    fn an_absolute_target_gives_authority_and_path() {
        let expected = Target {
            authority: Some(b"a.test:81"),
            path: b"/x?y",
        };
        assert_eq!(parse(&Method::GET, b"HTTP://a.test:81/x?y"), Ok(expected));
        let root = Target {
            authority: Some(b"a.test"),
            path: b"/",
        };
        assert_eq!(parse(&Method::GET, b"http://a.test"), Ok(root));
    }

    #[test]
    fn a_star_is_for_options_only() {
        assert!(parse(&Method::OPTIONS, b"*").is_ok());
        assert_eq!(parse(&Method::GET, b"*"), Err(Failure::BadPath));
    }

    #[test]
    fn other_schemes_and_connect_are_refused() {
        assert_eq!(parse(&Method::GET, b"ftp://a/"), Err(Failure::BadPath));
        assert_eq!(parse(&Method::GET, b"a.test/x"), Err(Failure::BadPath));
        assert_eq!(
            parse(&Method::CONNECT, b"a.test:443"),
            Err(Failure::UnsupportedUpgrade)
        );
    }
}

//! One form of a path for matching, filters and origin.
//!
//! Owns normalisation (RFC 3986 §6.2.2): unreserved characters are decoded, escapes are upper
//! case, dot segments are resolved. `//` and `%2F` stay as they are: origins give them meaning.
//! What two parsers could read differently (NUL, backslash, fragments, raw non-ASCII) is refused.

use std::borrow::Cow;

use crate::failure::Failure;

/// The normal form of path and query.
///
/// The query is kept byte for byte, but may not hold what the path may not hold raw.
///
/// # Errors
///
/// [`Failure::BadPath`] if there is a byte or escape that cannot be forwarded safely.
pub fn normalise(path_and_query: &[u8]) -> Result<Cow<'_, [u8]>, Failure> {
    if path_and_query == b"*" {
        return Ok(Cow::Borrowed(path_and_query));
    }
    if path_and_query.first() != Some(&b'/') {
        return Err(Failure::BadPath);
    }
    if is_plain(path_and_query)? {
        return Ok(Cow::Borrowed(path_and_query));
    }
    let query_at = path_and_query.iter().position(|byte| *byte == b'?');
    let (path, query) = path_and_query.split_at(query_at.unwrap_or(path_and_query.len()));
    let mut normal = resolve_dots(&decode_unreserved(path)?);
    normal.extend_from_slice(query);
    Ok(Cow::Owned(normal))
}

/// Whether nothing needs rewriting; refuses what is never allowed. One pass, no allocation.
fn is_plain(path_and_query: &[u8]) -> Result<bool, Failure> {
    let mut plain = true;
    let mut in_query = false;
    let mut previous = 0;
    for &byte in path_and_query {
        match byte {
            0..=0x20 | 0x7f..=0xff | b'#' | b'\\' => return Err(Failure::BadPath),
            b'?' => in_query = true,
            b'%' if !in_query => plain = false,
            b'.' if !in_query && previous == b'/' => plain = false,
            _ => {}
        }
        previous = byte;
    }
    Ok(plain)
}

/// Path and query with those characters escaped that RFC 3986 has no place for and that many refuse: `<`
/// and `>`, a backquote in the path, a double quote in the query, and what would begin a fragment. Browsers
/// escape the same ones.
#[must_use]
pub fn escape(path_and_query: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(path_and_query.len() + 8);
    let mut in_query = false;
    for &byte in path_and_query {
        match byte {
            b'<' => escaped.extend(b"%3C"),
            b'>' => escaped.extend(b"%3E"),
            b'#' => escaped.extend(b"%23"),
            b'"' if in_query => escaped.extend(b"%22"),
            b'`' if !in_query => escaped.extend(b"%60"),
            _ => {
                in_query |= byte == b'?';
                escaped.push(byte);
            }
        }
    }
    escaped
}

fn decode_unreserved(path: &[u8]) -> Result<Vec<u8>, Failure> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let value = match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
            (Some(high), Some(low)) => high << 4 | low,
            _ => return Err(Failure::BadPath),
        };
        match value {
            0 => return Err(Failure::BadPath),
            // An encoded backslash is a separator to some origins.
            b'\\' => return Err(Failure::BadPath),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                decoded.push(value);
            }
            _ => decoded.extend([b'%', upper_hex(value >> 4), upper_hex(value & 0xf)]),
        }
    }
    Ok(decoded)
}

/// Removes `.` and `..` segments (RFC 3986 §5.2.4); never goes above the root.
fn resolve_dots(path: &[u8]) -> Vec<u8> {
    let mut resolved: Vec<u8> = Vec::with_capacity(path.len());
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    let parent = resolved.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                    resolved.truncate(parent);
                }
                if is_last {
                    resolved.push(b'/');
                }
            }
            _ => {
                resolved.push(b'/');
                resolved.extend_from_slice(segment);
            }
        }
    }
    if resolved.is_empty() {
        resolved.push(b'/');
    }
    resolved
}

fn hex(digit: &u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

const fn upper_hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + nibble - 10,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::normalise;
    use crate::failure::Failure;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        let got = normalise(given.as_bytes()).map(|bytes| String::from_utf8_lossy(&bytes).into());
        assert_eq!(got, Ok::<String, Failure>(expected.to_owned()), "{given}");
    }

    #[test]
    fn dot_segments_are_resolved_and_never_leave_the_root() {
        check("/a/b/../c", "/a/c");
        check("/a/./b", "/a/b");
        check("/../../etc/passwd", "/etc/passwd");
        check("/a/..", "/");
        check("/a/b/..", "/a/");
        check("/.", "/");
        check("/a/%2e%2E/b", "/b");
        check("/a/...", "/a/...");
        check("/.well-known/x", "/.well-known/x");
    }

    #[test]
    fn unreserved_is_decoded_and_other_escapes_are_upper_case() {
        check("/%7Euser/%41", "/~user/A");
        check("/a%2fb%3f", "/a%2Fb%3F");
        check("/%25", "/%25");
    }

    #[test]
    fn double_slashes_and_queries_stay_as_they_are() {
        check("//a//b", "//a//b");
        check("/a?x=/../%2e&y=%zz", "/a?x=/../%2e&y=%zz");
        check("*", "*");
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        for bad in [
            "", "a", "/\0", "/a%00", "/a\\b", "/a%5cb", "/a#b", "/ä", "/%", "/%4", "/%zz",
        ] {
            assert_eq!(normalise(bad.as_bytes()), Err(Failure::BadPath), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing(path in "/[a-zA-Z0-9./%~_?=-]{0,40}") {
            if let Ok(once) = normalise(path.as_bytes()) {
                let twice = normalise(&once).expect("a normal form is acceptable");
                assert_eq!(&*once, &*twice);
            }
        }
    }
}

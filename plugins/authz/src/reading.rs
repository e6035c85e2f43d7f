//! What a path may mean to an origin.
//!
//! A rule about `/admin` is worth nothing if `//admin` or `/x/..%2Fadmin` gets to the same place. So a
//! path has several readings: as it is, and as an origin takes it that merges slashes, decodes escaped
//! ones and resolves dots, with and without parameters (`;…`) of segments. Most paths have one.

use std::borrow::Cow;

/// What a path may mean.
#[derive(Debug)]
pub(crate) struct Readings {
    /// The path as it is, with normal escapes.
    first: Vec<u8>,
    /// The others, each but once.
    others: Vec<Vec<u8>>,
}

impl Readings {
    /// All readings of a path, which may have a query.
    pub(crate) fn all(path: Vec<u8>) -> Self {
        let path = without_query(path);
        if is_plain(&path) {
            return Self::only(path);
        }
        let first = match with_normal_escapes(&path) {
            Some(normal) => normal.into_owned(),
            None => path.clone(),
        };
        let mut others: Vec<Vec<u8>> = Vec::new();
        for other in [merge(&path, false), merge(&path, true)] {
            if other != first && !others.contains(&other) {
                others.push(other);
            }
        }
        Self { first, others }
    }

    /// The path as it is, which may have a query.
    pub(crate) fn as_is(path: Vec<u8>) -> Self {
        Self::only(without_query(path))
    }

    const fn only(path: Vec<u8>) -> Self {
        Self {
            first: path,
            others: Vec::new(),
        }
    }

    /// Them, the path itself first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let others = self.others.iter().map(Vec::as_slice);
        std::iter::once(&*self.first).chain(others)
    }
}

fn without_query(mut path: Vec<u8>) -> Vec<u8> {
    if let Some(end) = path.iter().position(|it| matches!(it, b'?' | b'#')) {
        path.truncate(end);
    }
    path
}

/// Whether all origins take a path alike.
fn is_plain(path: &[u8]) -> bool {
    let mut before = 0;
    for byte in path {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if before == b'/' => return false,
            _ => before = *byte,
        }
    }
    true
}

/// The path with unreserved characters decoded and escapes in upper case (RFC 3986, 6.2.2), as
/// Tidegate has it already. `None` if an escape is broken.
pub(crate) fn with_normal_escapes(path: &[u8]) -> Option<Cow<'_, [u8]>> {
    if !path.contains(&b'%') {
        return Some(Cow::Borrowed(path));
    }
    let mut normal = Vec::with_capacity(path.len());
    let mut bytes = path.iter();
    while let Some(byte) = bytes.next() {
        if *byte != b'%' {
            normal.push(*byte);
            continue;
        }
        let (high, low) = (bytes.next()?, bytes.next()?);
        let value = hex(*high)? << 4 | hex(*low)?;
        if value.is_ascii_alphanumeric() || b"-._~".contains(&value) {
            normal.push(value);
        } else {
            normal.extend([b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
        }
    }
    Some(Cow::Owned(normal))
}

/// The path as origins take it that see a separator in escaped and backward slashes, and one in several.
fn merge(path: &[u8], without_parameters: bool) -> Vec<u8> {
    let decoded = decode_separators(path);
    let mut merged: Vec<u8> = Vec::with_capacity(decoded.len());
    let mut ends_with_slash = false;
    for segment in decoded.split(|it| *it == b'/') {
        let bare = match segment.iter().position(|it| *it == b';') {
            Some(at) if without_parameters => segment.get(..at).unwrap_or(segment),
            Some(_) | None => segment,
        };
        ends_with_slash = matches!(bare, b"" | b"." | b"..");
        match bare {
            b"" | b"." => {}
            b".." => {
                let parent = merged.iter().rposition(|it| *it == b'/').unwrap_or(0);
                merged.truncate(parent);
            }
            _ => {
                merged.push(b'/');
                merged.extend_from_slice(bare);
            }
        }
    }
    if ends_with_slash || merged.is_empty() {
        merged.push(b'/');
    }
    merged
}

/// Normal escapes, and slashes in the place of `%2F`, `%5C` and `\`; semicolons in that of `%3B`.
fn decode_separators(path: &[u8]) -> Vec<u8> {
    let normal = with_normal_escapes(path).unwrap_or(Cow::Borrowed(path));
    let mut decoded = Vec::with_capacity(normal.len());
    let mut rest = &normal[..];
    while let Some((first, tail)) = rest.split_first() {
        let (byte, behind) = match (first, tail.get(..2)) {
            (b'%', Some(b"2F" | b"5C")) => (b'/', tail.get(2..)),
            (b'%', Some(b"3B")) => (b';', tail.get(2..)),
            (b'\\', _) => (b'/', Some(tail)),
            (byte, _) => (*byte, Some(tail)),
        };
        decoded.push(byte);
        rest = behind.unwrap_or_default();
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|it| u8::try_from(it).ok())
}

#[cfg(test)]
mod tests {
    use super::Readings;

    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        let readings = Readings::all(path.into());
        let found: Vec<&str> = readings
            .iter()
            .map(|it| std::str::from_utf8(it).unwrap())
            .collect();
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn a_plain_path_has_one_reading_without_its_query() {
        check("/a/b.c", &["/a/b.c"]);
        check("/a/?x=//..%2f", &["/a/"]);
        check("/", &["/"]);
        check("/a%20b", &["/a%20b"]);
        check("/%61", &["/a"]);
        check("*", &["*"]);
        check("/.well-known/x", &["/.well-known/x"]);
    }

    #[test]
    fn what_origins_take_differently_has_several() {
        check("//admin", &["//admin", "/admin"]);
        check("/a//b/", &["/a//b/", "/a/b/"]);
        check("/x/..%2Fadmin", &["/x/..%2Fadmin", "/admin"]);
        check("/x/%2e%2e/admin", &["/x/../admin", "/admin"]);
        check("/x/./admin/..", &["/x/./admin/..", "/x/"]);
        check("/../..", &["/../..", "/"]);
        check("/a%5cb", &["/a%5Cb", "/a/b"]);
        check("/a\\b", &["/a\\b", "/a/b"]);
        check("/admin;v=1/x", &["/admin;v=1/x", "/admin/x"]);
        check("/a/..;/admin", &["/a/..;/admin", "/admin"]);
        check("//a;b/c", &["//a;b/c", "/a;b/c", "/a/c"]);
        check("/a%3Bb", &["/a%3Bb", "/a;b", "/a"]);
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        check("/a%4/b", &["/a%4/b"]);
        check("/a%zz//b", &["/a%zz//b", "/a%zz/b"]);
    }
}

//! The headers or trailers of a message, read and edited where the host has them.
//!
//! Nothing is copied but what is asked for. Names are compared without case.

use tidegate_sdk_sys::text::concat;
use tidegate_sdk_sys::{Host as _, MapType, host};

use crate::error::{Error, Result};
use crate::runtime::stream::Stream;

/// Headers to read.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a> {
    stream: &'a Stream,
    map: MapType,
}

impl<'a> Headers<'a> {
    pub(crate) const fn new(stream: &'a Stream, map: MapType) -> Self {
        Self { stream, map }
    }

    /// The first value with this name. Bytes that are no UTF-8 become U+FFFD, so that a header
    /// is never taken for absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name).map(text)
    }

    /// The first value with this name, as it came.
    #[must_use]
    pub fn get_bytes(&self, name: &str) -> Option<Vec<u8>> {
        self.stream.focus();
        // Hosts join the values of some names; what was one line may be several here.
        host().header(self.map, name.as_bytes()).ok().flatten()
    }

    /// Every value with this name, in order.
    #[must_use]
    pub fn get_all(&self, name: &str) -> Vec<String> {
        let named = |pair: &(Vec<u8>, Vec<u8>)| pair.0.eq_ignore_ascii_case(name.as_bytes());
        self.pairs()
            .into_iter()
            .filter(named)
            .map(|pair| text(pair.1))
            .collect()
    }

    /// Every name with its value, in order; pseudo-headers begin with a colon.
    #[must_use]
    pub fn all(&self) -> Vec<(String, String)> {
        self.pairs()
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    /// Every name with its value as it came, in order; pseudo-headers begin with a colon. For what has
    /// to tell values apart or hand them on: as text, all bytes that are no UTF-8 are alike.
    #[must_use]
    pub fn all_bytes(&self) -> Vec<(String, Vec<u8>)> {
        self.pairs()
            .into_iter()
            .map(|(name, value)| (text(name), value))
            .collect()
    }

    fn pairs(&self) -> tidegate_sdk_sys::Pairs {
        self.stream.focus();
        host().headers(self.map).unwrap_or_default()
    }
}

/// Headers to edit.
#[derive(Debug)]
pub struct HeadersMut<'a> {
    stream: &'a Stream,
    map: MapType,
}

impl<'a> HeadersMut<'a> {
    pub(crate) const fn new(stream: &'a Stream, map: MapType) -> Self {
        Self { stream, map }
    }

    /// To read them.
    #[must_use]
    pub const fn as_ref(&self) -> Headers<'_> {
        Headers::new(self.stream, self.map)
    }

    /// Sets a header to one value, in the place of all it had.
    ///
    /// # Errors
    /// If HTTP does not allow the name or the value, or the headers have gone on already.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let value = value.as_ref();
        check(name, value)?;
        self.stream.focus();
        host()
            .replace_header(self.map, name.as_bytes(), value)
            .map_err(|status| Error::host("set a header", status))
    }

    /// Adds a value to those that a header has.
    ///
    /// # Errors
    /// As [`set`](Self::set).
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<()> {
        let value = value.as_ref();
        check(name, value)?;
        self.stream.focus();
        host()
            .add_header(self.map, name.as_bytes(), value)
            .map_err(|status| Error::host("add a header", status))
    }

    /// Removes a header with all its values, if it is there.
    pub fn remove(&mut self, name: &str) {
        self.stream.focus();
        if let Err(status) = host().remove_header(self.map, name.as_bytes()) {
            let why = status.text();
            crate::log::log_line(
                crate::log::LogLevel::Warn,
                &["cannot remove header ", name, ": ", &why],
            );
        }
    }
}

/// Names and values that we hold ourselves: of answers and of responses of our own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderList(pub(crate) Vec<(Vec<u8>, Vec<u8>)>);

impl HeaderList {
    /// The first value with this name, like [`Headers::get`].
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.values(name).next().map(|value| text(value.to_vec()))
    }

    /// Every value with this name, in order.
    #[must_use]
    pub fn get_all(&self, name: &str) -> Vec<String> {
        self.values(name)
            .map(|value| text(value.to_vec()))
            .collect()
    }

    /// Every name with its value, in order.
    #[must_use]
    pub fn all(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(name, value)| (text(name.clone()), text(value.clone())))
            .collect()
    }

    /// Every name with its value as it came, in order, like [`Headers::all_bytes`].
    #[must_use]
    pub fn all_bytes(&self) -> Vec<(String, Vec<u8>)> {
        self.0
            .iter()
            .map(|(name, value)| (text(name.clone()), value.clone()))
            .collect()
    }

    pub(crate) fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let name = name.as_bytes().to_vec();
        self.0
            .iter()
            .filter(move |pair| pair.0.eq_ignore_ascii_case(&name))
            .map(|pair| &pair.1[..])
    }

    pub(crate) fn add(&mut self, name: &str, value: &[u8]) -> Result<()> {
        check(name, value)?;
        self.0
            .push((name.to_ascii_lowercase().into_bytes(), value.to_vec()));
        Ok(())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0
            .retain(|pair| !pair.0.eq_ignore_ascii_case(name.as_bytes()));
    }

    pub(crate) fn borrowed(&self) -> Vec<(&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (&name[..], &value[..]))
            .collect()
    }
}

/// Text of what should be text.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| lossy(error.as_bytes()))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Names are tokens (RFC 9110, 5.1) or begin with a colon; values have no CR, LF or NUL (5.5).
fn check(name: &str, value: &[u8]) -> Result<()> {
    let bare = name.strip_prefix(':').unwrap_or(name).as_bytes();
    let is_name = in_eights(bare, are_plain) || bare.iter().all(|it| is_of_token(*it));
    if bare.is_empty() || !is_name {
        return Err(wrong("not a name of a header: ", name));
    }
    let is_allowed = |it: &u8| !matches!(it, b'\r' | b'\n' | 0);
    if !in_eights(value, are_no_controls) && !value.iter().all(is_allowed) {
        return Err(wrong(
            "not a value of a header (CR, LF or NUL in it): ",
            name,
        ));
    }
    Ok(())
}

/// Whether all bytes are `good`, which eight are asked for at once; `false` also if there are fewer. Hosts
/// count the turns of loops in modules, and every edit of a header asks: so there are few.
#[inline]
fn in_eights(bytes: &[u8], good: impl Fn(u64) -> bool) -> bool {
    // The last eight may have been looked at already.
    bytes.last_chunk().is_some_and(|last| {
        let (eights, _) = bytes.as_chunks();
        let mut all = eights.iter().chain([last]);
        all.all(|it| good(u64::from_le_bytes(*it)))
    })
}

/// The same byte eight times.
const fn eight(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Whether these bytes are small letters and hyphens, as nearly all names are.
const fn are_plain(bytes: u64) -> bool {
    // The high bit of each byte says what is asked; below 128, no sum reaches the next byte.
    let from_a = bytes.wrapping_add(eight(0x80 - b'a'));
    let beyond_z = bytes.wrapping_add(eight(0x80 - b'z' - 1));
    let no_hyphen = (bytes ^ eight(b'-')).wrapping_add(eight(0x7f));
    let good = (from_a & !beyond_z | !no_hyphen) & !bytes;
    good & eight(0x80) == eight(0x80)
}

/// Whether none of these bytes is below 32: then none is CR, LF or NUL. Some that pass all the same are
/// said to be, after one that is.
const fn are_no_controls(bytes: u64) -> bool {
    bytes.wrapping_sub(eight(0x20)) & !bytes & eight(0x80) == 0
}

/// Whether a byte may be in a token: letters, digits and these.
const fn is_of_token(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'^'..=b'z' | b'|' | b'~'
    )
}

#[cold]
fn wrong(what: &str, name: &str) -> Error {
    Error::new(concat(&[what, name]))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn long_names_and_values_are_held_to_the_same() {
        for len in [8, 9, 15, 16, 17] {
            for at in 0..len {
                for byte in 0..=127_u8 {
                    let mut bytes = vec![b'z'; len];
                    bytes[at] = byte;
                    let name = std::str::from_utf8(&bytes).unwrap();
                    let short = char::from(byte).to_string();
                    let (one, other) = (check(name, b""), check(&short, b""));
                    let may_begin = at == 0 && byte == b':';
                    assert_eq!(one.is_ok(), other.is_ok() || may_begin, "{name:?}");
                }
                for byte in 0..=255_u8 {
                    let mut bytes = vec![b'~'; len];
                    bytes[at] = byte;
                    let (one, other) = (check("x", &bytes), check("x", &[byte]));
                    assert_eq!(one.is_ok(), other.is_ok(), "{byte} at {at} of {len}");
                }
            }
        }
    }

    #[test]
    fn names_are_tokens_and_values_have_no_ends_of_lines() {
        for byte in 0..=255_u8 {
            let name = String::from(char::from(byte));
            let allowed = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(check(&name, b"").is_ok(), allowed, "name {byte}");
            let allowed = !matches!(byte, 0 | b'\r' | b'\n');
            assert_eq!(check("x", &[b'a', byte]).is_ok(), allowed, "value {byte}");
        }
        assert!(check(":path", b"/").is_ok());
        assert!(check("", b"").is_err());
        assert!(check(":", b"").is_err());
        assert!(check("a:b", b"").is_err());
    }
}

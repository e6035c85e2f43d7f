//! The headers or trailers of a message, read and edited where the host has them.
//!
//! Nothing is copied but what is asked for. Names are compared without case.

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
            let why = status.to_string();
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
    let bare = name.strip_prefix(':').unwrap_or(name);
    let token = |it: u8| it.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&it);
    if bare.is_empty() || !bare.bytes().all(token) {
        return Err(Error::new(["not a name of a header: ", name].concat()));
    }
    if value.iter().any(|it| matches!(it, b'\r' | b'\n' | 0)) {
        return Err(Error::new(
            ["not a value of a header (CR, LF or NUL in it): ", name].concat(),
        ));
    }
    Ok(())
}

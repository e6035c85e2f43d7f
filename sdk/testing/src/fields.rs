//! Headers and trailers as tests write and read them.

use std::fmt;

/// Names and values in order; names are compared without case.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Fields(pub(crate) Vec<(String, Vec<u8>)>);

impl Fields {
    /// The first value with this name, as text.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name).map(text)
    }

    /// The first value with this name, as it came.
    #[must_use]
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        self.named(name).next()
    }

    /// Every value with this name.
    #[must_use]
    pub fn get_all(&self, name: &str) -> Vec<String> {
        self.named(name).map(text).collect()
    }

    /// Every name, in lower case, with its value.
    #[must_use]
    pub fn all(&self) -> Vec<(String, String)> {
        let pairs = self.0.iter();
        pairs
            .map(|(name, value)| (name.clone(), text(value)))
            .collect()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn named<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let name = name.to_ascii_lowercase();
        let pairs = self.0.iter();
        pairs
            .filter(move |(known, _)| *known == name)
            .map(|(_, value)| value.as_slice())
    }

    pub(crate) fn add(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.0.push((name.to_ascii_lowercase(), value.into()));
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.0
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The content length, if there is one that is a number.
    pub(crate) fn length(&self) -> Option<usize> {
        self.get("content-length")?.trim().parse().ok()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.all()).finish()
    }
}

/// Text of what should be text; what is no UTF-8 becomes U+FFFD.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

//! Another path instead of a request's, whole or in part.
//!
//! Owns how a replaced prefix and the rest of the path are joined (the table at Gateway API
//! `HTTPPathModifier.replacePrefixMatch`). What comes out has the normal form, as all paths have.

use http::HeaderValue;

use super::PathEdit;
use super::Rewrite;
use crate::message::RequestHead;
use crate::path;

impl Rewrite {
    /// Changes host and path of what is sent to the backend.
    ///
    /// `prefix` is what the rule found: see [`crate::route::Found::prefix`].
    pub fn apply(&self, request: &mut RequestHead, prefix: Option<usize>) {
        let Self { host, path } = self;
        if let Some(host) = host {
            request.authority = host.clone();
        }
        if let Some(edit) = path
            && let Some(path) = edit.apply(&request.path, prefix)
        {
            request.path = path;
        }
    }
}

impl PathEdit {
    /// The new path and query, or `None` if nothing changes.
    pub(super) fn apply(&self, target: &HeaderValue, prefix: Option<usize>) -> Option<HeaderValue> {
        let (path, query) = split_query(target.as_bytes());
        if path == b"*" {
            return None; // A request about the whole server has no path.
        }
        let mut edited = match self {
            Self::Full(text) => text.as_bytes().to_vec(),
            Self::Prefix(text) => replace(path, prefix?, text.as_bytes())?,
        };
        if edited.first() != Some(&b'/') {
            edited.insert(0, b'/');
        }
        edited.extend_from_slice(query);
        let normal = path::normalise(&edited).ok()?;
        HeaderValue::from_bytes(&normal).ok()
    }
}

/// The path, and the query with its question mark.
pub(super) fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    let query_at = target.iter().position(|byte| *byte == b'?');
    target.split_at(query_at.unwrap_or(target.len()))
}

/// A path with another prefix; slashes at the end of the new one count for nothing.
fn replace(path: &[u8], prefix: usize, new: &[u8]) -> Option<Vec<u8>> {
    let (old, mut rest) = path.split_at_checked(prefix)?;
    if old.is_empty() && rest == b"/" {
        rest = b""; // The path is the prefix `/`, as `/a` is the prefix `/a`.
    }
    if rest.first().is_some_and(|byte| *byte != b'/') {
        return None; // Not a prefix of whole segments: this path is not the one that matched.
    }
    let new = new.strip_suffix(b"/").unwrap_or(new);
    Some([new, rest].concat())
}

//! Edits of header fields by a rule.
//!
//! Owns the order of edits, and the list of fields that no rule may edit.

use http::HeaderMap;
use http::HeaderName;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::HOST;
use http::header::TE;
use http::header::TRAILER;
use http::header::TRANSFER_ENCODING;
use http::header::UPGRADE;

use super::HeaderEdits;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Whether a field is not a rule's to edit: those that frame a message or belong to one connection
/// are written by us, and the host is changed by [`super::Rewrite`].
///
/// Configurations that name such a field are refused; should one get here, it is passed over.
pub fn is_protected(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH
        || *name == TRANSFER_ENCODING
        || *name == TRAILER
        || *name == CONNECTION
        || *name == TE
        || *name == UPGRADE
        || *name == KEEP_ALIVE
        || *name == PROXY_CONNECTION
        || *name == HOST
}

impl HeaderEdits {
    /// Edits the fields of a head: a field that is set loses all its lines to the new one, one that
    /// is added gets one more, one that is removed loses all.
    pub fn apply(&self, headers: &mut HeaderMap) {
        let Self { set, add, remove } = self;
        // Both fail only beyond 32,768 fields, far above what a head may have.
        for (name, value) in set.iter().filter(|(name, _)| !is_protected(name)) {
            if headers.try_insert(name.clone(), value.clone()).is_err() {
                return;
            }
        }
        for (name, value) in add.iter().filter(|(name, _)| !is_protected(name)) {
            if headers.try_append(name.clone(), value.clone()).is_err() {
                return;
            }
        }
        for name in remove.iter().filter(|name| !is_protected(name)) {
            headers.remove(name);
        }
    }
}

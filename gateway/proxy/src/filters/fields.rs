//! Header maps as guests read and edit them.
//!
//! Owns the mapping between names with pseudo-headers and the head types. Names and values that
//! cannot be sent mark the exchange as invalid instead of being dropped: the client's own value
//! must not get through in place of the filter's.

use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::StatusCode;
use http::header::ACCEPT;
use http::header::ACCEPT_ENCODING;
use http::header::CACHE_CONTROL;
use http::header::CONNECTION;
use http::header::CONTENT_LENGTH;
use http::header::CONTENT_TYPE;
use http::header::HOST;
use http::header::HeaderName;
use http::header::TE;
use http::header::TRANSFER_ENCODING;
use http::header::UPGRADE;
use http::header::USER_AGENT;
use http::header::VIA;
use tidegate_core::message::RequestHead;
use tidegate_core::message::ResponseHead;
use tidegate_host_abi::HeaderEdit;

/// The header cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invalid;

/// A head or a set of trailers that a guest edits.
pub(crate) trait Fields {
    /// The value of a pseudo-header; `None` if there is no such one here.
    fn pseudo(&self, name: &[u8]) -> Option<&[u8]>;
    /// Sets a pseudo-header.
    fn set_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Invalid>;
    /// Calls `visit` with every pseudo-header, in the order guests expect.
    fn visit_pseudo(&self, visit: &mut dyn FnMut(&[u8], &[u8]));
    /// The ordinary fields.
    fn map(&self) -> &HeaderMap;
    /// The ordinary fields, to edit.
    fn map_mut(&mut self) -> &mut HeaderMap;
}

impl Fields for RequestHead {
    fn pseudo(&self, name: &[u8]) -> Option<&[u8]> {
        match name {
            b":method" => Some(self.method.as_str().as_bytes()),
            b":path" => Some(self.path.as_bytes()),
            b":authority" => Some(self.authority.as_bytes()),
            b":scheme" => Some(self.scheme.as_bytes()),
            _ => None,
        }
    }

    fn set_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Invalid> {
        let parsed = HeaderValue::from_bytes(value).map_err(|_| Invalid);
        match name {
            // A tunnel is framed otherwise than a request.
            b":method" if value == b"CONNECT" => return Err(Invalid),
            b":method" => self.method = Method::from_bytes(value).map_err(|_| Invalid)?,
            b":path" => self.path = parsed?,
            b":authority" => self.authority = parsed?,
            b":scheme" => self.scheme = parsed?,
            _ => return Err(Invalid),
        }
        Ok(())
    }

    fn visit_pseudo(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b":authority", self.authority.as_bytes());
        visit(b":path", self.path.as_bytes());
        visit(b":method", self.method.as_str().as_bytes());
        visit(b":scheme", self.scheme.as_bytes());
    }

    fn map(&self) -> &HeaderMap {
        &self.headers
    }

    fn map_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl Fields for ResponseHead {
    fn pseudo(&self, name: &[u8]) -> Option<&[u8]> {
        (name == b":status").then(|| self.status.as_str().as_bytes())
    }

    fn set_pseudo(&mut self, name: &[u8], value: &[u8]) -> Result<(), Invalid> {
        if name != b":status" {
            return Err(Invalid);
        }
        let status = StatusCode::from_bytes(value).map_err(|_| Invalid)?;
        if status.is_informational() {
            return Err(Invalid);
        }
        self.status = status;
        Ok(())
    }

    fn visit_pseudo(&self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        visit(b":status", self.status.as_str().as_bytes());
    }

    fn map(&self) -> &HeaderMap {
        &self.headers
    }

    fn map_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }
}

impl Fields for HeaderMap {
    fn pseudo(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }

    fn set_pseudo(&mut self, _: &[u8], _: &[u8]) -> Result<(), Invalid> {
        Err(Invalid)
    }

    fn visit_pseudo(&self, _: &mut dyn FnMut(&[u8], &[u8])) {}

    fn map(&self) -> &HeaderMap {
        self
    }

    fn map_mut(&mut self) -> &mut HeaderMap {
        self
    }
}

/// The first value of a field.
pub(crate) fn get<'a>(fields: &'a dyn Fields, name: &[u8]) -> Option<&'a [u8]> {
    if name.first() == Some(&b':') {
        return fields.pseudo(name);
    }
    // HTTP/1 clients say `host`; guests may ask for it by that name too.
    if name.eq_ignore_ascii_case(b"host") {
        return fields.pseudo(b":authority");
    }
    let name = std::str::from_utf8(name).ok()?;
    fields.map().get(name).map(HeaderValue::as_bytes)
}

/// Joins the lines of fields that Envoy knows to one line: filters ask for one value and mean all.
pub(crate) fn join_lines(headers: &mut HeaderMap) {
    if headers.len() == headers.keys_len() {
        return; // The usual case.
    }
    for name in [
        ACCEPT,
        ACCEPT_ENCODING,
        CACHE_CONTROL,
        CONTENT_TYPE,
        USER_AGENT,
        VIA,
    ] {
        let lines = headers.get_all(&name);
        if lines.iter().nth(1).is_none() {
            continue;
        }
        let lines: Vec<&[u8]> = lines.iter().map(HeaderValue::as_bytes).collect();
        // Values that came as headers make one.
        if let Ok(joined) = HeaderValue::from_bytes(&lines.join(&b","[..])) {
            headers.insert(name, joined);
        }
    }
}

/// Calls `visit` with every field, pseudo-headers first.
pub(crate) fn visit(fields: &dyn Fields, visit: &mut dyn FnMut(&[u8], &[u8])) {
    fields.visit_pseudo(visit);
    for (name, value) in fields.map() {
        visit(name.as_str().as_bytes(), value.as_bytes());
    }
}

/// Applies one edit.
pub(crate) fn edit(fields: &mut dyn Fields, edit: HeaderEdit<'_>) -> Result<(), Invalid> {
    match edit {
        HeaderEdit::Add { name, value } => put(fields, name, value, Put::Append),
        HeaderEdit::Set { name, value } => put(fields, name, value, Put::Replace),
        HeaderEdit::Remove { name } => {
            if name.first() == Some(&b':') {
                // A head without one of these is no head.
                return Err(Invalid);
            }
            if let Ok(name) = HeaderName::from_bytes(name) {
                fields.map_mut().remove(name);
            }
            Ok(())
        }
        HeaderEdit::ReplaceAll(pairs) => replace_all(fields, pairs),
    }
}

/// Fields that filters may make a head grow to.
const MAX_FIELDS: usize = 256;
/// Bytes of one value that a filter sets.
const MAX_VALUE_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Put {
    Append,
    Replace,
}

fn put(fields: &mut dyn Fields, name: &[u8], value: &[u8], how: Put) -> Result<(), Invalid> {
    if name.first() == Some(&b':') {
        return fields.set_pseudo(name, value);
    }
    let name = HeaderName::from_bytes(name).map_err(|_| Invalid)?;
    if name == HOST {
        return fields.set_pseudo(b":authority", value);
    }
    if is_ours(&name) {
        tracing::debug!(%name, "a filter's framing or connection field is ignored");
        return Ok(());
    }
    if fields.map().len() >= MAX_FIELDS || value.len() > MAX_VALUE_BYTES {
        return Err(Invalid); // No origin takes such a head, and memory is not the guest's.
    }
    let value = HeaderValue::from_bytes(value).map_err(|_| Invalid)?;
    let put = match how {
        Put::Append => fields.map_mut().try_append(name, value).map(|_| ()),
        Put::Replace => fields.map_mut().try_insert(name, value).map(|_| ()),
    };
    put.map_err(|_| Invalid)
}

/// Replaces the whole map. Framing fields that the guest lists are kept as they were; those it
/// leaves out are removed, as by name.
fn replace_all(fields: &mut dyn Fields, pairs: &[(&[u8], &[u8])]) -> Result<(), Invalid> {
    let length = fields.map().get(CONTENT_LENGTH).cloned();
    fields.map_mut().clear();
    for (name, value) in pairs {
        if name.eq_ignore_ascii_case(b"content-length") {
            if let Some(length) = &length {
                fields.map_mut().insert(CONTENT_LENGTH, length.clone());
            }
            continue;
        }
        put(fields, name, value, Put::Append)?;
    }
    Ok(())
}

/// Fields that the gateway itself writes; a guest's value is ignored.
fn is_ours(name: &HeaderName) -> bool {
    *name == CONTENT_LENGTH
        || *name == CONNECTION
        || *name == TRANSFER_ENCODING
        || *name == TE
        || *name == UPGRADE
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tidegate_core::message::RequestHead;
    use tidegate_host_abi::HeaderEdit;

    use super::Invalid;
    use super::edit;
    use super::get;
    use super::join_lines;

    fn set<'a>(name: &'a str, value: &'a str) -> HeaderEdit<'a> {
        HeaderEdit::Set {
            name: name.as_bytes(),
            value: value.as_bytes(),
        }
    }

    #[test]
    fn pseudo_headers_change_the_head() {
        let mut head = RequestHead::default();
        assert_eq!(edit(&mut head, set(":path", "/x")), Ok(()));
        assert_eq!(edit(&mut head, set("Host", "a.test")), Ok(()));
        assert_eq!(
            (head.path.as_bytes(), head.authority.as_bytes()),
            (&b"/x"[..], &b"a.test"[..])
        );
        assert_eq!(get(&head, b"host"), Some(&b"a.test"[..]));
    }

    #[test]
    fn lines_of_known_lists_become_one() {
        let mut head = RequestHead::default();
        for (name, value) in [("accept", "a"), ("x", "1"), ("accept", "b"), ("x", "2")] {
            head.headers.append(name, HeaderValue::from_static(value));
        }
        join_lines(&mut head.headers);
        assert_eq!(get(&head, b"accept"), Some(&b"a,b"[..]));
        assert_eq!(get(&head, b"x"), Some(&b"1"[..]));
        assert_eq!(head.headers.len(), 3);
    }

    #[test]
    fn what_cannot_be_sent_is_invalid() {
        let mut head = RequestHead::default();
        for (name, value) in [
            ("x", "a\r\nb: c"),
            ("x y", "1"),
            ("", "1"),
            (":method", "A B"),
            (":method", "CONNECT"),
            (":nope", "1"),
            ("x", "\0"),
        ] {
            assert_eq!(edit(&mut head, set(name, value)), Err(Invalid), "{name:?}");
        }
    }

    #[test]
    fn a_guest_cannot_grow_a_head_without_end() {
        let mut head = RequestHead::default();
        let add = || HeaderEdit::Add {
            name: b"x",
            value: b"1",
        };
        let fits = (0..100_000)
            .take_while(|_| edit(&mut head, add()).is_ok())
            .count();
        assert_eq!(fits, super::MAX_FIELDS);
        let long = "a".repeat(super::MAX_VALUE_BYTES + 1);
        assert_eq!(
            edit(&mut RequestHead::default(), set("x", &long)),
            Err(Invalid)
        );
    }

    #[test]
    fn framing_fields_of_guests_are_ignored() {
        let mut head = RequestHead::default();
        head.headers
            .insert("content-length", HeaderValue::from_static("3"));
        for name in [
            "content-length",
            "Transfer-Encoding",
            "connection",
            "te",
            "upgrade",
        ] {
            assert_eq!(edit(&mut head, set(name, "99")), Ok(()));
        }
        assert_eq!(head.headers.len(), 1);
        assert_eq!(head.headers["content-length"], "3");
    }
}

//! Heads of calls, from and to the pairs that guests know.
//!
//! Owns what of a guest's head is sent: it frames nothing.

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::Method;
use http::header::HeaderName;
use tidegate_core::hop_by_hop;
use tidegate_core::message::RequestHead;
use tidegate_host_abi::HttpCall;

/// The head that a guest asked for; `None` if it is none.
pub(super) fn request_head(call: &HttpCall) -> Option<RequestHead> {
    let mut head = RequestHead::default();
    for (name, value) in &call.headers {
        match name.as_ref() {
            b":method" => head.method = Method::from_bytes(value).ok()?,
            b":path" => head.path = HeaderValue::from_bytes(value).ok()?,
            b":authority" => head.authority = HeaderValue::from_bytes(value).ok()?,
            b":scheme" => head.scheme = HeaderValue::from_bytes(value).ok()?,
            _ => {}
        }
    }
    let path = head.path.as_bytes();
    if path.contains(&b' ') || !path.starts_with(b"/") {
        return None;
    }
    head.headers = headers(&call.headers)?;
    // A guest frames nothing.
    hop_by_hop::strip(&mut head.headers);
    head.headers.remove(http::header::TRANSFER_ENCODING);
    Some(head)
}

/// The fields that a guest gave, without pseudo-headers.
pub(super) fn headers(pairs: &[(Bytes, Bytes)]) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in pairs.iter().filter(|(name, _)| !name.starts_with(b":")) {
        let name = HeaderName::from_bytes(name).ok()?;
        map.append(name, HeaderValue::from_maybe_shared(value.clone()).ok()?);
    }
    Some(map)
}

/// Fields as guests get them.
pub(crate) fn append_pairs(pairs: &mut Vec<(Bytes, Bytes)>, headers: &HeaderMap) {
    for (name, value) in headers {
        let name = Bytes::copy_from_slice(name.as_str().as_bytes());
        pairs.push((name, Bytes::copy_from_slice(value.as_bytes())));
    }
}

/// A field as guests get it.
pub(crate) fn pair(name: &'static str, value: &str) -> (Bytes, Bytes) {
    (
        Bytes::from_static(name.as_bytes()),
        Bytes::copy_from_slice(value.as_bytes()),
    )
}

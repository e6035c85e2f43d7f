//! The attributes of an exchange that filters read.
//!
//! Owns what each name means here. What does not exist in this gateway, or is not known yet, is
//! absent, never an error.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;
use http::HeaderValue;
use http::header;
use tidegate_core::forwarded::X_REQUEST_ID;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;

pub(crate) mod flags;
mod response;
pub(crate) mod routing;
pub(crate) mod tls;

use crate::exchange::state::Phase;
use crate::exchange::state::State;
use crate::filters::fields;
use crate::filters::fields::Fields;

/// The key of the filter state that says who is at the other end of the connection, whoever the
/// client is. Envoy has nothing of the kind unless its configuration sets it.
pub(crate) const PEER_ADDRESS: &[u8] = b"tidegate.peer_address";

/// The key of the filter state that has all URI names of the client's certificate, with commas
/// between them; the attribute that Envoy has gives the first only.
pub(crate) const PEER_URI_SANS: &[u8] = b"tidegate.peer_uri_sans";

/// The value of a property now.
pub(crate) fn read<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    match property {
        Property::FilterState(PEER_ADDRESS) => Some(text(state.facts.peer.to_string())),
        Property::FilterState(PEER_URI_SANS) => tls::peer_uris(state.facts.secured.as_deref()?),
        Property::Other(path) => custom(state, path),
        Property::FilterState(key) => custom(state, key.strip_prefix(b"wasm.").unwrap_or(key)),
        // Nothing sets dynamic metadata yet: an empty message, with an empty map.
        Property::Metadata(b"") => Some(bytes(b"")),
        Property::Metadata(b"filter_metadata" | b"typed_filter_metadata") => {
            Some(PropertyValue::Map(Vec::new()))
        }
        _ => request(state, property)
            .or_else(|| response::read(state, property))
            .or_else(|| connection(state, property))
            .or_else(|| routing::read(state, property)),
    }
}

fn custom<'a>(state: &'a State, path: &[u8]) -> Option<PropertyValue<'a>> {
    let found = state.properties.iter().find(|(known, _)| known == path);
    found.map(|(_, value)| bytes(value))
}

fn request<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    let head = &state.request;
    let path = head.path.as_bytes();
    let query_at = memchr::memchr(b'?', path);
    let value = match property {
        Property::RequestPath => bytes(path),
        Property::RequestUrlPath => bytes(path.split_at(query_at.unwrap_or(path.len())).0),
        Property::RequestQuery => bytes(query_at.and_then(|at| path.get(at + 1..)).unwrap_or(b"")),
        Property::RequestHost => bytes(head.authority.as_bytes()),
        Property::RequestScheme => bytes(head.scheme.as_bytes()),
        Property::RequestMethod => bytes(head.method.as_str().as_bytes()),
        Property::RequestHeaders => map(head),
        Property::RequestHeader(name) => return joined(&head.headers, name),
        Property::RequestReferer => return field(&head.headers, &header::REFERER),
        Property::RequestUserAgent => return field(&head.headers, &header::USER_AGENT),
        Property::RequestId => return field(&head.headers, &X_REQUEST_ID),
        Property::RequestProtocol => bytes(state.facts.version.property().as_bytes()),
        Property::RequestTime => nanos(u128::from(state.facts.started_unix_nanos)),
        Property::RequestDuration if state.phase == Phase::Done => {
            nanos(state.facts.started.elapsed().as_nanos())
        }
        Property::RequestSize => {
            let announced = head.headers.get(header::CONTENT_LENGTH);
            let announced = announced.and_then(|value| value.to_str().ok()?.parse().ok());
            PropertyValue::Int(announced.unwrap_or_else(|| int(state.facts.received)))
        }
        Property::RequestHeadersBytes => PropertyValue::Int(size(head)),
        Property::RequestTotalSize => PropertyValue::Int(size(head) + int(state.facts.received)),
        _ => return None,
    };
    Some(value)
}

fn connection<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    let facts = &state.facts;
    let value = match property {
        Property::SourceAddress => text(facts.source().to_string()),
        Property::SourcePort => PropertyValue::Int(i64::from(facts.source().port())),
        Property::DestinationAddress => text(facts.local.to_string()),
        Property::DestinationPort => PropertyValue::Int(i64::from(facts.local.port())),
        Property::ConnectionId => PropertyValue::Int(int(facts.connection_id)),
        Property::ConnectionMtls => {
            let secured = facts.secured.as_ref();
            PropertyValue::Bool(secured.is_some_and(|secured| secured.client.is_some()))
        }
        // Without TLS, no name was asked for.
        Property::ConnectionRequestedServerName => {
            let secured = facts.secured.as_ref();
            bytes(secured.map_or(b"", |secured| secured.server_name.as_bytes()))
        }
        _ => return tls::read(facts.secured.as_deref()?, property),
    };
    Some(value)
}

fn text(text: String) -> PropertyValue<'static> {
    PropertyValue::Bytes(Cow::Owned(text.into_bytes()))
}

fn bytes(value: &[u8]) -> PropertyValue<'_> {
    PropertyValue::Bytes(Cow::Borrowed(value))
}

fn nanos(nanos: u128) -> PropertyValue<'static> {
    PropertyValue::Nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
}

fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn field<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<PropertyValue<'a>> {
    headers.get(name).map(|value| bytes(value.as_bytes()))
}

/// All values of a field, joined as one (RFC 9110 §5.3).
fn joined<'a>(headers: &'a HeaderMap, name: &[u8]) -> Option<PropertyValue<'a>> {
    let name = header::HeaderName::from_bytes(name).ok()?;
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let first = values.next()?;
    let mut rest = values.peekable();
    if rest.peek().is_none() {
        return Some(bytes(first));
    }
    let mut all = first.to_vec();
    for value in rest {
        all.push(b',');
        all.extend_from_slice(value);
    }
    Some(PropertyValue::Bytes(Cow::Owned(all)))
}

fn map(head: &dyn Fields) -> PropertyValue<'static> {
    let mut pairs = Vec::new();
    fields::visit(head, &mut |name, value| {
        pairs.push((Bytes::copy_from_slice(name), Bytes::copy_from_slice(value)));
    });
    PropertyValue::Map(pairs)
}

fn size(head: &dyn Fields) -> i64 {
    let mut size = 0;
    fields::visit(head, &mut |name, value| size += name.len() + value.len());
    i64::try_from(size).unwrap_or(i64::MAX)
}

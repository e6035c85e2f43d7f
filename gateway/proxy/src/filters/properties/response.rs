//! What is known of the response.
//!
//! Before there is one its sizes are 0 and its maps empty, as in Envoy.

use http::HeaderMap;
use http::HeaderValue;
use tidegate_core::grpc;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;

use super::bytes;
use super::flags;
use super::int;
use super::joined;
use super::map;
use super::nanos;
use super::size;

use crate::exchange::state::Phase;
use crate::exchange::state::State;

pub(super) fn read<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    let head = (state.phase >= Phase::ResponseHeaders).then_some(&state.response);
    let no_fields = || PropertyValue::Map(Vec::new());
    let value = match property {
        Property::ResponseCode => PropertyValue::Int(i64::from(head?.status.as_u16())),
        Property::ResponseCodeDetails => bytes(head.map(|_| details(state))?),
        Property::ResponseFlags => PropertyValue::Int(flags::bits(state.facts.flag, state.delayed)),
        Property::ResponseGrpcStatus => PropertyValue::Int(grpc_status(state)?),
        Property::ResponseHeaders => head.map_or_else(no_fields, |head| map(head)),
        Property::ResponseHeader(name) => return joined(&head?.headers, name),
        Property::ResponseTrailers => {
            let trailers = state.response_trailers.as_ref();
            trailers.map_or_else(no_fields, |trailers| map(&**trailers))
        }
        Property::ResponseTrailer(name) => return joined(state.response_trailers.as_ref()?, name),
        Property::ResponseSize => PropertyValue::Int(int(state.body_sent)),
        Property::ResponseTotalSize => {
            PropertyValue::Int(head.map_or(0, |head| size(head)) + int(state.body_sent))
        }
        Property::ResponseHeadersBytes => PropertyValue::Int(head.map_or(0, |head| size(head))),
        Property::ResponseBackendLatency => {
            let way = state.way.as_ref()?;
            nanos(
                way.answered?
                    .saturating_duration_since(way.asked?)
                    .as_nanos(),
            )
        }
        _ => return None,
    };
    Some(value)
}

/// Why the response is as it is, in a word.
fn details(state: &State) -> &[u8] {
    let facts = &state.facts;
    match (facts.details.is_empty(), facts.flag) {
        (false, _) => &facts.details,
        (true, "") => b"via_upstream",
        (true, flag) => flag.as_bytes(),
    }
}

/// The status of a gRPC call, from trailers, else from headers, else from the HTTP status.
fn grpc_status(state: &State) -> Option<i64> {
    if state.phase < Phase::ResponseHeaders {
        return None;
    }
    let said = |fields: &HeaderMap| fields.get("grpc-status").and_then(number);
    let trailers = state.response_trailers.as_deref();
    let said = trailers
        .and_then(said)
        .or_else(|| said(&state.response.headers));
    let status = state.response.status;
    Some(said.unwrap_or_else(|| i64::from(grpc::status_of_http(status))))
}

fn number(value: &HeaderValue) -> Option<i64> {
    value.to_str().ok()?.parse().ok()
}

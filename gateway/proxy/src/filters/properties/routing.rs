//! Where an exchange belongs: listener, route, backend, and the way to the origin.
//!
//! A route is known before it is chosen for good: a filter that asks gets the one that the head, as
//! it is now, leads to.

use std::borrow::Cow;

use tidegate_core::backend::Backend;
use tidegate_core::request::is_normal;
use tidegate_core::request::renormalise;
use tidegate_core::route::Rule;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;

use super::bytes;
use super::int;
use super::nanos;
use crate::exchange::request::find;
use crate::exchange::request::share_of;
use crate::exchange::state::State;

/// Envoy's number for a listener that takes traffic in.
const INBOUND: i64 = 1;

pub(super) fn read<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    // Resources carry no metadata for filters: Envoy's are empty messages.
    let no_metadata = || bytes(b"");
    let value = match property {
        Property::XdsRouteName => bytes(rule(state)?.name.as_bytes()),
        Property::XdsRouteMetadata | Property::XdsVirtualHostMetadata => {
            rule(state).map(|_| no_metadata())?
        }
        Property::XdsClusterName => bytes(backend(state)?.name.as_str().as_bytes()),
        Property::XdsClusterMetadata => backend(state).map(|_| no_metadata())?,
        Property::XdsVirtualHostName => {
            rule(state)?;
            bytes(listener(state)?)
        }
        Property::XdsFilterChainName => bytes(listener(state)?),
        Property::XdsListenerMetadata => listener(state).map(|_| no_metadata())?,
        Property::XdsListenerDirection => PropertyValue::Int(INBOUND),
        Property::XdsUpstreamHostMetadata => {
            state.facts.endpoint?;
            PropertyValue::NoBytes
        }
        Property::UpstreamNumEndpoints => PropertyValue::Int(int(endpoints(state)? as u64)),
        _ => return upstream(state, property),
    };
    Some(value)
}

fn upstream<'a>(state: &'a State, property: &Property<'_>) -> Option<PropertyValue<'a>> {
    let endpoint = state.facts.endpoint;
    let text = |text: String| PropertyValue::Bytes(Cow::Owned(text.into_bytes()));
    let value = match property {
        Property::UpstreamAddress => text(endpoint?.to_string()),
        Property::UpstreamPort => PropertyValue::Int(i64::from(endpoint?.port())),
        Property::UpstreamRequestAttemptCount => {
            PropertyValue::Int(i64::from(state.facts.attempts))
        }
        Property::UpstreamLocalAddress => text(state.way.as_ref()?.local?.to_string()),
        Property::UpstreamCxPoolReadyDuration => nanos(state.way.as_ref()?.ready_after.as_nanos()),
        // Endpoints have no locality yet.
        Property::UpstreamLocality => endpoint.map(|_| bytes(b""))?,
        Property::UpstreamTransportFailureReason => {
            endpoint?;
            let flag = state.facts.flag;
            bytes(
                if flag.starts_with("connect_") || flag.starts_with("upstream_tls_") {
                    flag.as_bytes()
                } else {
                    b""
                },
            )
        }
        _ => return None,
    };
    Some(value)
}

fn listener(state: &State) -> Option<&[u8]> {
    let place = state.chain.place.as_ref()?;
    Some(place.listener.name.as_bytes())
}

/// The rule that has the request, or would have it as it is now.
pub(crate) fn rule(state: &State) -> Option<&Rule> {
    match &state.routed {
        Some(routed) if !state.request_edited => Some(&routed.rule),
        _ => {
            let place = state.chain.place.as_ref()?;
            let found = if state.request_edited && !is_normal(&state.request) {
                let mut head = state.request.clone();
                renormalise(&mut head).ok()?;
                find(&place.listener, &head)
            } else {
                find(&place.listener, &state.request)
            };
            found.map(|found| &**found.rule)
        }
    }
}

/// How many endpoints that backend has now.
fn endpoints(state: &State) -> Option<usize> {
    match &state.facts.backend {
        Some(picked) if !state.request_edited => Some(picked.count()),
        _ => {
            let backend = backend(state)?;
            let now = state.generation.as_ref().and_then(|generation| {
                let id = generation
                    .plan
                    .snapshot
                    .backends
                    .id(backend.name.as_str())?;
                generation.endpoints(id)
            });
            Some(now.map_or(backend.endpoints.len(), |now| now.len()))
        }
    }
}

/// The backend that was picked, or would be.
fn backend(state: &State) -> Option<&Backend> {
    match &state.facts.backend {
        Some(picked) if !state.request_edited => Some(&picked.backend),
        _ => {
            let rule = rule(state)?;
            let share = share_of(rule, state.chosen_share, state.draw)?;
            let picked = rule.backends.get(share)?.backend?;
            let place = state.chain.place.as_ref()?;
            place
                .snapshot
                .backends
                .get(picked)
                .map(|backend| &**backend)
        }
    }
}

//! The endpoints that a request may go to, as filters read them.
//!
//! Owns which backend is meant: the one that the request is to go to, or else the first of the rule
//! that has it. A request that no rule has yet has no endpoints.

use tidegate_core::backend::Endpoint;
use tidegate_host_abi::HostHealth;
use tidegate_host_abi::UpstreamHost;

use crate::exchange::state::State;

/// The endpoints of the request's backend.
pub(crate) fn endpoints(state: &State) -> Option<Vec<Endpoint>> {
    let routed = state.routed.as_ref()?;
    let generation = state.generation.as_ref()?;
    let shares = &routed.rule.backends;
    let backend = match routed.share {
        Some(place) => shares.get(place)?.backend,
        None => shares.iter().find_map(|share| share.backend),
    };
    generation.endpoints(backend?)
}

/// An endpoint as filters read it. One without a share gets nothing.
pub(crate) fn described(endpoint: &Endpoint) -> UpstreamHost {
    UpstreamHost {
        address: endpoint.address.to_string(),
        health: if endpoint.weight > 0 {
            HostHealth::Healthy
        } else {
            HostHealth::Unhealthy
        },
    }
}

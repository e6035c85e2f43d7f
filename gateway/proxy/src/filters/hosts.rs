//! The endpoints that a request may go to, as filters read them.
//!
//! Owns which backend is meant: the one that the request is to go to, or else the first of the rule
//! that has it; and the choice among the backends of a rule. A request that no rule has yet has no
//! endpoints.

use tidegate_core::backend::Endpoint;
use tidegate_core::route::Choice;
use tidegate_host_abi::BackendChoice;
use tidegate_host_abi::HostHealth;
use tidegate_host_abi::Selected;
use tidegate_host_abi::UpstreamHost;

use crate::exchange::state::Phase;
use crate::exchange::state::State;
use crate::filters::properties::routing::rule;

/// The endpoints of the request's backend.
pub(crate) fn endpoints(state: &State) -> Option<Vec<Endpoint>> {
    let routed = state.routed.as_ref()?;
    let generation = state.generation.as_ref()?;
    let shares = &routed.rule.backends;
    let chosen = state.chosen_share.filter(|(of, _)| *of == routed.rule.id);
    let backend = match routed.share.or(chosen.map(|(_, place)| place)) {
        Some(place) => shares.get(place)?.backend,
        None => shares.iter().find_map(|share| share.backend),
    };
    generation.endpoints(backend?)
}

/// Chooses the backend of the request, of the rule that has it or would have it as it is now.
pub(crate) fn select(state: &mut State, choice: BackendChoice<'_>) -> Selected {
    let is_open = state.phase == Phase::RequestHeaders && state.facts.backend.is_none();
    let Some(rule) = rule(state).filter(|_| is_open) else {
        return Selected::Unavailable;
    };
    let choice = match choice {
        BackendChoice::FromFront(place) => Choice::FromFront(place as usize),
        BackendChoice::FromBack(place) => Choice::FromBack(place as usize),
        BackendChoice::Named(name) => Choice::Named(name),
    };
    let generation = state.generation.as_ref();
    let name_of = |id| {
        let backend = generation?.plan.snapshot.backends.get(id)?;
        Some(backend.name.as_str())
    };
    let Some(place) = rule.place_of(choice, name_of) else {
        return Selected::Unknown;
    };
    let of = rule.id;
    state.chosen_share = Some((of, place));
    Selected::Done
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

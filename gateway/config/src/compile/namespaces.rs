//! From which namespaces routes may attach to a listener (Gateway API: `RouteNamespaces`).

use super::gateways::GatewayPlan;
use super::listeners::ListenerPlan;
use super::world::Candidate;
use super::world::World;
use crate::kinds::gateway::FromNamespaces;
use crate::kinds::gateway::LabelOperator;
use crate::kinds::gateway::LabelSelector;

/// The label that every namespace has (Kubernetes).
const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a listener allows routes of a route's namespace; the Gateway's own by default.
pub(super) fn allows(
    world: &World<'_>,
    gateway: &GatewayPlan<'_>,
    listener: &ListenerPlan<'_>,
    route: &Candidate,
) -> bool {
    let allowed = listener.listener.allowed_routes.as_ref();
    let namespaces = allowed.and_then(|allowed| allowed.namespaces.as_ref());
    let from = namespaces
        .and_then(|namespaces| namespaces.from.as_ref())
        .map_or(FromNamespaces::Same, |from| from.value);
    match from {
        FromNamespaces::All => true,
        FromNamespaces::None => false,
        FromNamespaces::Same => gateway.candidate.namespace() == route.namespace(),
        FromNamespaces::Selector => namespaces
            .and_then(|namespaces| namespaces.selector.as_ref())
            .is_some_and(|selector| selects(world, selector, route.namespace())),
    }
}

/// Whether a namespace has the labels (Kubernetes: `LabelSelector`).
fn selects(world: &World<'_>, selector: &LabelSelector, namespace: &str) -> bool {
    let declared = world.get("Namespace", "", namespace);
    let label = |key: &str| match key {
        NAMESPACE_LABEL => Some(namespace),
        _ => declared
            .and_then(|one| one.version.content.labels.get(key))
            .map(String::as_str),
    };
    let has_labels = selector
        .match_labels
        .iter()
        .all(|(key, value)| label(key) == Some(value));
    let keeps_rules = selector.match_expressions.iter().all(|rule| {
        let value = label(&rule.key);
        let is_listed = value.is_some_and(|value| rule.values.iter().any(|one| one == value));
        match rule.operator.value {
            LabelOperator::In => is_listed,
            LabelOperator::NotIn => !is_listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    });
    has_labels && keeps_rules
}

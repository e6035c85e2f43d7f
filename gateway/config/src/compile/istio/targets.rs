//! Which Gateways a policy of Istio holds for.

use crate::compile::gateways::Gateways;
use crate::compile::gateways::Standing;
use crate::compile::references::not_found;
use crate::compile::report::Refusal;
use crate::compile::report::Report;
use crate::compile::world::Candidate;
use crate::compile::world::World;
use crate::draft::Condition;
use crate::kinds::Body;
use crate::kinds::istio::TargetRef;
use crate::kinds::istio::WorkloadSelector;
use crate::place::At;
use crate::suggest::did_you_mean;

/// The label that the pods of a Gateway have (Gateway API: GEP-1762).
const NAME_LABEL: &str = "gateway.networking.k8s.io/gateway-name";

/// The targets of a policy.
struct Targets<'p> {
    selector: Option<&'p WorkloadSelector>,
    refs: Vec<&'p TargetRef>,
}

fn targets(policy: &Candidate) -> Targets<'_> {
    let (selector, refs, single): (Option<&At<WorkloadSelector>>, &[TargetRef], _) =
        match policy.body() {
            Body::AuthorizationPolicy(policy) => (
                policy.spec.selector.as_ref(),
                &policy.spec.target_refs,
                policy.spec.target_ref.as_ref(),
            ),
            Body::RequestAuthentication(policy) => (
                policy.spec.selector.as_ref(),
                &policy.spec.target_refs,
                policy.spec.target_ref.as_ref(),
            ),
            _ => (None, &[], None),
        };
    Targets {
        selector: selector.map(|selector| &selector.value),
        refs: refs.iter().chain(single).collect(),
    }
}

/// Whether a policy holds for a Gateway. One with a target of another kind is wrong, and holds for all
/// Gateways that it may be meant for, which then refuse. One that may not name a class holds for the
/// Gateways of it that are near.
pub(super) fn holds(policy: &Candidate, gateway: &Candidate, root: &str) -> bool {
    let Targets { selector, refs } = targets(policy);
    let is_near = policy.namespace() == gateway.namespace();
    let is_around = is_near || policy.namespace() == root;
    if !refs.is_empty() {
        return refs.iter().any(|target| match target.kind.as_str() {
            "Gateway" => is_near && target.name.as_str() == gateway.name(),
            "GatewayClass" => is_around && is_of_class(gateway, &target.name),
            _ => is_around,
        });
    }
    let created = match gateway.body() {
        Body::Gateway(gateway) => gateway.spec.infrastructure.as_ref(),
        _ => None,
    };
    let label = |name: &str| match name {
        NAME_LABEL => Some(gateway.name()),
        _ => {
            let created = created.and_then(|created| created.labels.get(name));
            let own = || gateway.version.content.labels.get(name);
            created.or_else(own).map(String::as_str)
        }
    };
    let labels = selector.iter().flat_map(|selector| &selector.match_labels);
    is_around
        && labels
            .into_iter()
            .all(|(name, value)| label(name) == Some(value.as_str()))
}

fn is_of_class(gateway: &Candidate, class: &str) -> bool {
    class_of(gateway) == Some(class)
}

fn class_of(gateway: &Candidate) -> Option<&str> {
    match gateway.body() {
        Body::Gateway(one) => Some(one.spec.gateway_class_name.as_str()),
        _ => None,
    }
}

/// Targets must be there, and should be ours.
pub(super) fn check_targets(
    world: &World<'_>,
    gateways: &Gateways<'_>,
    policy: &Candidate,
    root: &str,
    report: &mut Report,
) {
    for target in targets(policy).refs {
        let namespace = policy.namespace();
        let elsewhere = target.namespace.as_ref();
        if let Some(elsewhere) = elsewhere.filter(|given| given.as_str() != namespace) {
            let refusal = Refusal {
                span: elsewhere.span,
                reason: "RefNotPermitted",
                message: format!("the target is not in the policy's namespace, `{namespace}`"),
                hint: Some("put the policy where the Gateway is".to_owned()),
            };
            report.error(policy, refusal);
        }
        match target.kind.as_str() {
            "Gateway"
                if world
                    .find(policy, "Gateway", namespace, &target.name)
                    .is_none() =>
            {
                let refusal =
                    not_found(world, "TargetNotFound", "Gateway", namespace, &target.name);
                report.error(policy, refusal);
            }
            "GatewayClass" if namespace != root => {
                let refusal = Refusal {
                    span: target.kind.span,
                    reason: "RefNotPermitted",
                    message: format!(
                        "only policies of the root namespace, `{root}`, are for a GatewayClass"
                    ),
                    hint: Some("name a Gateway".to_owned()),
                };
                report.error(policy, refusal);
            }
            "Gateway" | "GatewayClass" => {
                if let Some(refusal) = without_effect(gateways, policy, target) {
                    report.warning(policy, refusal);
                }
            }
            _ => {} // A rule has refused it.
        }
    }
}

/// What is said of a target that no Gateway of ours has to do with.
fn without_effect(
    gateways: &Gateways<'_>,
    policy: &Candidate,
    target: &TargetRef,
) -> Option<Refusal> {
    let gateways = gateways.gateways.iter();
    let known = gateways.filter(|plan| plan.standing != Standing::Foreign);
    let mut known = known.map(|plan| plan.candidate);
    let name = target.name.as_str();
    let (what, hint) = if target.kind.as_str() == "Gateway" {
        let is_it = |one: &Candidate| one.namespace() == policy.namespace() && one.name() == name;
        if known.any(is_it) {
            return None;
        }
        ("this Gateway is not ours", None)
    } else {
        let classes: Vec<&str> = known.filter_map(class_of).collect();
        if classes.contains(&name) {
            return None;
        }
        let hint = did_you_mean(name, classes);
        ("no Gateway of ours is of this class", hint)
    };
    Some(Refusal {
        span: target.name.span,
        reason: "NoGateway",
        message: format!("{what}: the policy refuses nobody there"),
        hint,
    })
}

/// What is said of a policy once all Gateways are known.
pub(super) fn conclude(policy: &Candidate, used: bool, report: &mut Report) {
    if used {
        return;
    }
    let message = "it holds for no Gateway of ours";
    report.condition(
        policy,
        Condition {
            kind: "Attached",
            status: false,
            reason: "NoGateway",
            message: message.to_owned(),
            about: None,
        },
    );
    let hint = match targets(policy) {
        // Each of them has been remarked on.
        Targets { refs, .. } if !refs.is_empty() => return,
        Targets {
            selector: Some(selector),
            ..
        } if !selector.match_labels.is_empty() => {
            "no Gateway there has the labels of its `selector`"
        }
        _ => "there is no Gateway in its namespace",
    };
    let refusal = Refusal {
        span: policy.version.content.name_span,
        reason: "NoGateway",
        message: format!("{message}: it refuses nobody"),
        hint: Some(hint.to_owned()),
    };
    report.warning(policy, refusal);
}

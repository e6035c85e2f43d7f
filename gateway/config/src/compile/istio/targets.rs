//! Which Gateways a policy of Istio holds for.

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

/// Whether a policy holds for a Gateway.
pub(super) fn holds(policy: &Candidate, gateway: &Candidate, root: &str) -> bool {
    let Targets { selector, refs } = targets(policy);
    let is_near = policy.namespace() == gateway.namespace();
    if !refs.is_empty() {
        return refs.iter().any(|target| match target.kind.as_str() {
            "Gateway" => is_near && target.name.as_str() == gateway.name(),
            "GatewayClass" => policy.namespace() == root && is_of_class(gateway, &target.name),
            _ => false,
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
    (is_near || policy.namespace() == root)
        && labels
            .into_iter()
            .all(|(name, value)| label(name) == Some(value.as_str()))
}

fn is_of_class(gateway: &Candidate, class: &str) -> bool {
    matches!(gateway.body(), Body::Gateway(one) if one.spec.gateway_class_name.as_str() == class)
}

/// Targets must be there.
pub(super) fn check_targets(
    world: &World<'_>,
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
            _ => {}
        }
    }
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

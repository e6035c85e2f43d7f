//! AuthorizationPolicies as the configuration of `authz`.

use super::Gathering;
use super::entry;
use super::map;
use super::text;
use crate::compile::report::Refusal;
use crate::compile::report::Report;
use crate::compile::world::Candidate;
use crate::kinds::Body;
use crate::kinds::istio::AuthorizationPolicy;
use crate::kinds::istio::PolicyAction;
use crate::tree::Key;
use crate::tree::Node;
use crate::tree::Value;

/// The annotation of policies that are tried and not enforced, and what it says then (Go's booleans).
pub(crate) const DRY_RUN: &str = "istio.io/dry-run";
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "FALSE", "false", "False"];

/// The policies, in the order of their namespaces and names.
pub(super) fn config(gathering: &mut Gathering<'_, '_, '_>) -> Option<Node> {
    let mut policies = Vec::new();
    for candidate in gathering.policies {
        let Body::AuthorizationPolicy(policy) = candidate.body() else {
            continue;
        };
        // One that never matches denies nobody, and is none for the filter.
        if rules(policy).is_none() && action(policy) != PolicyAction::Allow {
            continue;
        }
        let written = &mut *gathering.written;
        let version = &candidate.version;
        written.begin(candidate.id(), &version.origin, &version.text);
        written.call(format!("policies[{}]", policies.len()), "spec");
        let name_span = written.span(version.content.name_span);
        let action = match action(policy) {
            PolicyAction::Allow => "ALLOW",
            PolicyAction::Deny => "DENY",
            PolicyAction::Audit => "AUDIT",
            // A rule has refused it.
            PolicyAction::Custom => "CUSTOM",
        };
        let mut entries = vec![
            entry("namespace", text(candidate.namespace())),
            entry("name", text(candidate.name())),
            entry("action", text(action)),
        ];
        if is_tried(candidate) {
            entries.push(entry("dryRun", Value::Bool(true)));
        }
        if let Some(rules) = rules(policy) {
            let key = Key {
                span: name_span,
                name: "rules".into(),
            };
            entries.push((key, written.node(rules)));
        }
        policies.push(Node {
            span: name_span,
            value: Value::Map(entries),
        });
    }
    let is_some = !policies.is_empty();
    is_some.then(|| map(vec![entry("policies", Value::Seq(policies))]))
}

/// What is accepted, as in Istio, and may not do what its author thinks.
pub(super) fn remark(candidate: &Candidate, report: &mut Report) {
    let Body::AuthorizationPolicy(policy) = candidate.body() else {
        return;
    };
    let never = policy
        .spec
        .action
        .as_ref()
        .filter(|_| rules(policy).is_none());
    if let Some(action) = never.filter(|action| action.value != PolicyAction::Allow) {
        let refusal = Refusal {
            span: action.span,
            reason: "NeverMatches",
            message: "without rules it never matches: it refuses nobody".to_owned(),
            hint: Some("`rules: [{}]` matches every request".to_owned()),
        };
        report.warning(candidate, refusal);
    }
    check_dry_run(candidate, report);
}

/// What is no boolean in the annotation enforces the policy.
fn check_dry_run(policy: &Candidate, report: &mut Report) {
    let given = policy.version.content.annotations.get(DRY_RUN);
    let Some(given) = given.filter(|given| !is_in(given, &TRUE) && !is_in(given, &FALSE)) else {
        return;
    };
    let refusal = Refusal {
        span: policy.version.content.name_span,
        reason: "InvalidAnnotation",
        message: format!(
            "the annotation `{DRY_RUN}: {given}` is no boolean: the policy is enforced"
        ),
        hint: Some("write `\"true\"` or `\"false\"`".to_owned()),
    };
    report.warning(policy, refusal);
}

fn is_in(given: &str, all: &[&str]) -> bool {
    all.contains(&given)
}

/// Whether a policy refuses anything.
pub(super) fn is_enforced(candidate: &Candidate) -> bool {
    match candidate.body() {
        Body::AuthorizationPolicy(policy) => match action(policy) {
            PolicyAction::Allow | PolicyAction::Custom => !is_tried(candidate),
            PolicyAction::Deny => rules(policy).is_some() && !is_tried(candidate),
            PolicyAction::Audit => false,
        },
        _ => false,
    }
}

/// Whether it is only tried.
fn is_tried(candidate: &Candidate) -> bool {
    let given = candidate.version.content.annotations.get(DRY_RUN);
    given.is_some_and(|given| is_in(given, &TRUE))
}

fn action(policy: &AuthorizationPolicy) -> PolicyAction {
    let given = policy.spec.action.as_ref();
    given.map_or(PolicyAction::Allow, |action| action.value)
}

/// The rules, if there are any.
pub(super) fn rules(policy: &AuthorizationPolicy) -> Option<&Node> {
    let rules = policy.spec.rules.as_ref()?;
    matches!(&rules.value, Value::Seq(rules) if !rules.is_empty()).then_some(rules)
}

//! Whether tokens are read where policies ask whose they are: rules about them see none otherwise, and
//! a `DENY` by them refuses nobody.

use super::authorization::rules;
use super::targets::holds;
use crate::compile::gateways::Gateways;
use crate::compile::gateways::Standing;
use crate::compile::report::Refusal;
use crate::compile::report::Report;
use crate::compile::world::Candidate;
use crate::compile::world::State;
use crate::compile::world::World;
use crate::kinds::Body;
use crate::kinds::plugin::PluginPhase;
use crate::place::Span;
use crate::rules::jwt_rules;
use crate::tree::Node;
use crate::tree::Value;

/// Attributes of a token: those of `source`, and how the keys of `when` begin.
const OF_SOURCE: [&str; 2] = ["requestPrincipals", "notRequestPrincipals"];
const OF_WHEN: &str = "request.auth.";

/// Warns of policies that ask for tokens at a Gateway that reads none.
pub(super) fn remark(world: &World<'_>, gateways: &Gateways<'_>, root: &str, report: &mut Report) {
    let ours = gateways.gateways.iter();
    let ours = ours.filter(|plan| plan.standing == Standing::Ours);
    let without: Vec<&Candidate> = ours
        .map(|plan| plan.candidate)
        .filter(|gateway| !reads_tokens(world, gateway, root))
        .collect();
    for policy in world.all("AuthorizationPolicy") {
        let Some(span) = asked(policy) else {
            continue;
        };
        let mut without = without.iter();
        if let Some(gateway) = without.find(|gateway| holds(policy, gateway, root)) {
            let refusal = Refusal {
                span,
                reason: "NoAuthentication",
                message: format!(
                    "no token is read at Gateway `{}`: for this rule, no request there has one",
                    gateway.full_name()
                ),
                hint: Some(
                    "add a RequestAuthentication, or a Plugin of the phase `Authn` with the source `builtin: jwt-auth`"
                        .to_owned(),
                ),
            };
            report.warning(policy, refusal);
        }
    }
}

/// Whether something may read tokens there before policies are asked: a Plugin of any source may.
fn reads_tokens(world: &World<'_>, gateway: &Candidate, root: &str) -> bool {
    let mut authentications = world.all("RequestAuthentication").iter();
    let mut plugins = world.all("Plugin").iter();
    authentications.any(|one| has_issuers(one) && holds(one, gateway, root))
        || plugins.any(|one| runs_before(one, gateway))
}

/// Whether there are any; what is not understood refuses anyway.
fn has_issuers(candidate: &Candidate) -> bool {
    let Body::RequestAuthentication(policy) = candidate.body() else {
        return false;
    };
    let issuers = jwt_rules(policy.spec.jwt_rules.as_ref());
    candidate.state == State::Salvaged || !issuers.is_empty()
}

/// Those of listeners and routes run after all of the Gateway.
fn runs_before(candidate: &Candidate, gateway: &Candidate) -> bool {
    let Body::Plugin(plugin) = candidate.body() else {
        return false;
    };
    let phase = plugin.spec.phase.as_ref().map(|phase| phase.value);
    let mut targets = plugin.spec.target_refs.iter();
    phase.is_some_and(|phase| phase <= PluginPhase::Authz)
        && candidate.namespace() == gateway.namespace()
        && targets.any(|target| {
            target.kind.as_str() == "Gateway"
                && target.name.as_str() == gateway.name()
                && target.section_name.is_none()
        })
}

/// Where a policy asks for a token.
fn asked(candidate: &Candidate) -> Option<Span> {
    let Body::AuthorizationPolicy(policy) = candidate.body() else {
        return None;
    };
    let rules = items(rules(policy));
    rules.iter().find_map(|rule| {
        let mut sources = items(rule.field("from")).iter();
        let mut conditions = items(rule.field("when")).iter();
        let by_source = sources.find_map(|from| {
            let source = from.field("source")?;
            let mut names = OF_SOURCE.iter();
            names.find_map(|name| source.entry(name).map(|(key, _)| key.span))
        });
        by_source.or_else(|| {
            conditions.find_map(|condition| {
                let key = condition.field("key")?;
                let is_asked = key.as_str()?.starts_with(OF_WHEN);
                is_asked.then_some(key.span)
            })
        })
    })
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(Value::Seq(items)) => items,
        _ => &[],
    }
}

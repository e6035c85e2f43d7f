//! What operators write: Istio's policies word for word, or one policy in short.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::engine::Engine;

mod rule;

pub(crate) use rule::Operation;
pub(crate) use rule::Port;
pub(crate) use rule::Rule;
pub(crate) use rule::Source;

/// The most rules that one plugin has.
const MOST_RULES: usize = 10_000;

/// What the plugin is configured with, compiled.
#[derive(Debug)]
pub struct Config {
    pub(crate) engine: Engine,
    pub(crate) dry_run: bool,
}

/// Who may do what: `policies` as Istio has them, or one policy written as `action` and `rules`.
#[derive(FilterConfig, Debug)]
struct Document {
    /// Policies with the meaning of Istio's AuthorizationPolicies, whatever their order: a matching `DENY`
    /// wins; then, if there is an `ALLOW`, one must match.
    #[config(min_len = 1, max_len = 10000)]
    policies: Option<Vec<Policy>>,
    /// In the place of `policies`: what is done with requests that the rules below describe; `ALLOW` if only
    /// rules are written.
    action: Option<Action>,
    /// In the place of `policies`: the rules. Without any, none matches.
    #[config(max_len = 10000)]
    rules: Option<Vec<Rule>>,
    /// Decides, counts and logs, and lets everything pass.
    #[config(default = false)]
    dry_run: bool,
    /// Whether a path that origins take in several ways (`//`, `%2F`, `;`, dots) is compared in all of
    /// them: denied if one is denied, allowed if all are.
    #[config(default = "Strict")]
    ambiguous_paths: AmbiguousPaths,
}

/// One AuthorizationPolicy.
#[derive(FilterConfig, Debug)]
pub(crate) struct Policy {
    /// Its namespace, for the log, and for service accounts that are written without one.
    #[config(default = "default", validate = is_name)]
    pub(crate) namespace: String,
    /// Its name, for the log.
    #[config(validate = is_name)]
    pub(crate) name: String,
    /// What is done with requests that one of the rules describes.
    #[config(default = "ALLOW")]
    pub(crate) action: Action,
    /// Counts and logs what this policy would do, and does not do it (Istio: `istio.io/dry-run`).
    #[config(default = false)]
    pub(crate) dry_run: bool,
    /// The rules: one that matches is enough. Left out, none ever matches; an empty one (`{}`) matches
    /// every request.
    #[config(max_len = 10000)]
    pub(crate) rules: Option<Vec<Rule>>,
}

/// What a policy does with the requests that it describes.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Lets them pass. With one such policy, what none of them describes is denied.
    #[config(rename = "ALLOW")]
    Allow,
    /// Denies them, whatever else allows them.
    #[config(rename = "DENY")]
    Deny,
    /// Counts and logs them.
    #[config(rename = "AUDIT")]
    Audit,
}

/// What is done about paths that origins take in several ways.
#[derive(FilterConfig, Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AmbiguousPaths {
    /// Rules are asked about every way: one that denies is enough, and all must allow.
    #[config(rename = "Strict")]
    Strict,
    /// Rules are asked about the path as it is, as in Istio.
    #[config(rename = "AsIs")]
    AsIs,
}

impl FilterConfig for Config {
    const SCHEMA: &'static Schema = Document::SCHEMA;

    fn read(value: &Value) -> Result<Self, Problem> {
        let document = Document::read(value)?;
        let dry_run = document.dry_run;
        let is_strict = document.ambiguous_paths == AmbiguousPaths::Strict;
        let policies = policies(document)?;
        let count = |policy: &Policy| policy.rules.as_ref().map_or(0, Vec::len);
        if policies.iter().map(count).sum::<usize>() > MOST_RULES {
            return Err(Problem::new("expected at most 10000 rules in all policies"));
        }
        Ok(Self {
            engine: Engine::new(policies, is_strict),
            dry_run,
        })
    }
}

/// The policies of a document, in whichever form they are written.
fn policies(document: Document) -> Result<Vec<Policy>, Problem> {
    let Document {
        policies,
        action,
        rules,
        ..
    } = document;
    let policies = match (policies, action, rules) {
        (None, None, None) => {
            return Err(Problem::new(
                "nothing is said of who may do what: write `rules`, or `policies`",
            ));
        }
        (Some(policies), None, None) => policies,
        (Some(_), _, _) => {
            return Err(Problem::new(
                "`action` and `rules` are one policy in short, in the place of `policies`: write either",
            ));
        }
        (None, action, rules) => {
            let policy = Policy {
                namespace: "default".to_owned(),
                name: "authz".to_owned(),
                action: action.unwrap_or(Action::Allow),
                dry_run: false,
                rules,
            };
            never_matches(&policy)?;
            return Ok(vec![policy]);
        }
    };
    for (index, policy) in policies.iter().enumerate() {
        never_matches(policy).map_err(|problem| problem.at(index).under("policies"))?;
    }
    Ok(policies)
}

/// A policy without rules matches nothing: for one that allows, that denies all; for others, nobody
/// can mean it.
fn never_matches(policy: &Policy) -> Result<(), Problem> {
    let has_rules = policy.rules.as_ref().is_some_and(|it| !it.is_empty());
    if has_rules || policy.action == Action::Allow {
        return Ok(());
    }
    let why =
        "without rules this never matches; an empty rule, `rules: [{}]`, matches every request";
    Err(Problem::new(why).under("rules"))
}

/// Names are shown in the log in brackets, as Istio's.
fn is_name(name: &str) -> Result<(), String> {
    let is_plain = |it: char| it.is_ascii_alphanumeric() || "-._/".contains(it);
    match name.len() {
        1..=253 if name.chars().all(is_plain) => Ok(()),
        _ => Err("expected 1 to 253 letters, digits, `-`, `.`, `_` and `/`".to_owned()),
    }
}

#[cfg(test)]
mod tests;

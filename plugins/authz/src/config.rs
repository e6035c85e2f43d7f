//! What operators write: Istio's policies word for word, or one policy in short.

use serde_json::Value;
use tidegate_policy::Cidr;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::condition::Condition;
use crate::engine::Engine;
use crate::path::PathPattern;
use crate::principal::ServiceAccount;
use crate::text::Glob;
use crate::text::Text;
use crate::text::text_of;
use crate::token::RequestPrincipal;

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
    #[config(min_len = 1, max_len = 1000)]
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

/// Requests: from one of these, to one of these, when all of these hold. What is left out holds.
#[derive(FilterConfig, Debug)]
pub(crate) struct Rule {
    /// Who asks; one is enough.
    #[config(min_len = 1, max_len = 1000)]
    pub(crate) from: Option<Vec<From>>,
    /// What is asked; one is enough.
    #[config(min_len = 1, max_len = 1000)]
    pub(crate) to: Option<Vec<To>>,
    /// What else must hold, all of it.
    #[config(min_len = 1, max_len = 1000)]
    pub(crate) when: Option<Vec<Condition>>,
}

/// Who asks.
#[derive(FilterConfig, Debug)]
pub(crate) struct From {
    /// All that is written here holds.
    #[config(validate = is_some_source)]
    pub(crate) source: Source,
}

/// What is asked.
#[derive(FilterConfig, Debug)]
pub(crate) struct To {
    /// All that is written here holds.
    #[config(validate = is_some_operation)]
    pub(crate) operation: Operation,
}

/// Who asks: each field that is written holds, each by one of its values; with `not`, by none.
#[derive(FilterConfig, Debug)]
pub(crate) struct Source {
    /// Names in client certificates, without `spiffe://`: `cluster.local/ns/shop/sa/cart`.
    #[config(min_len = 1)]
    pub(crate) principals: Option<Vec<Text>>,
    /// None of these names; clients without a certificate have none, and fit.
    #[config(min_len = 1)]
    pub(crate) not_principals: Option<Vec<Text>>,
    /// Issuers and subjects of verified tokens: `ISSUER/SUBJECT`.
    #[config(min_len = 1)]
    pub(crate) request_principals: Option<Vec<RequestPrincipal>>,
    /// None of these; requests without a token have none, and fit.
    #[config(min_len = 1)]
    pub(crate) not_request_principals: Option<Vec<RequestPrincipal>>,
    /// Namespaces in client certificates; `*` may be anywhere.
    #[config(min_len = 1)]
    pub(crate) namespaces: Option<Vec<Glob>>,
    /// None of these namespaces.
    #[config(min_len = 1)]
    pub(crate) not_namespaces: Option<Vec<Glob>>,
    /// Service accounts in client certificates: `ACCOUNT` in the policy's namespace, `NAMESPACE/ACCOUNT`.
    #[config(min_len = 1)]
    pub(crate) service_accounts: Option<Vec<ServiceAccount>>,
    /// None of these service accounts.
    #[config(min_len = 1)]
    pub(crate) not_service_accounts: Option<Vec<ServiceAccount>>,
    /// Trust domains in client certificates.
    #[config(min_len = 1)]
    pub(crate) trust_domains: Option<Vec<Text>>,
    /// None of these trust domains.
    #[config(min_len = 1)]
    pub(crate) not_trust_domains: Option<Vec<Text>>,
    /// Addresses at the other end of the connection, which may be a proxy's.
    #[config(min_len = 1)]
    pub(crate) ip_blocks: Option<Vec<Cidr>>,
    /// In none of these blocks.
    #[config(min_len = 1)]
    pub(crate) not_ip_blocks: Option<Vec<Cidr>>,
    /// Addresses of clients, as far as the gateway trusts the proxies in front of it.
    #[config(min_len = 1)]
    pub(crate) remote_ip_blocks: Option<Vec<Cidr>>,
    /// In none of these blocks.
    #[config(min_len = 1)]
    pub(crate) not_remote_ip_blocks: Option<Vec<Cidr>>,
}

/// What is asked: each field that is written holds, each by one of its values; with `not`, by none.
#[derive(FilterConfig, Debug)]
pub(crate) struct Operation {
    /// Hosts, in any case; those without a port fit every port.
    #[config(min_len = 1)]
    pub(crate) hosts: Option<Vec<Text>>,
    /// None of these hosts.
    #[config(min_len = 1)]
    pub(crate) not_hosts: Option<Vec<Text>>,
    /// Ports that the gateway accepted the connection on, as text.
    #[config(min_len = 1)]
    pub(crate) ports: Option<Vec<Port>>,
    /// None of these ports.
    #[config(min_len = 1)]
    pub(crate) not_ports: Option<Vec<Port>>,
    /// Methods; those of gRPC are `POST`.
    #[config(min_len = 1)]
    pub(crate) methods: Option<Vec<Text>>,
    /// None of these methods.
    #[config(min_len = 1)]
    pub(crate) not_methods: Option<Vec<Text>>,
    /// Paths without the query: `/exact`, `/prefix*`, `*suffix`, and templates: `/users/{*}/{**}`.
    #[config(min_len = 1)]
    pub(crate) paths: Option<Vec<PathPattern>>,
    /// None of these paths.
    #[config(min_len = 1)]
    pub(crate) not_paths: Option<Vec<PathPattern>>,
}

/// A port, written as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Port(pub(crate) u16);

impl FilterConfig for Port {
    const SCHEMA: &'static Schema = &Schema::text().min_len(1).max_len(5);

    fn read(value: &Value) -> Result<Self, Problem> {
        let text = text_of(value)?;
        let number = text.bytes().all(|it| it.is_ascii_digit());
        match text.parse() {
            Ok(port @ 1..) if number => Ok(Self(port)),
            Ok(_) | Err(_) => Err(Problem::new(
                [
                    "expected a port from \"1\" to \"65535\", found \"",
                    text,
                    "\"",
                ]
                .concat(),
            )),
        }
    }
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

fn is_some_source(source: &Source) -> Result<(), String> {
    let Source {
        principals,
        not_principals,
        request_principals,
        not_request_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        trust_domains,
        not_trust_domains,
        ip_blocks,
        not_ip_blocks,
        remote_ip_blocks,
        not_remote_ip_blocks,
    } = source;
    let texts = [principals, not_principals, trust_domains, not_trust_domains];
    let blocks = [
        ip_blocks,
        not_ip_blocks,
        remote_ip_blocks,
        not_remote_ip_blocks,
    ];
    let is_some = texts.iter().any(|it| it.is_some())
        || blocks.iter().any(|it| it.is_some())
        || [request_principals, not_request_principals]
            .iter()
            .any(|it| it.is_some())
        || [namespaces, not_namespaces].iter().any(|it| it.is_some())
        || [service_accounts, not_service_accounts]
            .iter()
            .any(|it| it.is_some());
    something(is_some)
}

fn is_some_operation(operation: &Operation) -> Result<(), String> {
    let Operation {
        hosts,
        not_hosts,
        ports,
        not_ports,
        methods,
        not_methods,
        paths,
        not_paths,
    } = operation;
    let texts = [hosts, not_hosts, methods, not_methods];
    let is_some = texts.iter().any(|it| it.is_some())
        || [ports, not_ports].iter().any(|it| it.is_some())
        || [paths, not_paths].iter().any(|it| it.is_some());
    something(is_some)
}

/// What says nothing would fit everybody.
fn something(is_some: bool) -> Result<(), String> {
    match is_some {
        true => Ok(()),
        false => Err("says nothing: write one of its fields, or leave it out".to_owned()),
    }
}

#[cfg(test)]
mod tests;

//! All policies of a plugin, and what they come to for a request.
//!
//! A matching `DENY` wins; then, if there are `ALLOW` policies, one must match. Policies that run dry are
//! asked the same among themselves, and decide nothing. Those that audit stand apart.

use std::collections::BTreeMap;

use crate::attributes::Attributes;
use crate::attributes::Host;
use crate::attributes::Unknown;
use crate::config::Action;
use crate::config::Policy;
use crate::reading::Readings;
use crate::rule::Rule;
use crate::set::Set;
use crate::test::Test;
use crate::tokens::Tokens;

/// Policies, compiled.
#[derive(Debug)]
pub(crate) struct Engine {
    enforced: Policies,
    dry: Policies,
    audit: Set,
    paths: Paths,
    /// How many headers rules ask for.
    headers: usize,
    tokens: Tokens,
}

/// What rules see of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    /// Every reading.
    All,
    /// The path as it is.
    AsIs,
    /// Nothing: none asks.
    Nothing,
}

/// Those that decide together.
#[derive(Debug)]
struct Policies {
    deny: Set,
    /// None if nothing needs to be allowed.
    allow: Option<Set>,
}

/// What a request is denied by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied<'e> {
    /// A rule that denies it, by its id.
    ByRule(&'e str),
    /// No rule allows it, and one must.
    ByNone,
    /// A rule asks for what the host should know and does not.
    InDoubt(Unknown),
}

/// What all policies come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Decision<'e> {
    /// What denies it, if something does.
    pub(crate) denied: Option<Denied<'e>>,
    /// What would, among the policies that run dry.
    pub(crate) dry_denied: Option<Denied<'e>>,
    /// The rule that audits it, by its id.
    pub(crate) audited: Option<&'e str>,
}

impl Engine {
    pub(crate) fn new(policies: Vec<Policy>, is_strict: bool) -> Self {
        let mut enforced = Sorted::default();
        let mut dry = Sorted::default();
        let mut audit = Vec::new();
        let mut headers = BTreeMap::new();
        let mut paths = Paths::Nothing;
        for policy in policies {
            let (action, namespace) = (policy.action, policy.namespace);
            let prefix = ["ns[", &namespace, "]-policy[", &policy.name, "]-rule["].concat();
            let rules = policy.rules.unwrap_or_default().into_iter().enumerate();
            let rules = rules.map(|(at, rule)| {
                let id = [&prefix, &*at.to_string(), "]"].concat();
                let mut rule = Rule::new(id, rule, &namespace);
                rule.number_headers(&mut headers);
                let asks = rule.checks().any(|it| matches!(it.test, Test::Path(_)));
                if asks && is_strict {
                    paths = Paths::All;
                } else if asks {
                    paths = Paths::AsIs;
                }
                rule
            });
            let sorted = if policy.dry_run {
                &mut dry
            } else {
                &mut enforced
            };
            match action {
                Action::Allow => sorted.allow.get_or_insert_default().extend(rules),
                Action::Deny => sorted.deny.extend(rules),
                Action::Audit => audit.extend(rules),
            }
        }
        Self {
            enforced: enforced.compile(),
            dry: dry.compile(),
            audit: Set::new(audit),
            paths,
            headers: headers.len(),
            tokens: Tokens::default(),
        }
    }

    /// What the policies come to for a request.
    pub(crate) fn decide(&self, host: &dyn Host) -> Decision<'_> {
        let path = || host.pseudo_header(":path").unwrap_or_default();
        let readings = match self.paths {
            Paths::All => Readings::all(path()),
            Paths::AsIs => Readings::as_is(path()),
            Paths::Nothing => Readings::as_is(Vec::new()),
        };
        let attributes = Attributes::new(host, &self.tokens, self.headers);
        // Those that are enforced come first: what others ask for in vain must not refuse anything.
        let denied = self.enforced.denied(&readings, &attributes);
        let dry_denied = self.dry.denied(&readings, &attributes);
        let audited = readings.iter().find_map(|reading| {
            attributes.read_path_as(reading);
            self.audit.first_match(&attributes)
        });
        Decision {
            denied,
            dry_denied,
            audited: audited.map(|rule| &*rule.id),
        }
    }
}

impl Policies {
    /// What denies a request, in one of the readings of its path.
    fn denied<'r>(&self, path: &'r Readings, of: &Attributes<'r>) -> Option<Denied<'_>> {
        let denied = path.iter().find_map(|reading| {
            of.read_path_as(reading);
            self.denied_now(of)
        });
        match of.take_unknown() {
            Some(unknown) => Some(Denied::InDoubt(unknown)),
            None => denied,
        }
    }

    fn denied_now(&self, of: &Attributes<'_>) -> Option<Denied<'_>> {
        if let Some(rule) = self.deny.first_match(of) {
            return Some(Denied::ByRule(&rule.id));
        }
        let allow = self.allow.as_ref()?;
        match allow.first_match(of) {
            Some(_) => None,
            None => Some(Denied::ByNone),
        }
    }
}

/// Rules by what their policies do.
#[derive(Default)]
struct Sorted {
    deny: Vec<Rule>,
    allow: Option<Vec<Rule>>,
}

impl Sorted {
    fn compile(self) -> Policies {
        Policies {
            deny: Set::new(self.deny),
            allow: self.allow.map(Set::new),
        }
    }
}

#[cfg(test)]
mod tests;

//! Rules as they are evaluated: tests that hold or do not, those first that cost less.

use std::collections::BTreeMap;

use crate::attributes::Attributes;
use crate::block;
use crate::condition::Condition;
use crate::config;
use crate::config::Operation;
use crate::config::Source;
use crate::test::HostPattern;
use crate::test::Test;
use crate::text::Text;

/// A test, or its opposite.
#[derive(Debug, Clone)]
pub(crate) struct Check {
    pub(crate) test: Test,
    pub(crate) is_not: bool,
}

/// A rule of a policy, compiled.
#[derive(Debug)]
pub(crate) struct Rule {
    /// What the log says of it: `ns[shop]-policy[readers]-rule[0]`.
    pub(crate) id: Box<str>,
    /// One of these: all that it says.
    pub(crate) from: Vec<Vec<Check>>,
    /// One of these: all that it says.
    pub(crate) to: Vec<Vec<Check>>,
    /// All of it.
    pub(crate) when: Vec<Check>,
}

impl Rule {
    /// Compiles the rule of a policy; service accounts without a namespace are of the policy's.
    pub(crate) fn new(id: String, rule: config::Rule, namespace: &str) -> Self {
        let from = rule.from.unwrap_or_default().into_iter();
        let to = rule.to.unwrap_or_default().into_iter();
        let mut this = Self {
            id: id.into(),
            from: from.map(|it| of_source(it.source)).collect(),
            to: to.map(|it| of_operation(it.operation)).collect(),
            when: of_conditions(rule.when.unwrap_or_default()),
        };
        let lists = this.from.iter_mut().chain(&mut this.to);
        for list in lists.chain([&mut this.when]) {
            list.sort_by_key(|check| check.test.cost());
            for check in list {
                if let Test::ServiceAccount(accounts) = &mut check.test {
                    for account in accounts {
                        account.namespace.get_or_insert_with(|| namespace.into());
                    }
                }
            }
        }
        this
    }

    /// All that it says.
    pub(crate) fn checks(&self) -> impl Iterator<Item = &Check> {
        let lists = self.from.iter().chain(&self.to);
        lists.chain([&self.when]).flatten()
    }

    /// Gives each header that it asks for its number among `headers`, to which new ones are added.
    pub(crate) fn number_headers(&mut self, headers: &mut BTreeMap<Box<str>, usize>) {
        let lists = self.from.iter_mut().chain(&mut self.to);
        for check in lists.chain([&mut self.when]).flatten() {
            if let Test::Header(header, _) = &mut check.test {
                let next = headers.len();
                header.number = *headers.entry(header.name.clone()).or_insert(next);
            }
        }
    }

    /// Whether it describes a request.
    pub(crate) fn matches(&self, of: &Attributes<'_>) -> bool {
        let all = |checks: &Vec<Check>| {
            checks
                .iter()
                .all(|check| check.test.holds(of) != check.is_not)
        };
        (self.to.is_empty() || self.to.iter().any(all))
            && (self.from.is_empty() || self.from.iter().any(all))
            && all(&self.when)
    }
}

/// Adds what a field and its opposite say.
fn add<T>(checks: &mut Vec<Check>, values: Option<T>, not: Option<T>, test: impl Fn(T) -> Test) {
    for (values, is_not) in [(values, false), (not, true)] {
        if let Some(values) = values {
            let test = test(values);
            checks.push(Check { test, is_not });
        }
    }
}

fn of_source(it: Source) -> Vec<Check> {
    let mut all = Vec::new();
    add(&mut all, it.principals, it.not_principals, Test::Principal);
    add(
        &mut all,
        it.request_principals,
        it.not_request_principals,
        Test::RequestPrincipal,
    );
    add(&mut all, it.namespaces, it.not_namespaces, Test::Namespace);
    add(
        &mut all,
        it.service_accounts,
        it.not_service_accounts,
        Test::ServiceAccount,
    );
    add(
        &mut all,
        it.trust_domains,
        it.not_trust_domains,
        Test::TrustDomain,
    );
    add(&mut all, it.ip_blocks, it.not_ip_blocks, |it| {
        Test::Peer(block::set(it))
    });
    add(
        &mut all,
        it.remote_ip_blocks,
        it.not_remote_ip_blocks,
        |it| Test::Client(block::set(it)),
    );
    all
}

fn of_operation(it: Operation) -> Vec<Check> {
    let mut all = Vec::new();
    let hosts = |texts: Vec<Text>| Test::Host(texts.into_iter().map(HostPattern::new).collect());
    add(&mut all, it.hosts, it.not_hosts, hosts);
    add(&mut all, it.ports, it.not_ports, Test::Port);
    add(&mut all, it.methods, it.not_methods, Test::Method);
    add(&mut all, it.paths, it.not_paths, Test::Path);
    all
}

fn of_conditions(conditions: Vec<Condition>) -> Vec<Check> {
    let mut all = Vec::new();
    for condition in conditions {
        add(&mut all, condition.values, condition.not_values, |it| it);
    }
    all
}

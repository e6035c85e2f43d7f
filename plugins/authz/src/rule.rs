//! Rules as they are evaluated: tests that hold or do not, cheap ones first.

use std::net::IpAddr;

use tidegate_policy::Cidr;
use tidegate_policy::CidrSet;

use crate::attributes::Attributes;
use crate::condition::Condition;
use crate::config;
use crate::config::Operation;
use crate::config::Port;
use crate::config::Source;
use crate::path::PathPattern;
use crate::principal::ServiceAccount;
use crate::text::Glob;
use crate::text::Text;
use crate::token::RequestPrincipal;

/// One thing that a rule says of requests: an attribute has one of these values.
///
/// What is not known, such as who a client without a certificate is, has no value at all.
#[derive(Debug, Clone)]
pub(crate) enum Test {
    Method(Vec<Text>),
    Path(Vec<PathPattern>),
    Host(Vec<HostPattern>),
    Port(Vec<Port>),
    Peer(CidrSet),
    Client(CidrSet),
    Destination(CidrSet),
    Principal(Vec<Text>),
    Namespace(Vec<Glob>),
    ServiceAccount(Vec<ServiceAccount>),
    TrustDomain(Vec<Text>),
    Sni(Vec<Text>),
    Header(Header, Vec<Text>),
    RequestPrincipal(Vec<RequestPrincipal>),
    Audience(Vec<Text>),
    Presenter(Vec<Text>),
    Claim(Vec<Box<str>>, Vec<Text>),
}

/// A header that rules ask for.
#[derive(Debug, Clone)]
pub(crate) struct Header {
    /// Its name in lower case.
    pub(crate) name: Box<str>,
    /// Which of the plugin's headers it is; known once all rules are compiled.
    pub(crate) number: usize,
}

/// A host pattern; only one with a port sees the port.
#[derive(Debug, Clone)]
pub(crate) struct HostPattern {
    pub(crate) pattern: Text,
    pub(crate) has_port: bool,
}

impl HostPattern {
    fn new(pattern: Text) -> Self {
        let pattern = pattern.lower_case();
        let has_port = match &pattern {
            Text::Exact(text) | Text::Prefix(text) | Text::Suffix(text) => {
                let behind_address = text.rsplit(']').next().unwrap_or_default();
                behind_address.contains(':') && !text.starts_with('[')
                    || behind_address.starts_with(':')
            }
            Text::Any => false,
        };
        Self { pattern, has_port }
    }
}

impl Test {
    fn holds(&self, of: &Attributes<'_>) -> bool {
        match self {
            Self::Method(texts) => fits(texts, of.method()),
            Self::Path(patterns) => patterns.iter().any(|it| it.matches(of.path())),
            Self::Host(hosts) => {
                let authority = of.authority();
                hosts.iter().any(|host| {
                    let text = if host.has_port {
                        &authority.whole
                    } else {
                        authority.host()
                    };
                    host.pattern.matches(text)
                })
            }
            Self::Port(ports) => of.port().is_some_and(|port| ports.contains(&Port(port))),
            Self::Peer(blocks) => is_in(blocks, of.peer()),
            Self::Client(blocks) => is_in(blocks, of.client()),
            Self::Destination(blocks) => is_in(blocks, of.destination()),
            Self::Sni(texts) => fits(texts, of.sni()),
            Self::Header(header, texts) => {
                let mut values = of.header(header).iter();
                values.any(|value| texts.contains(&Text::Any) || fits(texts, value))
            }
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_) => self.holds_of_workload(of),
            Self::RequestPrincipal(_)
            | Self::Audience(_)
            | Self::Presenter(_)
            | Self::Claim(_, _) => self.holds_of_token(of),
        }
    }

    fn holds_of_workload(&self, of: &Attributes<'_>) -> bool {
        if let Self::Principal(texts) = self
            && texts.contains(&Text::Any)
            && of.is_authenticated()
        {
            return true;
        }
        let Some(principal) = of.principal() else {
            return false;
        };
        match self {
            Self::Principal(texts) => fits(texts, principal.as_bytes()),
            Self::Namespace(globs) => principal
                .namespace()
                .is_some_and(|found| globs.iter().any(|it| it.matches(found))),
            Self::TrustDomain(texts) => fits(texts, principal.trust_domain().as_bytes()),
            Self::ServiceAccount(accounts) => accounts.iter().any(|it| {
                principal.namespace() == it.namespace.as_deref()
                    && principal.service_account() == Some(&it.name)
            }),
            _ => false,
        }
    }

    fn holds_of_token(&self, of: &Attributes<'_>) -> bool {
        let Some(token) = of.token() else {
            return false;
        };
        match self {
            Self::RequestPrincipal(wanted) => wanted.iter().any(|it| it.matches(token)),
            Self::Audience(texts) => token.has("aud", texts),
            Self::Presenter(texts) => token.has("azp", texts),
            Self::Claim(path, texts) => token.has_claim(path, texts),
            _ => false,
        }
    }

    /// What it costs to ask: what costs less is asked first.
    const fn cost(&self) -> u8 {
        match self {
            Self::Path(_) => 0,
            Self::Method(_) => 1,
            Self::Host(_) => 2,
            Self::Port(_) => 3,
            Self::Peer(_) | Self::Client(_) | Self::Destination(_) => 4,
            Self::Principal(_)
            | Self::Namespace(_)
            | Self::ServiceAccount(_)
            | Self::TrustDomain(_)
            | Self::Sni(_) => 5,
            Self::Header(..) => 6,
            Self::RequestPrincipal(_)
            | Self::Audience(_)
            | Self::Presenter(_)
            | Self::Claim(..) => 7,
        }
    }
}

fn fits(texts: &[Text], value: &[u8]) -> bool {
    texts.iter().any(|it| it.matches(value))
}

fn is_in(blocks: &CidrSet, address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| blocks.contains(address))
}

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

    /// Gives each header that it asks for the number of it among `headers`, which grow by new ones.
    pub(crate) fn number_headers(&mut self, headers: &mut Vec<Box<str>>) {
        let lists = self.from.iter_mut().chain(&mut self.to);
        for check in lists.chain([&mut self.when]).flatten() {
            if let Test::Header(header, _) = &mut check.test {
                let known = headers.iter().position(|it| *it == header.name);
                header.number = known.unwrap_or_else(|| {
                    headers.push(header.name.clone());
                    headers.len() - 1
                });
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
    let set = |blocks: Vec<Cidr>| blocks.into_iter().collect();
    add(&mut all, it.ip_blocks, it.not_ip_blocks, |it| {
        Test::Peer(set(it))
    });
    add(
        &mut all,
        it.remote_ip_blocks,
        it.not_remote_ip_blocks,
        |it| Test::Client(set(it)),
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

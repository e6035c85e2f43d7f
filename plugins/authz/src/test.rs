//! What a rule says of one attribute, and whether it holds.

use std::net::IpAddr;

use tidegate_policy::CidrSet;

use crate::attributes::Attributes;
use crate::config::Port;
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
    /// A pattern of hosts in any case.
    pub(crate) fn new(pattern: Text) -> Self {
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
    pub(crate) fn holds(&self, of: &Attributes<'_>) -> bool {
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
    pub(crate) const fn cost(&self) -> u8 {
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

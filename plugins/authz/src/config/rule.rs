//! What operators write of one rule: whose requests, which ones, and when.

use serde_json::Value;
use tidegate_sdk::config::FilterConfig;
use tidegate_sdk::config::Problem;
use tidegate_sdk::config::Schema;

use crate::block::Block;
use crate::condition::Condition;
use crate::path::PathPattern;
use crate::principal::ServiceAccount;
use crate::text::Glob;
use crate::text::Text;
use crate::text::text_of;
use crate::token::RequestPrincipal;

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
    pub(crate) ip_blocks: Option<Vec<Block>>,
    /// In none of these blocks.
    #[config(min_len = 1)]
    pub(crate) not_ip_blocks: Option<Vec<Block>>,
    /// Addresses of clients, as far as the gateway trusts the proxies in front of it.
    #[config(min_len = 1)]
    pub(crate) remote_ip_blocks: Option<Vec<Block>>,
    /// In none of these blocks.
    #[config(min_len = 1)]
    pub(crate) not_remote_ip_blocks: Option<Vec<Block>>,
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

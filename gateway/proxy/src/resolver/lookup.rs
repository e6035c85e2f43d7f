//! One question to the name servers.
//!
//! Owns the client, which is made anew when the system's configuration changes, and what its
//! results mean. It has no cache: when to ask is decided by who asks.

use std::cell::RefCell;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::ConnectionConfig;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::config::ResolveHosts;
use hickory_resolver::config::ResolverConfig;
use hickory_resolver::config::ResolverOpts;
use hickory_resolver::net::DnsError;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::proto::rr::RData;
use hickory_resolver::proto::rr::RecordType;
use tidegate_core::dns::Answer;
use tokio::sync::Semaphore;

/// How long one server may take, as long as others may be asked.
const SERVER_PATIENCE: Duration = Duration::from_secs(2);
/// How long one lookup may take with all servers and tries.
const PATIENCE: Duration = Duration::from_secs(10);
/// Lookups that run at once.
const AT_ONCE: usize = 64;
/// How often the system's configuration is looked at.
const CONFIG_AGE: Duration = Duration::from_secs(5);
/// Records that are read of one answer.
const MOST_RECORDS: usize = 4096;
/// The files of the system's configuration.
const FILES: [&str; 2] = ["/etc/resolv.conf", "/etc/hosts"];

/// What is asked of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Kind {
    V4,
    V6,
    Services,
}

/// A record as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Address(IpAddr),
    Service {
        priority: u16,
        weight: u16,
        port: u16,
        host: std::sync::Arc<str>,
    },
}

/// Asks.
#[derive(Debug)]
pub(super) struct Lookup {
    servers: Vec<SocketAddr>,
    client: RefCell<Option<Client>>,
    turns: Semaphore,
}

struct Client {
    resolver: TokioResolver,
    files: Stamps,
    checked: Instant,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// When files were last written.
type Stamps = [Option<SystemTime>; FILES.len()];

impl Lookup {
    pub(super) fn new(servers: Vec<SocketAddr>) -> Self {
        Self {
            servers,
            client: RefCell::default(),
            turns: Semaphore::new(AT_ONCE),
        }
    }

    /// What the servers say, and if they say nothing good, why.
    pub(super) async fn ask(&self, name: &str, kind: Kind) -> (Answer<Found>, Option<String>) {
        let Ok(_turn) = self.turns.acquire().await else {
            return (Answer::Failed, None);
        };
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(err) => return (Answer::Failed, Some(err.to_string())),
        };
        let parsed = match Name::from_ascii(name) {
            Ok(parsed) => parsed,
            Err(err) => return (Answer::Failed, Some(err.to_string())),
        };
        let kind = match kind {
            Kind::V4 => RecordType::A,
            Kind::V6 => RecordType::AAAA,
            Kind::Services => RecordType::SRV,
        };
        let lookup = resolver.lookup(parsed, kind);
        match tokio::time::timeout(PATIENCE, lookup).await {
            Err(_) => (Answer::Failed, Some("no answer in time".to_owned())),
            Ok(Err(err)) => failed(&err),
            Ok(Ok(lookup)) => {
                let of_kind = lookup
                    .answers()
                    .iter()
                    .filter(|record| record.record_type() == kind);
                // A chain of aliases is good for as long as its shortest link.
                let ttl = lookup.answers().iter().map(|record| record.ttl).min();
                let records: Vec<Found> = of_kind
                    .filter_map(|record| found(&record.data))
                    .take(MOST_RECORDS)
                    .collect();
                let ttl = Duration::from_secs(u64::from(ttl.unwrap_or(0)));
                (Answer::Records(records, ttl), None)
            }
        }
    }

    /// The client, made anew if the system's configuration has changed.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let mut client = self.client.borrow_mut();
        if let Some(client) = client.as_mut() {
            if client.checked.elapsed() < CONFIG_AGE {
                return Ok(client.resolver.clone());
            }
            client.checked = Instant::now();
            if client.files == stamps() {
                return Ok(client.resolver.clone());
            }
            tracing::info!("the system's name servers or hosts have changed");
        }
        let files = stamps();
        let resolver = self.build()?;
        *client = Some(Client {
            resolver: resolver.clone(),
            files,
            checked: Instant::now(),
        });
        Ok(resolver)
    }

    fn build(&self) -> Result<TokioResolver, NetError> {
        let mut builder = if self.servers.is_empty() {
            TokioResolver::builder_tokio()?
        } else {
            let servers = self.servers.iter().map(|server| {
                let mut connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
                for connection in &mut connections {
                    connection.port = server.port();
                }
                NameServerConfig::new(server.ip(), true, connections.into())
            });
            let config = ResolverConfig::from_parts(None, Vec::new(), servers.collect());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        };
        set(builder.options_mut());
        builder.build()
    }
}

fn set(options: &mut ResolverOpts) {
    options.cache_size = 0;
    options.timeout = options.timeout.min(SERVER_PATIENCE);
    options.use_hosts_file = ResolveHosts::Always;
    options.max_active_requests = AT_ONCE;
}

fn stamps() -> Stamps {
    FILES.map(|file| Path::new(file).metadata().and_then(|it| it.modified()).ok())
}

fn found(data: &RData) -> Option<Found> {
    match data {
        RData::A(address) => Some(Found::Address(IpAddr::V4(address.0))),
        RData::AAAA(address) => Some(Found::Address(IpAddr::V6(address.0))),
        // The root means that there is no such service (RFC 2782).
        RData::SRV(service) if service.target.is_root() || service.port == 0 => None,
        RData::SRV(service) => Some(Found::Service {
            priority: service.priority,
            weight: service.weight,
            port: service.port,
            host: service.target.to_ascii().into(),
        }),
        _ => None,
    }
}

fn failed(err: &NetError) -> (Answer<Found>, Option<String>) {
    match err {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let ttl = none.negative_ttl.map(u64::from).map(Duration::from_secs);
            let why = match none.response_code {
                ResponseCode::NXDomain => "the name does not exist",
                _ => "the name has no such records",
            };
            (Answer::Missing(ttl), Some(why.to_owned()))
        }
        NetError::Dns(DnsError::ResponseCode(code)) => {
            (Answer::Failed, Some(format!("the server answered {code}")))
        }
        other => (Answer::Failed, Some(other.to_string())),
    }
}

//! The flags of the commands that read configuration files.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::ValueEnum;
use tidegate_config::load::ROOT_NAMESPACE;
use tidegate_host_abi::Node;

use crate::admin::AdminAddress;
use crate::cli::AccessLogArg;
use crate::cli::RegistryArgs;

/// `tidegate run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// File, or folder of .yaml, .yml and .json files
    #[arg(short, long, value_name = "PATH")]
    pub(crate) config: PathBuf,
    /// Where the admin API listens: an address, unix:PATH, or off
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:15000")]
    pub(crate) admin: AdminAddress,
    /// File with the token that admin clients must show; needed off loopback
    #[arg(long, value_name = "FILE")]
    pub(crate) admin_token_file: Option<PathBuf>,
    /// Worker threads; one per core by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Access log on standard output; by default as each Gateway's Telemetry says
    #[arg(long, value_name = "FORMAT")]
    pub(crate) access_log: Option<AccessLogArg>,
    /// Start although some resources are refused, with what is good
    #[arg(long)]
    pub(crate) allow_partial: bool,
    /// Folder for the last good generation, which a restart falls back to, or off; by default
    /// $STATE_DIRECTORY, or below $XDG_STATE_HOME or ~/.local/state
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Folder for compiled plugins, so that a restart does not compile them again, or off; by default
    /// with the state
    #[arg(long, value_name = "DIR")]
    pub(crate) code_cache: Option<PathBuf>,
    /// How long /ready waits at the start for plugins that are pulled; what they guard is answered with
    /// 503 meanwhile
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = tidegate_config::duration::parse)]
    pub(crate) pull_wait: Duration,
    /// How long running exchanges may take once a signal says stop; 30s by default
    #[arg(long, value_name = "DURATION", value_parser = tidegate_config::duration::parse)]
    pub(crate) drain_timeout: Option<Duration>,
    #[command(flatten)]
    pub(crate) dns: DnsArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

impl RunArgs {
    /// What `tidegate plugin dev` runs: nothing is kept, and what is bad is repaired while it runs.
    pub(crate) fn for_development(config: PathBuf) -> Self {
        Self {
            config,
            admin: AdminAddress::Off,
            admin_token_file: None,
            // More than one: what workers do not share is seen.
            workers: Some(2),
            access_log: Some(AccessLogArg::Brief),
            allow_partial: true,
            state_dir: Some("off".into()),
            code_cache: Some("off".into()),
            pull_wait: Duration::ZERO,
            drain_timeout: Some(Duration::from_secs(1)),
            dns: DnsArgs {
                dns_servers: Vec::new(),
            },
            node: NodeArgs {
                node_id: None,
                node_cluster: "tidegate".to_owned(),
            },
            mesh: MeshArgs::default(),
            registries: RegistryArgs::default(),
        }
    }
}

/// What Istio's policies are read with.
#[derive(Debug, Args)]
pub(crate) struct MeshArgs {
    /// Namespace whose AuthorizationPolicies and RequestAuthentications hold for all Gateways
    #[arg(long, value_name = "NAME", default_value = ROOT_NAMESPACE)]
    pub(crate) root_namespace: String,
}

impl Default for MeshArgs {
    fn default() -> Self {
        Self {
            root_namespace: ROOT_NAMESPACE.to_owned(),
        }
    }
}

/// What the gateway calls itself.
#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// What this gateway calls itself to filters (xds.node.id); by default the name of the host
    #[arg(long, value_name = "NAME", env = "TIDEGATE_NODE_ID")]
    node_id: Option<String>,
    /// What it and its replicas are called together (xds.node.cluster)
    #[arg(long, value_name = "NAME", default_value = "tidegate")]
    node_cluster: String,
}

impl NodeArgs {
    /// The node that filters see.
    pub(crate) fn node(&self) -> Node {
        let host = || {
            rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned()
        };
        Node {
            id: self.node_id.clone().unwrap_or_else(host),
            cluster: self.node_cluster.clone(),
        }
    }
}

/// How names are looked up.
#[derive(Debug, Args)]
pub(crate) struct DnsArgs {
    /// Name server that the names of backends are asked of, as IP or IP:PORT (repeatable); by default
    /// those of the system
    #[arg(long = "dns-server", value_name = "ADDR", value_parser = name_server)]
    pub(crate) dns_servers: Vec<SocketAddr>,
}

fn name_server(text: &str) -> Result<SocketAddr, String> {
    let bare = text.parse().map(|ip: IpAddr| SocketAddr::new(ip, 53));
    match bare.or_else(|_| text.parse()) {
        Ok(server) if server.port() > 0 => Ok(server),
        _ => {
            Err("expected an IP address, such as 10.0.0.53, 10.0.0.53:5353 or [::1]:53".to_owned())
        }
    }
}

/// `tidegate check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// File, or folder of .yaml, .yml and .json files
    #[arg(short, long, value_name = "PATH")]
    pub(crate) config: PathBuf,
    /// How problems are printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
    /// Pull plugins that are not in the cache, in place of a warning that they are not checked
    #[arg(long)]
    pub(crate) pull: bool,
    #[command(flatten)]
    pub(crate) mesh: MeshArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// How problems are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people, with the lines
    Text,
    /// As a JSON object
    Json,
}

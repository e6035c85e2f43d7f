//! The flags that say how registries and web servers are asked for plugins: they are the operator's,
//! who may be trusted more than those who write Plugins.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use ipnet::IpNet;

/// See the module. They name hosts as references do: with the port, if there is one.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Registries")]
pub(crate) struct RegistryArgs {
    /// Registry, or part of one, whose images are asked for elsewhere first, such as
    /// docker.io=mirror.example/hub (repeatable)
    #[arg(long = "registry-mirror", value_name = "NAME=NAME", value_parser = pair)]
    pub(crate) mirrors: Vec<(String, String)>,
    /// The same for images that are asked for only there (repeatable)
    #[arg(long = "registry-rewrite", value_name = "NAME=NAME", value_parser = pair)]
    pub(crate) rewrites: Vec<(String, String)>,
    /// Registry or web server that is asked without TLS (repeatable); on this machine that needs no flag
    #[arg(long = "registry-plain-http", value_name = "HOST[:PORT]")]
    pub(crate) plain_http: Vec<String>,
    /// File of authorities (PEM) that may vouch for a registry, beside the machine's (repeatable)
    #[arg(id = "registry_ca", long = "registry-ca", value_name = "HOST[:PORT]=FILE", value_parser = authority)]
    pub(crate) authorities: Vec<(String, String)>,
    /// Network that code may be fetched from, and no other (repeatable); by default all but link-local
    /// ones, metadata services, and names that lead to this machine
    #[arg(id = "fetch_allow", long = "fetch-allow", value_name = "CIDR", value_parser = network)]
    pub(crate) allow: Vec<IpNet>,
    /// Network that code is never fetched from (repeatable)
    #[arg(id = "fetch_deny", long = "fetch-deny", value_name = "CIDR", value_parser = network)]
    pub(crate) deny: Vec<IpNet>,
    /// Folder for what was fetched, which serves when a registry does not answer; by default below
    /// $XDG_CACHE_HOME or ~/.cache, and for `run` with the state
    #[arg(long, value_name = "DIR")]
    pub(crate) plugin_cache: Option<PathBuf>,
    /// File that says which images need a signature, and of which keys (a SignaturePolicy); none do by
    /// default
    #[arg(long, value_name = "FILE")]
    pub(crate) signature_policy: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => {
            Ok((from.to_owned(), to.to_owned()))
        }
        _ => Err("expected two names with `=` between them".to_owned()),
    }
}

fn authority(text: &str) -> Result<(String, String), String> {
    pair(text).map_err(|_| "expected HOST[:PORT]=FILE".to_owned())
}

fn network(text: &str) -> Result<IpNet, String> {
    let bare = text.parse::<IpAddr>().map(IpNet::from);
    bare.or_else(|_| text.parse())
        .map_err(|_| "expected a network such as 10.0.0.0/8, or an address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::authority;
    use super::network;
    use super::pair;

    #[test]
    fn names_are_two_and_networks_may_be_one_address() {
        assert_eq!(pair("a=b/c"), Ok(("a".to_owned(), "b/c".to_owned())));
        assert!(pair("a").is_err() && pair("=b").is_err() && pair("a=").is_err());
        assert_eq!(
            authority("ca.crt"),
            Err("expected HOST[:PORT]=FILE".to_owned())
        );
        assert_eq!(
            network("10.1.2.3").map(|it| it.to_string()),
            Ok("10.1.2.3/32".to_owned())
        );
        assert_eq!(
            network("fd00::/8").map(|it| it.to_string()),
            Ok("fd00::/8".to_owned())
        );
        assert!(network("10.0.0.0/33").is_err());
    }
}

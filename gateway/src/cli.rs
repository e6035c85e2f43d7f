//! The command line.
//!
//! Owns flags, their help and their checks. Values are parsed to what they mean here, so that a
//! wrong one is wrong usage (exit code 2) with the flag's name.

mod author;
mod explain;
mod images;
mod registries;
mod run;
mod tls;
mod versions;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::CommandFactory as _;
use clap::FromArgMatches as _;
use clap::Parser;
use clap::Subcommand;
use clap::ValueEnum;

pub(crate) use crate::cli::author::BenchArgs;
pub(crate) use crate::cli::author::BuildArgs;
pub(crate) use crate::cli::author::CheckPluginArgs;
pub(crate) use crate::cli::author::DevArgs;
pub(crate) use crate::cli::author::HostArgs;
pub(crate) use crate::cli::author::NewArgs;
pub(crate) use crate::cli::author::PluginCommand;
pub(crate) use crate::cli::author::TemplateArg;
pub(crate) use crate::cli::author::TestArgs;
pub(crate) use crate::cli::explain::ExplainArgs;
pub(crate) use crate::cli::images::ImageArgs;
pub(crate) use crate::cli::images::ImageFormat;
pub(crate) use crate::cli::images::InspectArgs;
pub(crate) use crate::cli::images::LockArgs;
pub(crate) use crate::cli::images::LoginArgs;
pub(crate) use crate::cli::images::PackArgs;
pub(crate) use crate::cli::images::PullArgs;
pub(crate) use crate::cli::images::PushArgs;
pub(crate) use crate::cli::registries::RegistryArgs;
pub(crate) use crate::cli::run::CheckArgs;
pub(crate) use crate::cli::run::CheckFormat;
pub(crate) use crate::cli::run::DnsArgs;
pub(crate) use crate::cli::run::MeshArgs;
pub(crate) use crate::cli::run::NodeArgs;
pub(crate) use crate::cli::run::RunArgs;
pub(crate) use crate::cli::tls::TlsArgs;
pub(crate) use crate::cli::versions::AdminArgs;
pub(crate) use crate::cli::versions::HistoryArgs;
pub(crate) use crate::cli::versions::RollbackArgs;
use crate::url::NamedUrl;
use crate::url::Url;

/// A gateway you program with WebAssembly.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, about, disable_help_subcommand = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What to log on standard error: a level, or targets with levels (filter=debug,warn)
    #[arg(
        long,
        global = true,
        value_name = "FILTER",
        default_value = "info",
        env = "TIDEGATE_LOG"
    )]
    pub(crate) log: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve what Gateway API resources in files say, and follow their changes
    Run(RunArgs),
    /// Report every problem of such files: exit code 0 if there is none, 1 if there are errors
    Check(CheckArgs),
    /// Say which listener and rule would have a request: exit code 0 if there is one, else 1
    Explain(ExplainArgs),
    /// Proxy one address to one origin, without any configuration file
    Proxy(Box<ProxyArgs>),
    /// Write, build, test and run filters of your own
    #[command(subcommand)]
    Plugin(PluginCommand),
    /// Print the JSON Schema of configuration files, for editors
    Schema,
    /// Print the CustomResourceDefinitions of Tidegate's own kinds, for Kubernetes
    Crds,
}

/// `tidegate proxy`.
#[derive(Debug, Args)]
pub(crate) struct ProxyArgs {
    /// Address to listen on; port 0 takes any free port and logs it
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Origin that requests go to: http://HOST:PORT or https://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) to: Url,
    #[command(flatten)]
    pub(crate) tls: TlsArgs,
    /// Another backend, for calls that filters make (repeatable)
    #[arg(long = "backend", value_name = "NAME=URL")]
    pub(crate) backends: Vec<NamedUrl>,
    /// Proxy-Wasm filter to put in the path: a file, or an image in a registry (repeatable; the first
    /// sees requests first)
    #[arg(long = "plugin", value_name = "FILE|REF")]
    plugin_files: Vec<PathBuf>,
    /// Configuration of the --plugin before it: text, or @FILE
    #[arg(long = "plugin-config", value_name = "TEXT|@FILE")]
    plugin_configs: Vec<String>,
    /// What happens when the --plugin before it cannot decide
    #[arg(long = "plugin-failure-policy", value_name = "POLICY")]
    plugin_policies: Vec<PolicyArg>,
    /// The --plugin before it is shown bodies while it holds headers back
    #[arg(
        long = "plugin-stop-iteration",
        action = clap::ArgAction::Append,
        num_args = 0,
        default_missing_value = "true"
    )]
    plugin_stop_iterations: Vec<bool>,
    #[arg(skip)]
    pub(crate) plugins: Vec<PluginArg>,
    /// CPU time that one call into a filter may take
    #[arg(long, value_name = "DURATION", default_value = "10ms", value_parser = tidegate_config::duration::parse)]
    pub(crate) call_timeout: Duration,
    /// Memory that one filter instance may use
    #[arg(long, value_name = "SIZE", default_value = "64Mi", value_parser = tidegate_config::size::parse)]
    pub(crate) plugin_memory: usize,
    /// Folder for compiled plugins, so that a restart does not compile them again; none by default
    #[arg(long, value_name = "DIR")]
    pub(crate) code_cache: Option<PathBuf>,
    /// Worker threads; one per core by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) workers: Option<u16>,
    /// Access log on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) access_log: AccessLogArg,
    /// Proxies in front of this one whose X-Forwarded-* fields are believed
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) trusted_hops: usize,
    /// How long running exchanges may take once a signal says stop
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = tidegate_config::duration::parse)]
    pub(crate) drain_timeout: Duration,
    #[command(flatten)]
    pub(crate) dns: DnsArgs,
    #[command(flatten)]
    pub(crate) node: NodeArgs,
    #[command(flatten)]
    pub(crate) registries: RegistryArgs,
}

/// One filter of the chain with what was said about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PluginArg {
    pub(crate) file: PathBuf,
    pub(crate) config: Option<String>,
    pub(crate) policy: PolicyArg,
    pub(crate) stop_iteration: bool,
}

/// What happens to streams when a filter cannot decide.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "PascalCase")]
pub(crate) enum PolicyArg {
    /// Its requests are answered with 503 (the default)
    #[default]
    #[value(alias = "fail-closed")]
    FailClosed,
    /// Its requests pass without it
    #[value(alias = "fail-open")]
    FailOpen,
}

/// How the access log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AccessLogArg {
    /// Lines of text
    Text,
    /// JSON objects
    Json,
    /// A short line for each request, at once, for somebody who watches
    Brief,
    /// Nothing
    Off,
}

/// Parses a command line.
///
/// # Errors
///
/// What clap reports: also help and version.
pub(crate) fn parse(args: impl Iterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = Cli::command();
    let matches = command.try_get_matches_from_mut(args)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    if let Command::Proxy(proxy) = &mut cli.command
        && let Some(("proxy", matches)) = matches.subcommand()
    {
        proxy.plugins = pair_plugins(proxy, matches).map_err(|flag| {
            command.error(
                clap::error::ErrorKind::MissingRequiredArgument,
                format!("{flag} needs a --plugin before it, and only one {flag} a --plugin"),
            )
        })?;
    }
    Ok(cli)
}

/// Gives each plugin the flags that follow it.
fn pair_plugins(
    args: &ProxyArgs,
    matches: &clap::ArgMatches,
) -> Result<Vec<PluginArg>, &'static str> {
    let places = |id: &str| {
        matches
            .indices_of(id)
            .map(Iterator::collect)
            .unwrap_or_default()
    };
    let files: Vec<usize> = places("plugin_files");
    let owner = |place: usize| files.iter().rposition(|file| *file < place);
    let mut plugins: Vec<PluginArg> = args
        .plugin_files
        .iter()
        .map(|file| PluginArg {
            file: file.clone(),
            config: None,
            policy: PolicyArg::default(),
            stop_iteration: false,
        })
        .collect();
    let configs: Vec<usize> = places("plugin_configs");
    for (place, config) in configs.into_iter().zip(&args.plugin_configs) {
        let plugin = owner(place).and_then(|at| plugins.get_mut(at));
        let plugin = plugin
            .filter(|plugin| plugin.config.is_none())
            .ok_or("--plugin-config")?;
        plugin.config = Some(config.clone());
    }
    let policies: Vec<usize> = places("plugin_policies");
    let mut named = Vec::new();
    for (place, policy) in policies.into_iter().zip(&args.plugin_policies) {
        let at = owner(place)
            .filter(|at| !named.contains(at))
            .ok_or("--plugin-failure-policy")?;
        named.push(at);
        if let Some(plugin) = plugins.get_mut(at) {
            plugin.policy = *policy;
        }
    }
    for place in places("plugin_stop_iterations") {
        let plugin = owner(place).and_then(|at| plugins.get_mut(at));
        plugin.ok_or("--plugin-stop-iteration")?.stop_iteration = true;
    }
    Ok(plugins)
}

#[cfg(test)]
mod tests {
    use super::Command;
    use super::PluginArg;
    use super::PolicyArg;
    use super::parse;

    fn plugins(args: &[&str]) -> Result<Vec<PluginArg>, String> {
        let line = ["tidegate", "proxy", "--to", "http://127.0.0.1:1"]
            .iter()
            .chain(args);
        let cli = parse(line.map(Into::into)).map_err(|err| err.to_string())?;
        match cli.command {
            Command::Proxy(proxy) => Ok(proxy.plugins),
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn plugin_flags_belong_to_the_plugin_before_them() {
        let got = plugins(&[
            "--plugin",
            "a.wasm",
            "--plugin",
            "b.wasm",
            "--plugin-config",
            "{}",
            "--plugin-stop-iteration",
            "--plugin-failure-policy",
            "FailOpen",
        ]);
        let plugin = |file: &str, config: Option<&str>, policy| PluginArg {
            file: file.into(),
            config: config.map(str::to_owned),
            policy,
            // Only the second one has the flag.
            stop_iteration: config.is_some(),
        };
        assert_eq!(
            got,
            Ok(vec![
                plugin("a.wasm", None, PolicyArg::FailClosed),
                plugin("b.wasm", Some("{}"), PolicyArg::FailOpen),
            ])
        );
    }

    #[test]
    fn a_plugin_flag_without_plugin_is_wrong_usage() {
        let err = plugins(&["--plugin-config", "{}", "--plugin", "a.wasm"]).expect_err("refused");
        assert!(
            err.contains("--plugin-config needs a --plugin before it"),
            "{err}"
        );
        assert!(
            plugins(&[
                "--plugin",
                "a",
                "--plugin-config",
                "1",
                "--plugin-config",
                "2"
            ])
            .is_err()
        );
    }

    #[test]
    fn wrong_values_name_their_flag() {
        let err = plugins(&["--drain-timeout", "10"]).expect_err("refused");
        assert!(
            err.contains("--drain-timeout") && err.contains("such as 500ms"),
            "{err}"
        );
    }
}

//! The flags of `tidegate plugin`, for those who write filters.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;
use tidegate_host_abi::CallResponse;
use tidegate_toolchain::compiler::Toolchain;

use crate::author::bench::answer;
use crate::author::name;
use crate::cli::CheckFormat;
use crate::cli::HistoryArgs;
use crate::cli::InspectArgs;
use crate::cli::LockArgs;
use crate::cli::PackArgs;
use crate::cli::PullArgs;
use crate::cli::PushArgs;
use crate::cli::RollbackArgs;
use crate::url::Url;

/// `tidegate plugin`.
#[derive(Debug, Subcommand)]
pub(crate) enum PluginCommand {
    /// Make a filter in a new folder NAME; it builds, passes its tests and runs as it is
    New(NewArgs),
    /// Compile a filter to WebAssembly, and print its size
    Build(BuildArgs),
    /// Run a filter's tests: in this process, or against the real module
    Test(TestArgs),
    /// Say everything about a module: what it needs, what it takes, and where it runs; exit code 1 if it
    /// does not serve here
    Check(CheckPluginArgs),
    /// Serve a filter while you write it: what you save is built and swapped in under traffic
    Dev(DevArgs),
    /// Measure what a module costs a request, phase by phase
    Bench(BenchArgs),
    /// Put a module into a registry, as an image that all gateways take; prints its digest
    Push(PushArgs),
    /// Put a module into a folder, as the image that `push` would make of it
    Pack(PackArgs),
    /// Get a module out of a registry
    Pull(PullArgs),
    /// Say everything about an image or a module: how it is made, what it needs, who would take it
    Inspect(InspectArgs),
    /// Write the digests of images into configuration files, behind their tags
    Lock(LockArgs),
    /// Say which versions of a Plugin a gateway has served, when, and why they ended
    History(HistoryArgs),
    /// Make a gateway serve an older version of a Plugin, until its resource asks for another
    Rollback(RollbackArgs),
    /// Run one module for a filter's tests, which give orders on standard input
    #[command(hide = true)]
    Host(HostArgs),
}

/// `tidegate plugin new`.
#[derive(Debug, Args)]
pub(crate) struct NewArgs {
    /// Name of the crate and of the folder that is made
    #[arg(value_name = "NAME", value_parser = name::parse)]
    pub(crate) name: String,
    /// What to begin with
    #[arg(long, value_name = "TEMPLATE", default_value = "headers")]
    pub(crate) template: TemplateArg,
    /// Folder of the SDK to depend on, in place of a copy of the one that this tidegate carries
    #[arg(long, value_name = "DIR")]
    pub(crate) sdk: Option<PathBuf>,
}

/// What a new filter begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TemplateArg {
    /// Asks a backend who the client is, and remembers the answer
    Auth,
    /// Lets each client make so many requests in a time
    RateLimit,
    /// Sends a share of the clients to a new version, always the same ones
    Canary,
    /// Delays or fails a share of the requests, for tests of others
    Fault,
    /// Takes fields out of JSON answers
    Body,
    /// Sets and removes headers
    Headers,
}

/// How a filter is found and compiled.
#[derive(Debug, Args)]
pub(crate) struct ProjectArgs {
    /// Folder of the filter, with its Cargo.toml
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Compiler to take, instead of the first that works
    #[arg(long, value_name = "rustup|debian")]
    pub(crate) toolchain: Option<Toolchain>,
}

/// `tidegate plugin build`.
#[derive(Debug, Args)]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Small and fast code (the default)
    #[arg(long, conflicts_with = "fast")]
    pub(crate) release: bool,
    /// Compile quickly, to larger and slower code
    #[arg(long)]
    pub(crate) fast: bool,
}

/// `tidegate plugin test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Run the tests against the compiled module, in this gateway
    #[arg(long, conflicts_with = "envoy")]
    pub(crate) wasm: bool,
    /// Run the tests against the compiled module, in Envoy (from PATH or TIDEGATE_ENVOY)
    #[arg(long)]
    pub(crate) envoy: bool,
    /// Passed on to `cargo test`
    #[arg(last = true, value_name = "ARGS")]
    pub(crate) rest: Vec<String>,
}

/// `tidegate plugin check`.
#[derive(Debug, Args)]
pub(crate) struct CheckPluginArgs {
    /// The module
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Configuration to check and to start it with: JSON or YAML, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,
    /// How the report is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(crate) format: CheckFormat,
}

/// `tidegate plugin host`.
#[derive(Debug, Args)]
pub(crate) struct HostArgs {
    /// The module
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Folder for compiled code, so that the next test does not compile it again; none by default
    #[arg(long, value_name = "DIR")]
    pub(crate) code_cache: Option<PathBuf>,
}

/// `tidegate plugin dev`.
#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    pub(crate) project: ProjectArgs,
    /// Where the application is, in place of the Backend app of tidegate.yaml: http://HOST:PORT
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<Url>,
    /// Address to listen on, in place of that of tidegate.yaml; port 0 takes any free port and logs it
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
}

/// `tidegate plugin bench`.
#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The module
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Configuration to start it with: JSON or YAML, or @FILE
    #[arg(long, value_name = "JSON|@FILE")]
    pub(crate) config: Option<String>,
    /// Bytes of the bodies, which come as one chunk
    #[arg(long, value_name = "SIZE", default_value = "1Ki", value_parser = tidegate_config::size::parse)]
    pub(crate) chunk: usize,
    /// What every backend answers at once: a status, perhaps with a body. Without it calls get no
    /// answer, and the filter is measured up to there
    #[arg(long, value_name = "STATUS [BODY]", value_parser = answer::parse)]
    pub(crate) answer: Option<CallResponse>,
    /// How long to measure
    #[arg(long, value_name = "DURATION", default_value = "1s", value_parser = tidegate_config::duration::parse)]
    pub(crate) time: Duration,
}

//! `cargo xtask`: everything a developer or CI does with this repository, as one program.
//!
//! Owns the command line only; each command is a module of its own. Of our crates it depends only on
//! `tidegate-toolchain`, so that it builds in seconds and works while they do not compile.

mod apt;
mod bench;
mod ci;
mod demo;
mod dist;
mod families;
mod node;
mod packages;
mod peers;
mod plugins;
mod run;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use families::Families;
use run::Sink;
use tidegate_toolchain::compiler::Toolchain;
use workspace::Workspace;

/// Project tasks of Tidegate.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Starts demo backends and a gateway with a filter, and prints lines to try.
    Demo {
        /// Does what the printed lines do itself, checks the answers, and ends.
        #[arg(long)]
        check: bool,
        /// The cargo profile to build with.
        #[arg(long, default_value = "demo")]
        profile: String,
        /// Passed on to the demo.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Builds every filter of this repository to target/plugins/NAME.wasm.
    Plugins {
        /// Uses this toolchain instead of the first that works.
        #[arg(long, value_name = "rustup|debian")]
        toolchain: Option<Toolchain>,
        /// Builds only the filter of this package name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Builds the tests' filters of other SDK families instead, with their toolchains.
        #[arg(long, conflicts_with_all = ["toolchain", "only"])]
        families: bool,
    },
    /// Packs our own filters as images, into target/dist/oci/NAME, ready to be pushed.
    Dist {
        /// Packs only the filter of this name.
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
        /// Says in the images where the source is.
        #[arg(long, value_name = "URL")]
        source: Option<String>,
        /// The cargo profile of the gateway that packs; the images are the same with all.
        #[arg(long, default_value = "demo")]
        profile: String,
        /// Packs what was built before.
        #[arg(long)]
        no_build: bool,
    },
    /// Builds the filters, then runs all tests.
    Test {
        /// Also installs the real programs some tests compare with, and requires them.
        #[arg(long)]
        peers: bool,
        /// Runs only the tests of filters, against their modules: in Tidegate, and with --peers in
        /// Envoy.
        #[arg(long, conflicts_with = "args")]
        filters: bool,
        /// Passed on to cargo test.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Installs the real programs that tests and the comparison need, and no filters' toolchains.
    Peers,
    /// Runs the micro-benchmarks.
    Bench {
        /// Passed on to cargo bench.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Compares the CPU cost of a request with that of other proxies.
    Compare {
        /// Passed on to the comparison.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Changes a filter a thousand times under load, and looks for anybody who notices.
    Soak {
        /// The cargo profile to build with.
        #[arg(long, default_value = "release")]
        profile: String,
        /// Passed on to the program.
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Checks what the compiler does not: arrows between crates, file headers, links, sizes.
    Tidy,
    /// Everything CI checks, in its order.
    Ci,
}

fn main() -> ExitCode {
    match perform(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(err) => {
            eprintln!("error: {err:#}");
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Demo {
            check,
            profile,
            args,
        } => demo::run(&workspace, &profile, check, &args),
        Task::Plugins { families: true, .. } => Families::of(&workspace).build(&Sink::Terminal),
        Task::Plugins {
            toolchain, only, ..
        } => plugins::build(&workspace, toolchain, only.as_deref()),
        Task::Dist {
            only,
            source,
            profile,
            no_build,
        } => {
            let wish = dist::Wish {
                only: only.as_deref(),
                source: source.as_deref(),
                profile: &profile,
            };
            if !no_build {
                dist::build(&workspace, &wish)?;
            }
            dist::pack(&workspace, &wish)
        }
        Task::Test {
            peers,
            filters,
            args,
        } => test::run(&workspace, peers, filters, &args),
        Task::Peers => peers::install(&workspace, &Sink::Terminal),
        Task::Bench { args } => bench::micro(&workspace, &args),
        Task::Compare { args } => bench::compare(&workspace, &args),
        Task::Soak { profile, args } => bench::soak(&workspace, &profile, &args),
        Task::Tidy => tidy::run(&workspace),
        Task::Ci => ci::run(&workspace),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}

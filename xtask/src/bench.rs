//! `cargo xtask bench`, `compare` and `soak`: what things cost.
//!
//! They measure optimised builds and belong on a quiet machine; CI runs the benches once, as
//! tests, only to see that they work.

use std::process::Command;

use anyhow::Result;

use crate::families::Families;
use crate::run::{self, Sink};
use crate::workspace::Workspace;
use crate::{peers, plugins};

/// Runs the micro-benchmarks; `args` go to `cargo bench`. A figure whose filter cannot be built here
/// is printed as not measured.
pub(crate) fn micro(workspace: &Workspace, args: &[String]) -> Result<()> {
    if let Err(err) = plugins::build(workspace, None, None) {
        println!("bench: filters in Rust are left out: {err:#}");
    }
    if let Err(err) = Families::of(workspace).large_go(&Sink::Terminal) {
        println!("bench: the filter in Go is left out: {err:#}");
    }
    run::run(
        workspace
            .cargo("bench")
            .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder())
            .args(["-p", "tidegate-benches"])
            .args(args),
    )
}

/// Compares the release build with other proxies; `args` go to the comparison.
pub(crate) fn compare(workspace: &Workspace, args: &[String]) -> Result<()> {
    peers::install(workspace, &Sink::Terminal)?;
    plugins::build(workspace, None, None)?;
    let mut build = workspace.cargo("build");
    build.args([
        "--release",
        "--bins",
        "-p",
        "tidegate",
        "-p",
        "tidegate-benches",
    ]);
    println!("compare: building for release (takes several minutes)");
    run::run(&mut build)?;

    let mut compare = Command::new(workspace.program("release", "compare"));
    compare
        .current_dir(&workspace.root)
        .env("TIDEGATE_BIN", workspace.program("release", "tidegate"))
        .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder())
        .env("TIDEGATE_PEERS_DIR", peers::folder(workspace));
    run::run(compare.args(args))
}

/// Changes a filter under load, in a gateway of that profile; `args` go to the program.
pub(crate) fn soak(workspace: &Workspace, profile: &str, args: &[String]) -> Result<()> {
    plugins::build(workspace, None, Some("probe"))?;
    let mut build = workspace.cargo("build");
    build.args([
        "--profile",
        profile,
        "-p",
        "tidegate",
        "-p",
        "tidegate-benches",
    ]);
    build.args(["--bin", "tidegate", "--bin", "swaps"]);
    println!("soak: building with the profile {profile}");
    run::run(&mut build)?;
    let mut soak = Command::new(workspace.program(profile, "swaps"));
    soak.current_dir(&workspace.root)
        .env("TIDEGATE_BIN", workspace.program(profile, "tidegate"))
        .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder());
    run::run(soak.args(args))
}

//! `cargo xtask demo`: builds what the demo shows, then becomes the demo.
//!
//! The demo itself is the program `tidegate-demo` in examples/demo. It replaces this process, so
//! that Ctrl-C and the exit code are its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{plugins, run};

/// Builds the filters, the gateway and the demo, and runs the demo; returns only on failure.
pub(crate) fn run(
    workspace: &Workspace,
    profile: &str,
    check: bool,
    args: &[String],
) -> Result<()> {
    plugins::build(workspace, None, None)?;
    build_programs(workspace, profile)?;
    let mut demo = command(workspace, profile);
    if check {
        demo.arg("--check");
    }
    let failure = demo.args(args).exec();
    Err(failure).with_context(|| format!("cannot start `{}`", run::shown(&demo)))
}

/// Builds the gateway and the demo: together, so that whoever needs one of them compiles nothing twice.
pub(crate) fn build_programs(workspace: &Workspace, profile: &str) -> Result<()> {
    let mut build = workspace.cargo("build");
    build.args([
        "--profile",
        profile,
        "-p",
        "tidegate",
        "-p",
        "tidegate-demo",
    ]);
    println!("building the gateway (the first time takes minutes)");
    run::run(&mut build)
}

/// The demo, already built with this profile.
pub(crate) fn command(workspace: &Workspace, profile: &str) -> Command {
    let mut demo = Command::new(workspace.program(profile, "tidegate-demo"));
    demo.current_dir(&workspace.root)
        .env("TIDEGATE_BIN", workspace.program(profile, "tidegate"))
        .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder());
    demo
}

//! `cargo xtask test`: the filters, then one run of all tests.
//!
//! Owns the variables by which tests learn what was prepared for them:
//! `TIDEGATE_PLUGINS_DIR` always, `TIDEGATE_PEERS` and `TIDEGATE_PEERS_DIR` if real programs to
//! compare with must be there. Without the latter two, the tests that need them do nothing and
//! say so.

mod modes;
mod suites;

use std::process::Command;

use anyhow::Result;

use crate::families::Families;
use crate::run::{self, Sink};
use crate::test::modes::Mode;
use crate::workspace::Workspace;
use crate::{peers, plugins};

/// Whether tests that compare with real programs run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peers {
    /// They run, and fail if a program is missing.
    Required,
    /// They do nothing, so that no test depends on what is installed.
    Unused,
}

/// Prepares what tests need, then runs them, or only those of filters in their modules; `args` go to
/// `cargo test`.
pub(crate) fn run(
    workspace: &Workspace,
    with_peers: bool,
    only_filters: bool,
    args: &[String],
) -> Result<()> {
    let peers = if with_peers {
        Peers::Required
    } else {
        Peers::Unused
    };
    if peers == Peers::Required {
        peers::install(workspace, &Sink::Terminal)?;
        Families::of(workspace).build(&Sink::Terminal)?;
    }
    plugins::build(workspace, None, None)?;
    if only_filters {
        // The graph that the tests are of.
        run::run(
            workspace
                .cargo("build")
                .args(["--workspace", "--all-targets"]),
        )?;
        return filters(workspace, peers);
    }
    run::run(cargo_test(workspace, peers).args(args))?;
    if !args.is_empty() {
        return Ok(()); // Somebody looks for something in particular.
    }
    filters(workspace, peers)
}

/// Runs the tests of filters against their modules: in Tidegate, and in Envoy if it is there.
pub(crate) fn filters(workspace: &Workspace, peers: Peers) -> Result<()> {
    let modes: &[Mode] = match peers {
        Peers::Required => &[Mode::Wasm, Mode::Envoy],
        Peers::Unused => &[Mode::Wasm],
    };
    modes::run(workspace, &mut cargo_test(workspace, peers), modes)
}

/// `cargo test --workspace`, with the variables that tests read.
pub(crate) fn cargo_test(workspace: &Workspace, peers: Peers) -> Command {
    let mut cargo = workspace.cargo("test");
    cargo
        .arg("--workspace")
        .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder());
    match peers {
        Peers::Required => {
            cargo
                .env("TIDEGATE_PEERS", "1")
                .env("TIDEGATE_PEERS_DIR", peers::folder(workspace));
        }
        Peers::Unused => {
            cargo
                .env_remove("TIDEGATE_PEERS")
                .env_remove("TIDEGATE_PEERS_DIR");
        }
    }
    cargo
}

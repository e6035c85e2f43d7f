//! The tests of filters once more: against their modules, in Tidegate and in Envoy.
//!
//! Owns which packages those are (whoever has `tidegate-sdk-testing`), the variables by which the
//! harness learns where it runs, and the count of what ran: a mode in which everything was skipped
//! fails.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages::Package;
use crate::run;
use crate::workspace::Workspace;

/// The harness.
const HARNESS: &str = "tidegate-sdk-testing";

/// Where filters' tests run besides their own process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Wasm,
    Envoy,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Wasm => "wasm",
            Self::Envoy => "envoy",
        }
    }
}

/// Runs them; the filters and the program must have been built.
pub(crate) fn run(workspace: &Workspace, mode: Mode) -> Result<()> {
    let report = workspace
        .target
        .join(format!("filter-tests-{}.txt", mode.name()));
    // Of the run before.
    fs::remove_file(&report).ok();
    run::run(command(workspace, mode)?.env("TIDEGATE_TEST_REPORT", &report))?;
    let lines = fs::read_to_string(&report).unwrap_or_default();
    let (ran, skipped) = count(&lines);
    println!(
        "filters' tests in mode {}: {ran} harnesses ran, {skipped} tests do not run there",
        mode.name()
    );
    ensure!(ran > 0, "no filter was tested in mode {}", mode.name());
    Ok(())
}

fn command(workspace: &Workspace, mode: Mode) -> Result<Command> {
    let program = workspace.program("dev", "tidegate");
    let program = program.canonicalize();
    let mut cargo = workspace.cargo("test");
    for package in workspace.packages.iter().filter(|it| is_tested(it)) {
        cargo.args(["-p", &package.name]);
    }
    cargo
        .args(["--lib", "--tests"])
        .env("TIDEGATE_TEST_MODE", mode.name())
        .env("TIDEGATE_TEST_MODULE", workspace.plugins_folder());
    match mode {
        Mode::Wasm => {
            let program = program.context("tidegate is not built: cargo build --workspace")?;
            cargo.env("TIDEGATE_BIN", program);
        }
        Mode::Envoy => {
            let envoy = crate::peers::folder(workspace).join("envoy/bin/envoy");
            cargo.env("TIDEGATE_ENVOY", envoy);
        }
    }
    Ok(cargo)
}

fn is_tested(package: &Package) -> bool {
    let tests = package.dependencies.iter();
    package.name == HARNESS || tests.into_iter().any(|it| it.name == HARNESS)
}

/// How many lines say that something ran, and that something did not.
fn count(report: &str) -> (usize, usize) {
    let of = |word: &str| report.lines().filter(|line| line.starts_with(word)).count();
    (of("ran "), of("skipped "))
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_ran_and_what_did_not_is_counted() {
        let report = "ran a::b\nskipped a::c: an hour passes\nran a::b\n";
        assert_eq!(super::count(report), (2, 1));
    }
}

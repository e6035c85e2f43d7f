//! The tests of filters once more: against their modules, in Tidegate and in Envoy.
//!
//! Owns which packages those are (whoever has `tidegate-sdk-testing`), the variables by which the
//! harness learns where it runs, and the count of what ran: a mode in which everything was skipped
//! fails.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::packages::Package;
use crate::test::suites::{self, Job, Suite};
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

/// Runs them in these modes; the filters, the program and the tests must have been built. `cargo` is
/// the `cargo test` that built the tests.
pub(crate) fn run(workspace: &Workspace, cargo: &mut Command, modes: &[Mode]) -> Result<()> {
    let tested: Vec<&Package> = workspace
        .packages
        .iter()
        .filter(|it| is_tested(it))
        .collect();
    let suites = suites::build(cargo, &tested, &workspace.root)?;
    let mut jobs = Vec::new();
    // Those of one filter one after the other: the longest come first.
    for suite in &suites {
        for mode in modes {
            jobs.push(job(workspace, suite, *mode)?);
        }
    }
    for mode in modes {
        // Of the run before.
        fs::remove_file(report(workspace, *mode)).ok();
    }
    suites::run_all(jobs)?;
    for mode in modes {
        let lines = fs::read_to_string(report(workspace, *mode)).unwrap_or_default();
        let (ran, skipped) = count(&lines);
        println!(
            "filters' tests in mode {}: {ran} harnesses ran, {skipped} tests do not run there",
            mode.name()
        );
        ensure!(ran > 0, "no filter was tested in mode {}", mode.name());
    }
    Ok(())
}

/// What ran in a mode.
fn report(workspace: &Workspace, mode: Mode) -> PathBuf {
    let name = format!("filter-tests-{}.txt", mode.name());
    workspace.target.join(name)
}

fn job(workspace: &Workspace, suite: &Suite, mode: Mode) -> Result<Job> {
    let mut command = suite.command();
    command
        .env("TIDEGATE_PLUGINS_DIR", workspace.plugins_folder())
        .env("TIDEGATE_TEST_MODE", mode.name())
        .env("TIDEGATE_TEST_MODULE", workspace.plugins_folder())
        .env("TIDEGATE_TEST_REPORT", report(workspace, mode));
    match mode {
        Mode::Wasm => {
            let program = workspace.program("dev", "tidegate").canonicalize();
            let program = program.context("tidegate is not built: cargo build --workspace")?;
            let code = workspace.target.join("filter-tests-code");
            command
                .env("TIDEGATE_BIN", program)
                .env("TIDEGATE_TEST_CODE_CACHE", code);
        }
        Mode::Envoy => {
            let envoy = crate::peers::folder(workspace).join("envoy/bin/envoy");
            command.env("TIDEGATE_ENVOY", envoy);
        }
    }
    Ok(Job {
        title: format!("{} in mode {}", suite.package, mode.name()),
        command,
    })
}

fn is_tested(package: &Package) -> bool {
    let mut tests = package.dependencies.iter();
    package.name == HARNESS || tests.any(|it| it.name == HARNESS)
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

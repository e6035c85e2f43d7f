//! `cargo xtask ci`: every check of this project, in the order of what fails fastest.
//!
//! Cargo compiles two graphs for this machine, one that only checks and one in the dev profile,
//! and every step uses one of them; another profile or another set of packages would compile
//! everything once more. The peers are installed in the background until the tests need them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tidegate_toolchain::compiler::Toolchain;

use crate::packages::Package;
use crate::run::run as exec;
use crate::test::{Peers, cargo_test};
use crate::workspace::Workspace;
use crate::{demo, dist, peers, plugins, tidy};

/// Runs all steps until one fails, and prints how long each took and what was left of the disk.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let workspace = &Workspace {
        locked: true,
        ..workspace.clone()
    };
    let peers = peers::Background::start(workspace)?;
    let mut steps = Steps::of(workspace);
    let outcome = checks(workspace, &mut steps)
        .and_then(|()| tests(workspace, &mut steps, peers))
        .and_then(|()| whole_program(workspace, &mut steps));
    steps.print();
    outcome
}

fn checks(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.run("fmt", || {
        let unlocked = Workspace {
            locked: false,
            ..workspace.clone()
        };
        exec(unlocked.cargo("fmt").args(["--all", "--", "--check"]))
    })?;
    steps.run("tidy", || tidy::run(workspace))?;
    steps.run("plugins, one by Debian's toolchain", || {
        let one = workspace.packages.iter().find(|it| it.is_filter());
        let one = one.context("there is no filter to build")?;
        plugins::build(workspace, Some(Toolchain::Debian), Some(&one.name))
    })?;
    // Second, so that the tests see what users build.
    steps.run("plugins", || plugins::build(workspace, None, None))?;
    steps.run("clippy", || {
        let mut clippy = workspace.cargo("clippy");
        exec(clippy.args(["--workspace", "--all-targets", "--", "-D", "warnings"]))
    })?;
    steps.run("doc", || {
        let mut doc = workspace.cargo("doc");
        exec(
            doc.args(["--workspace", "--no-deps"])
                .env("RUSTDOCFLAGS", "-D warnings"),
        )
    })
}

fn tests(workspace: &Workspace, steps: &mut Steps, peers: peers::Background) -> Result<()> {
    steps.run("build tests", || {
        exec(cargo_test(workspace, Peers::Required).args(["--all-targets", "--no-run"]))
    })?;
    steps.run("peers, the rest of it", || peers.wait())?;
    steps.run("test", || {
        exec(cargo_test(workspace, Peers::Required).arg("--all-targets"))
    })?;
    steps.run("filters' tests in Tidegate and Envoy", || {
        crate::test::filters(workspace, Peers::Required)
    })?;
    steps.run("doctests", || {
        exec(cargo_test(workspace, Peers::Required).arg("--doc"))
    })?;
    steps.run("examples", || examples(workspace))
}

fn whole_program(workspace: &Workspace, steps: &mut Steps) -> Result<()> {
    steps.run("demo --check", || {
        // All targets, because that is the graph the tests have compiled.
        exec(
            workspace
                .cargo("build")
                .args(["--workspace", "--all-targets"]),
        )?;
        exec(demo::command(workspace, "dev").arg("--check"))
    })?;
    steps.run("dist", || {
        let wish = dist::Wish {
            only: None,
            source: None,
            profile: "dev",
        };
        dist::pack(workspace, &wish)
    })
}

/// Every example explains itself, and every filter among them was built.
fn examples(workspace: &Workspace) -> Result<()> {
    let examples = workspace
        .packages
        .iter()
        .filter(|it| it.folder.starts_with("examples"));
    let mut faults = Vec::new();
    for example in examples {
        let Package { name, folder, .. } = example;
        if !workspace.root.join(folder).join("README.md").is_file() {
            faults.push(format!("{} has no README.md", folder.display()));
        }
        let module = workspace.plugins_folder().join(format!("{name}.wasm"));
        if example.is_filter() && !module.is_file() {
            faults.push(format!("{} was not built", module.display()));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("; "));
    }
    Ok(())
}

/// The steps so far, with their times.
#[derive(Debug, Default)]
struct Steps {
    /// On the disk that fills up.
    root: PathBuf,
    done: Vec<Done>,
}

#[derive(Debug)]
struct Done {
    name: &'static str,
    took: Duration,
    verdict: &'static str,
}

impl Steps {
    fn of(workspace: &Workspace) -> Self {
        Self {
            root: workspace.root.clone(),
            done: Vec::new(),
        }
    }

    fn run(&mut self, name: &'static str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("\n── ci: {name}");
        let started = Instant::now();
        let outcome = step().with_context(|| format!("ci step `{name}`"));
        let took = started.elapsed();
        let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
        let left = left_of_disk(&self.root);
        let seconds = took.as_secs_f64();
        println!("── ci: {name}: {verdict} after {seconds:.1} s, {left} of the disk left");
        self.done.push(Done {
            name,
            took,
            verdict,
        });
        outcome
    }

    fn print(&self) {
        println!("\n{:>9}  step", "seconds");
        for Done {
            name,
            took,
            verdict,
        } in &self.done
        {
            println!("{:>9.1}  {name}: {verdict}", took.as_secs_f64());
        }
        let total: Duration = self.done.iter().map(|done| done.took).sum();
        println!("{:>9.1}  in all", total.as_secs_f64());
    }
}

/// What is left of the disk that a folder is on, as `df` says it.
fn left_of_disk(folder: &Path) -> String {
    let said = Command::new("df")
        .args(["-h", "--output=avail"])
        .arg(folder)
        .output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let left = said.ok().and_then(|said| {
        let left = said.lines().nth(1)?.trim();
        Some(left.to_owned())
    });
    left.unwrap_or_else(|| "?".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_is_named_and_timed() {
        let mut steps = Steps::default();
        steps.run("first", || Ok(())).unwrap();
        let err = steps.run("second", || bail!("no")).unwrap_err();
        assert_eq!(format!("{err:#}"), "ci step `second`: no");
        let verdicts: Vec<_> = steps
            .done
            .iter()
            .map(|done| (done.name, done.verdict))
            .collect();
        assert_eq!(verdicts, [("first", "ok"), ("second", "FAILED")]);
    }
}

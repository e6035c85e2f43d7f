//! The tests of filters as programs: where cargo put them, and running several at once.
//!
//! Owns the selection among what cargo built for the workspace: with packages of its own it would
//! choose other features, and compile everything once more. Programs are run side by side, because
//! each waits for most of its time: for gateways that start, and for time that is real.

use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::packages::Package;
use crate::run;

/// The tests of one filter: one program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Suite {
    /// The package that they are of.
    pub(super) package: String,
    /// Its folder; absolute. Cargo starts tests there.
    pub(super) folder: PathBuf,
    program: PathBuf,
}

/// Something to run: its title, and how.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) title: String,
    pub(super) command: Command,
}

/// What came of a job.
struct Outcome {
    failed: bool,
    took: Duration,
    said: String,
}

impl Suite {
    /// A command that runs it as cargo would.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }
}

/// The suites of these packages, those with most source first: what takes longest must not come
/// last. `cargo` is a `cargo test` of the whole workspace, which this makes one that only builds.
pub(super) fn build(cargo: &mut Command, packages: &[&Package], root: &Path) -> Result<Vec<Suite>> {
    cargo
        .args(["--tests", "--no-run"])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit());
    println!("$ {}", run::shown(cargo));
    let mut suites = read(&run::output(cargo)?, packages, root);
    suites.sort_by_cached_key(|it| std::cmp::Reverse(source_bytes(&it.folder.join("tests"))));
    Ok(suites)
}

/// The suites among cargo's messages, one JSON object a line.
fn read(messages: &str, packages: &[&Package], root: &Path) -> Vec<Suite> {
    let messages = messages.lines();
    let messages = messages.filter_map(|line| serde_json::from_str(line).ok());
    messages
        .filter_map(|message: Value| {
            let kinds = message.pointer("/target/kind")?.as_array()?;
            if !kinds.iter().any(|kind| kind == "test") {
                return None;
            }
            let program = message.get("executable")?.as_str()?;
            let manifest = message.get("manifest_path")?.as_str()?;
            let folder = Path::new(manifest).parent()?;
            let is_of = |it: &&&Package| root.join(&it.folder) == folder;
            let package = packages.iter().find(is_of)?;
            Some(Suite {
                package: package.name.clone(),
                folder: folder.to_owned(),
                program: program.into(),
            })
        })
        .collect()
}

/// Bytes of the files below a folder.
fn source_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else {
        return 0;
    };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => source_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// Runs all jobs, as many at once as this machine has cores, begun in their order. A line says how
/// each ended, and one that failed shows what it printed.
pub(super) fn run_all(jobs: Vec<Job>) -> Result<()> {
    let lanes = thread::available_parallelism().map_or(1, usize::from);
    let queue = Mutex::new(VecDeque::from(jobs));
    let failed = Mutex::new(Vec::new());
    let next = || {
        queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    };
    let work = || {
        while let Some(Job { title, mut command }) = next() {
            let outcome = run_one(&mut command);
            println!("{}", told(&title, &outcome));
            if outcome.is_ok_and(|it| !it.failed) {
                continue;
            }
            let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.push(title);
        }
    };
    thread::scope(|scope| {
        for _ in 0..lanes {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    if !failed.is_empty() {
        bail!("these tests failed: {}", failed.join(", "));
    }
    Ok(())
}

fn run_one(command: &mut Command) -> Result<Outcome> {
    let started = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`", run::shown(command)))?;
    let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
    said.push_str(&String::from_utf8_lossy(&output.stderr));
    Ok(Outcome {
        failed: !output.status.success(),
        took: started.elapsed(),
        said,
    })
}

fn told(title: &str, outcome: &Result<Outcome>) -> String {
    match outcome {
        Ok(Outcome { failed, took, said }) => {
            let seconds = took.as_secs_f64();
            let result = said.lines().find(|line| line.starts_with("test result: "));
            let result = result.unwrap_or("no result of tests");
            match failed {
                false => format!("{seconds:>6.1} s  {title}: {result}"),
                true => format!("{said}\n{seconds:>6.1} s  {title}: FAILED"),
            }
        }
        Err(err) => format!("{title}: FAILED: {err:#}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shell(title: &str, script: &str) -> Job {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Job {
            title: title.to_owned(),
            command,
        }
    }

    #[test]
    fn the_integration_tests_of_the_packages_are_found_among_what_cargo_says() {
        let message = |folder: &str, kind: &str| {
            json!({
                "reason": "compiler-artifact",
                "manifest_path": format!("/repo/plugins/{folder}/Cargo.toml"),
                "target": {"kind": [kind], "name": folder},
                "executable": format!("/target/{folder}-{kind}"),
            })
            .to_string()
        };
        let messages = [
            message("fault", "cdylib"),
            message("fault", "test"),
            message("other", "test"),
            "not JSON".to_owned(),
        ];
        let fault = Package {
            name: "fault".to_owned(),
            folder: "plugins/fault".into(),
            crate_types: Vec::new(),
            license: None,
            dependencies: Vec::new(),
        };
        let suites = read(&messages.join("\n"), &[&fault], Path::new("/repo"));
        let expected = Suite {
            package: "fault".to_owned(),
            folder: "/repo/plugins/fault".into(),
            program: "/target/fault-test".into(),
        };
        assert_eq!(suites, [expected]);
    }

    #[test]
    fn all_jobs_run_although_one_fails_and_that_one_is_named() {
        let folder = std::env::temp_dir().join(format!("xtask-jobs-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mark = |name: &str| format!("touch {}/{name}", folder.display());
        let jobs = vec![
            shell("first", &mark("a")),
            shell("second", "exit 3"),
            shell("third", &mark("c")),
        ];
        let err = run_all(jobs).unwrap_err();
        assert_eq!(err.to_string(), "these tests failed: second");
        assert!(folder.join("a").exists() && folder.join("c").exists());
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_failure_shows_all_that_was_said_and_a_success_its_result() {
        let told_of = |script: &str| {
            let Job { title, mut command } = shell("a filter", script);
            told(&title, &run_one(&mut command))
        };
        let passed = told_of("echo 'running 1 test'; echo 'test result: ok. 1 passed'");
        assert!(
            passed.ends_with(" s  a filter: test result: ok. 1 passed"),
            "{passed}"
        );
        let failed = told_of("echo 'what was wrong'; exit 1");
        assert!(failed.starts_with("what was wrong\n"), "{failed}");
        assert!(failed.ends_with("a filter: FAILED"), "{failed}");
    }
}

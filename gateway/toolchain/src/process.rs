//! Running other programs to their end, with errors that name the program.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// How often a program with a time limit is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Whether a program ended by itself.
#[derive(Debug)]
pub enum Ended {
    /// It did, with this status.
    InTime(ExitStatus),
    /// It did not, and was stopped.
    TooLate,
}

/// Runs a program in the foreground.
///
/// # Errors
/// If it cannot be started, or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Runs a program in the foreground, and stops it when the limit is over.
///
/// # Errors
/// If it cannot be started or waited for.
pub fn run_within(command: &mut Command, limit: Duration) -> Result<Ended> {
    let mut child = command.spawn().with_context(|| cannot_start(command))?;
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Ended::InTime(status));
        }
        if Instant::now() >= end {
            stop(&mut child);
            return Ok(Ended::TooLate);
        }
        thread::park_timeout(POLL);
    }
}

/// What a program prints.
///
/// # Errors
/// If it cannot be started, or fails; with what it said about that.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| cannot_start(command))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({}): {}",
            shown(command),
            output.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a program can be started and says that all is well; it prints nothing.
#[must_use]
pub fn works(command: &mut Command) -> bool {
    let quiet = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    quiet.status().is_ok_and(|status| status.success())
}

/// The command as one could type it, without the variables it sets.
#[must_use]
pub fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    // The path of the real cargo is long and says nothing.
    if line.ends_with("/cargo") && !line.starts_with("/usr/bin/") {
        line = "cargo".into();
    }
    for argument in command.get_args() {
        let argument = argument.to_string_lossy();
        let quote = if argument.contains(' ') { "'" } else { "" };
        line.extend([" ", quote, &argument, quote]);
    }
    line
}

/// What to say if a program cannot be started.
#[must_use]
pub fn cannot_start(command: &Command) -> String {
    format!("cannot start `{}`; is it installed?", shown(command))
}

fn stop(child: &mut Child) {
    // Either call fails only if the program has ended meanwhile.
    drop(child.kill());
    drop(child.wait());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_failure_names_the_program_and_its_status() {
        let err = run(&mut shell("exit 3")).unwrap_err();
        assert_eq!(err.to_string(), "`sh -c 'exit 3'` failed (exit status: 3)");
    }

    #[test]
    fn a_missing_program_is_said_to_be_missing() {
        let err = run(&mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(
            err.to_string(),
            "cannot start `/no/such/program`; is it installed?"
        );
    }

    #[test]
    fn a_program_that_hangs_is_stopped() {
        let ended = run_within(&mut shell("exec sleep 60"), Duration::from_millis(200)).unwrap();
        assert!(matches!(ended, Ended::TooLate), "{ended:?}");
    }

    #[test]
    fn a_program_that_ends_in_time_keeps_its_status() {
        let ended = run_within(&mut shell("exit 4"), Duration::from_secs(60)).unwrap();
        assert!(
            matches!(&ended, Ended::InTime(status) if status.code() == Some(4)),
            "{ended:?}"
        );
    }
}

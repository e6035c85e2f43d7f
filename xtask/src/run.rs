//! Running other programs: what is run is shown, and a failure says which program and how.
//!
//! Everything here waits for the program to end. Where its output goes is a `Sink`, because work
//! in the background must not write between the lines of the work in front.

use std::fs::File;
use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::Result;

pub(crate) use tidegate_toolchain::process::{output, shown, works};

/// Where progress and the output of programs go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// The terminal of whoever started us.
    Terminal,
    /// A log file, shown only when something fails.
    Log(File),
}

impl Sink {
    /// Writes one line of progress.
    pub(crate) fn say(&self, line: &str) {
        match self {
            Self::Terminal => println!("{line}"),
            // A log that cannot be written is no reason to stop the work it describes.
            Self::Log(file) => drop(writeln!(&mut &*file, "{line}")),
        }
    }

    /// Runs a program to its end, its output going here.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        self.say(&format!("$ {}", shown(command)));
        if let Self::Log(file) = self {
            command
                .stdin(Stdio::null())
                .stdout(file.try_clone()?)
                .stderr(file.try_clone()?);
        }
        tidegate_toolchain::process::run(command)
    }
}

/// Runs a program in the foreground.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    Sink::Terminal.run(command)
}

//! The tools of filter authors, through the real command.

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

#[path = "author/check.rs"]
mod check;
#[path = "author/dev.rs"]
mod dev;
#[path = "author/docs.rs"]
mod docs;
#[path = "author/new.rs"]
mod new;
#[path = "author/templates.rs"]
mod templates;

/// `tidegate plugin …` in a folder, with nothing of the cargo that runs the tests.
fn plugin(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("plugin").args(args).current_dir(folder);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        let of_cargo = text.starts_with("CARGO") && text != "CARGO_HOME";
        if of_cargo || text.starts_with("TIDEGATE") || text == "RUST_BACKTRACE" {
            command.env_remove(&name);
        }
    }
    // What filters need was fetched for the workspace.
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

/// Exit code, standard output and standard error.
struct Done {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Done {
    #[track_caller]
    fn of(command: &mut Command) -> Self {
        let Output {
            status,
            stdout,
            stderr,
        } = command.output().expect("it runs");
        Self {
            code: status.code(),
            out: String::from_utf8_lossy(&stdout).into_owned(),
            err: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }

    /// Standard output of what ended well.
    #[track_caller]
    fn well(self) -> String {
        let Self { code, out, err } = self;
        assert_eq!(code, Some(0), "{out}\n{err}");
        out
    }

    /// Standard error of what ended with this exit code.
    #[track_caller]
    fn badly(self, expected: i32) -> String {
        let Self { code, out, err } = self;
        assert_eq!(code, Some(expected), "{out}\n{err}");
        err
    }
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("listed")
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// A folder that later runs find again, so that what cargo built there is not built anew.
fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&folder).expect("made");
    folder
}

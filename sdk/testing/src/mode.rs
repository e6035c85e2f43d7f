//! Where a filter's tests run: chosen by the environment, so that the same tests do it.

use std::fmt;
use std::io::Write as _;

use crate::fail;

/// Where the filter of a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// In this process, with a simulated host and virtual time.
    Native,
    /// The module, in Tidegate.
    Wasm,
    /// The module, in Envoy, with real time.
    Envoy,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Native => "native",
            Self::Wasm => "wasm",
            Self::Envoy => "envoy",
        })
    }
}

/// The mode of this run: `TIDEGATE_TEST_MODE`, which is `native` (also if it is not set), `wasm` or
/// `envoy`.
///
/// # Panics
/// If it is something else.
#[must_use]
#[track_caller]
pub fn mode() -> Mode {
    match std::env::var("TIDEGATE_TEST_MODE").as_deref() {
        Err(_) | Ok("" | "native") => Mode::Native,
        Ok("wasm") => Mode::Wasm,
        Ok("envoy") => Mode::Envoy,
        Ok(other) => fail(&format!(
            "TIDEGATE_TEST_MODE is {other:?}; it can be native, wasm or envoy"
        )),
    }
}

/// Whether a test must end here because it cannot run in this mode: says so, and why.
///
/// ```no_run
/// # use tidegate_sdk_testing::{Mode, not_in};
/// # fn a_token_is_good_for_an_hour() {
/// if not_in(Mode::Envoy, "an hour passes") {
///     return;
/// }
/// # }
/// ```
///
/// With `TIDEGATE_TEST_REPORT` set to a file, a line `skipped NAME: WHY` is added there, and `ran
/// NAME` for each harness that was started: whoever runs the tests can see that they did.
#[must_use = "a test that cannot run here returns"]
#[track_caller]
pub fn not_in(excluded: Mode, why: &str) -> bool {
    let here = mode();
    if here != excluded {
        return false;
    }
    let test = test_name();
    // The test runner keeps what `eprintln!` writes to itself.
    let line = format!("not run in mode {here}: {test}: {why}\n");
    std::io::stderr().write_all(line.as_bytes()).ok();
    report(&format!("skipped {test}: {why}"));
    true
}

/// A harness was started.
pub(crate) fn report_run() {
    report(&format!("ran {}", test_name()));
}

fn report(line: &str) {
    let Some(path) = std::env::var_os("TIDEGATE_TEST_REPORT") else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    if let Ok(mut file) = file {
        file.write_all(format!("{line}\n").as_bytes()).ok();
    }
}

fn test_name() -> String {
    let thread = std::thread::current();
    thread.name().unwrap_or("a test").to_owned()
}

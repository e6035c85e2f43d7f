//! The gateway's own log, on standard error. (The access log is on standard output.)

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Starts logging. A filter that cannot be parsed is reported and replaced by `info`.
pub(crate) fn start(filter: &str) {
    let parsed = EnvFilter::try_new(filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    if let Some(problem) = problem {
        tracing::warn!("--log {filter:?} is not a log filter ({problem}); using info");
    }
}

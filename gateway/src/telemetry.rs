//! The gateway's own log, on standard error. (The access log is on standard output.)
//!
//! Lines go through a queue to a thread of their own: a pipe that nobody reads must not stop a
//! worker, nor the handling of signals. A full queue loses lines, not requests.

mod brief;

use std::io::IsTerminal as _;

use tracing_appender::non_blocking::NonBlocking;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::telemetry::brief::Brief;

/// For whom lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// For those who keep and search them.
    Full,
    /// For an author who watches a filter: the time of day, the plugin, what it said.
    Brief,
}

/// Starts logging; what was logged is written by the time the guard has been dropped, if somebody
/// reads it. A filter that cannot be parsed is reported and replaced by `info`.
pub(crate) fn start(filter: &str, style: Style) -> WorkerGuard {
    let parsed = EnvFilter::try_new(filter);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let (writer, guard) = NonBlocking::new(std::io::stderr());
    let log = tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(writer)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match style {
        Style::Full => log.init(),
        Style::Brief => log.event_format(Brief).init(),
    }
    if let Some(problem) = problem {
        tracing::warn!("--log {filter:?} is not a log filter ({problem}); using info");
    }
    guard
}

//! How a guest ends against its will, and what a host call may answer instead of a value.
//!
//! Owns `Fault` and the translation of what wasmtime reports into it. It decides nothing about
//! streams: the embedder applies the plugin's failure policy.
//!
//! Invariant: after a fault the instance is never entered again.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use wasmtime::{Trap, UnknownImportError, WasmBacktrace};

use crate::kinds::Status;

/// Why a guest was ended. Cheap to clone: every later call of the instance answers with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// What sort of fault it was.
    pub kind: FaultKind,
    /// The callback the guest was in.
    pub callback: &'static str,
    /// What happened, in one line.
    pub message: Arc<str>,
    /// The guest's call stack, one frame a line; empty if there is none.
    pub backtrace: Arc<str>,
}

/// The sorts of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The guest trapped: `unreachable`, bad access, stack overflow, ….
    Trap,
    /// The guest used up its time.
    Deadline,
    /// The guest trapped after it had been refused memory.
    OutOfMemory,
    /// The guest asked to exit.
    Exit,
    /// The embedder used the instance wrongly, or the host failed.
    Host,
}

impl FaultKind {
    /// The kind as one word, for metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::OutOfMemory => "out_of_memory",
            Self::Exit => "exit",
            Self::Host => "host",
        }
    }
}

impl Fault {
    pub(crate) fn host(callback: &'static str, message: impl Into<Arc<str>>) -> Self {
        Self {
            kind: FaultKind::Host,
            callback,
            message: message.into(),
            backtrace: Arc::default(),
        }
    }

    /// The fault behind an error that came out of guest code.
    pub(crate) fn from_guest(callback: &'static str, error: &wasmtime::Error) -> Self {
        if let Some(nested) = error.downcast_ref::<Self>() {
            return Self {
                callback,
                ..nested.clone()
            };
        }
        let kind = if error.is::<DeadlinePassed>() {
            FaultKind::Deadline
        } else if error.is::<GuestExit>() {
            FaultKind::Exit
        } else if error.is::<Trap>() || error.is::<UnknownImportError>() {
            FaultKind::Trap
        } else {
            FaultKind::Host
        };
        let backtrace = match error.downcast_ref::<WasmBacktrace>() {
            Some(trace) => trace.to_string().into(),
            None => Arc::default(),
        };
        let message = error.root_cause().to_string().into();
        Self {
            kind,
            callback,
            message,
            backtrace,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} in {}: {}",
            self.kind.as_str(),
            self.callback,
            self.message
        )
    }
}

impl Error for Fault {}

/// Raised by the epoch callback.
#[derive(Debug, thiserror::Error)]
#[error("{used_ms} ms of {clock} used, {limit_ms} ms allowed")]
pub(crate) struct DeadlinePassed {
    pub(crate) used_ms: u64,
    pub(crate) limit_ms: u64,
    pub(crate) clock: &'static str,
}

/// Raised by `proc_exit`.
#[derive(Debug, thiserror::Error)]
#[error("exit with code {0}")]
pub(crate) struct GuestExit(pub(crate) u32);

/// What a host call answers when it has no value.
#[derive(Debug)]
pub(crate) enum HostCallError {
    /// The guest gets a status and goes on.
    Refuse(Status),
    /// The guest is ended.
    Fault(Fault),
}

impl From<Status> for HostCallError {
    fn from(status: Status) -> Self {
        Self::Refuse(status)
    }
}

impl From<Fault> for HostCallError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

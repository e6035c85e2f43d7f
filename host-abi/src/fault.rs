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

impl Fault {
    /// The functions the guest was in, the innermost first: as their author calls them, without what
    /// compilers add to names, and without the way of a panic to its end. Empty if there are none.
    #[must_use]
    pub fn functions(&self) -> Vec<String> {
        let frames = self.backtrace.lines().filter_map(function);
        let mut functions: Vec<String> = frames.collect();
        if functions.iter().any(|name| name.contains("panicking::")) {
            let own = functions.iter().position(|name| !is_machinery(name));
            functions.drain(..own.unwrap_or(0));
        }
        functions
    }
}

/// The function of a frame such as `3: 0x1d06 - module.wasm!shop::price::h1234567890abcdef`.
fn function(frame: &str) -> Option<String> {
    let (_, name) = frame.split_once(" - ")?;
    let name = name.split_once('!').map_or(name, |(_, name)| name);
    Some(without_hashes(name.trim()))
}

/// Digits of the hashes that Rust adds to names.
const HASH: usize = 16;

/// A name of Rust without hashes: `shop[1234567890abcdef]::price`, `shop::price::h1234567890abcdef`.
fn without_hashes(name: &str) -> String {
    let is_hash =
        |text: &str| text.len() == HASH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((name, hash)) if is_hash(hash) => name,
        _ => name,
    };
    let mut parts = name.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((hash, rest)) if is_hash(hash) => plain.push_str(rest),
            _ => {
                plain.push('[');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Whether a function is between a panic and the code that panics.
fn is_machinery(name: &str) -> bool {
    const PLACES: [&str; 5] = ["__rust", "rust_", "core::", "std::", "alloc::"];
    let name = name.trim_start_matches('<');
    PLACES.iter().any(|place| name.starts_with(place))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn functions(backtrace: &str) -> Vec<String> {
        let mut fault = Fault::host("proxy_on_tick", "a test");
        fault.backtrace = backtrace.into();
        fault.functions()
    }

    #[test]
    fn functions_are_named_as_their_author_does_from_the_one_that_panicked() {
        let trace = "error while executing at wasm backtrace:
            0:  0x1d060 - shop.wasm!__rustc[b7974e8690430dd9]::__rust_abort
            1:  0x1ba99 - shop.wasm!std[a543996e6e7dbf1e]::panicking::panic_with_hook
            2:  0x1dbf0 - shop.wasm!__rustc[b7974e8690430dd9]::rust_begin_unwind
            3:  0x1fa54 - shop.wasm!core[c5930c85a12de822]::panicking::panic_bounds_check
            4:   0x7e67 - shop.wasm!shop::price::hbf1d618ddb4e357a
            5:   0x8568 - shop.wasm!<shop[1234567890abcdef]::Cart as core[c5930c85a12de822]::ops::Add>::add
            6:   0x91dd - shop.wasm!proxy_on_request_headers";
        let expected = [
            "shop::price",
            "<shop::Cart as core::ops::Add>::add",
            "proxy_on_request_headers",
        ];
        assert_eq!(functions(trace), expected);
    }

    #[test]
    fn what_is_no_panic_and_no_name_of_rust_stays_as_it_is() {
        let trace = "error while executing at wasm backtrace:
            0:  0x1d06 - <unknown>!<wasm function 12>
            1:  0x1d07 - a.wasm!core::hash::finish
            2:  0x1d08 - a.wasm!list[3]::of";
        assert_eq!(
            functions(trace),
            ["<wasm function 12>", "core::hash::finish", "list[3]::of"]
        );
        assert_eq!(functions(""), [""; 0]);
    }
}

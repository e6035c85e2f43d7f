//! A network filter: it closes Redis connections that send a command of a list, and logs the rest.
//!
//! `filter` talks to the host and exists only in the WebAssembly build. What it decides is plain
//! code in `commands`, tested natively without a host.

pub mod commands;
#[cfg(target_family = "wasm")]
mod filter;

//! A filter that shows each thing a Proxy-Wasm filter can do, once.
//!
//! `plugin` and `filter` talk to the host and exist only in the WebAssembly build. What they
//! decide is plain code in `config`, `json` and `route`, tested natively without a host.
//! README.md lists the behaviour.

pub mod config;
#[cfg(target_family = "wasm")]
mod filter;
pub mod json;
#[cfg(target_family = "wasm")]
mod plugin;
pub mod route;

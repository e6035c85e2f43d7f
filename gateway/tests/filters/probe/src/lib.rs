//! The filter of the matrix: it calls any host function in any callback, as a script says, and
//! reports what it got.
//!
//! It uses no SDK: an SDK hides statuses, and panics on those it does not know. The script comes
//! in the request header `x-probe` and in the configuration ([`script`]); what happened since the
//! last report is the answer to a request with the header `x-probe-report`.

pub mod script;

#[cfg(target_family = "wasm")]
mod abi;
#[cfg(target_family = "wasm")]
mod call;
#[cfg(target_family = "wasm")]
mod callbacks;
#[cfg(target_family = "wasm")]
mod notes;

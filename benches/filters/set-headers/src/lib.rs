//! The filter of the comparison: sets one request header and one response header.
//!
//! It is as small as a useful filter on the plain `proxy-wasm` crate can be, so that what is
//! measured is the host. Its configuration is the name of both headers, so that several of it in
//! one path each do their own work.

#[cfg(target_family = "wasm")]
mod filter;

//! Shared parts of the benchmarks.
//!
//! - `benches/figures`: what the host of filters may cost, with verdicts.
//! - `benches/host_calls`: criterion micro-benchmarks of calls between host and filter.
//! - `benches/routing`: criterion micro-benchmarks of the route table.
//! - `compare`: CPU time per request, message or byte beside other proxies; `floor`, `origin`, `echo` and
//!   `grpc-origin` are its helpers.
//! - `pulls`: what plugins out of registries cost.
//! - `memory`: what idle connections and long bodies cost.
//! - `reload`, `swaps`, `limits`: many changes, of routes and of a filter, and a rate limit, under load.
//!
//! Everything measured outside a micro-benchmark is a process of its own, started and ended by
//! [`process::Running`] and observed through `/proc`.

pub mod fake_host;
pub mod places;
pub mod poller;
pub mod proc_files;
pub mod process;
pub mod program;
pub mod resources;
pub mod tokens;
pub mod wait;
pub mod wat_filters;

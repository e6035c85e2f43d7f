//! gRPC calls of filters, end to end, and the same calls on Envoy.
//!
//! Each case is one call or stream and all that its filter hears of it. It runs on both, against
//! the same expectations. Envoy is a peer: `cargo xtask test --peers` installs it; without that
//! only Tidegate's half runs.

#[path = "grpc/answers.rs"]
mod answers;
#[path = "grpc/cases.rs"]
mod cases;
#[path = "grpc/connections.rs"]
mod connections;
#[path = "grpc/envoy.rs"]
mod envoy;
#[path = "grpc/limits.rs"]
mod limits;
#[path = "grpc/probe.rs"]
mod probe;

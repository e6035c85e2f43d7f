//! The Proxy-Wasm host against guests written in WAT: one test for each function of the ABI and for
//! each refusal. No WebAssembly toolchain is needed.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::panic,
    clippy::string_slice,
    reason = "helpers of tests fail the test"
)]

mod host {
    mod bodies;
    mod calls;
    mod code_cache;
    mod deadlines;
    mod dns;
    mod embedding;
    mod faults;
    mod foreign;
    mod fuzz;
    mod grpc;
    mod headers;
    mod higress;
    mod life;
    mod manifests;
    mod memory;
    mod misc;
    mod modules;
    mod network;
    mod redis;
    mod shared;
    mod start;
    mod streams;
    mod strict;
    mod support;
    mod tenants;
    mod wasi;
}

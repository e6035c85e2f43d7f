//! Tests of the harness and of the SDK under it: the same in every mode.

#![expect(clippy::unwrap_used, reason = "tests")]

mod suite {
    mod bodies;
    mod calls;
    mod clients;
    mod commands;
    mod connections;
    mod corners;
    mod grpc;
    mod headers;
    mod reports;
    mod setups;
    mod streams;
}

//! Tests of the SDK as an author sees it.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod sdk {
    mod config;
    mod grpc;
    mod manifest;
}

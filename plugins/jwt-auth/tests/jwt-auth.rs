//! The same tests run natively, on Tidegate and on Envoy.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests"
)]

#[path = "jwt-auth"]
mod suite {
    mod config;
    mod corpus;
    mod identity;
    mod issuer;
    mod parser;
    mod places;
    mod remote;
    mod rules;
    mod vectors;
}

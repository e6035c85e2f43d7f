//! Pulling and pushing over real sockets: with a registry that misbehaves as it is told, and with
//! real ones.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by a panic that says what was expected"
)]

#[path = "store/access.rs"]
mod access;
#[path = "store/content.rs"]
mod content;
#[path = "store/keeping.rs"]
mod keeping;
#[path = "store/kit.rs"]
mod kit;
#[path = "store/layouts.rs"]
mod layouts;
#[path = "store/network.rs"]
mod network;
#[path = "store/peers.rs"]
mod peers;
#[path = "store/pushing.rs"]
mod pushing;
#[path = "store/signing.rs"]
mod signing;
#[path = "store/stub.rs"]
mod stub;

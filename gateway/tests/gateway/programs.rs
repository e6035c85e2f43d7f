//! Real programs as clients and servers, through a gateway process: each has to be content.
//!
//! All of them are peers: `cargo xtask test --peers` installs them.

#[path = "programs/tcp.rs"]
mod tcp;

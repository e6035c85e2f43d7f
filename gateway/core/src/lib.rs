//! Every decision of the gateway, as pure code. Level 1: imports none of our other crates.
//!
//! There is no I/O here, no clock, no randomness, no async and no serde: time and random numbers
//! are arguments, so that every rule can be tested in microseconds. Where a rule comes from a
//! standard, its item names the section.
//!
//! Start at [`request`] for what happens to a request before it is forwarded, and at [`failure`]
//! for how one ends badly.

pub mod addresses;
pub mod authority;
pub mod backend;
pub mod balance;
pub mod breaker;
pub mod client_certificate;
pub mod defaults;
pub mod dns;
pub mod failure;
pub mod filter;
pub mod forwarded;
pub mod framing;
pub mod grpc;
pub mod hop_by_hop;
pub mod host;
pub mod message;
pub mod path;
pub mod pattern;
pub mod pings;
pub mod proxy_protocol;
pub mod request;
pub mod request_id;
pub mod resp;
pub mod retry;
pub mod rollout;
pub mod route;
pub mod snapshot;
pub mod target;
pub mod tcp;
pub mod time;
pub mod tls;
pub mod upgrade;

//! Connections that are passed on as bytes.

#[path = "tcp/limits.rs"]
mod limits;
#[path = "tcp/network.rs"]
mod network;
#[path = "tcp/passthrough.rs"]
mod passthrough;
#[path = "tcp/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "tcp/relay.rs"]
mod relay;
#[path = "tcp/talker.rs"]
mod talker;

//! Every limit and time-out of the data plane, with its default and the reason for it.
//!
//! Each limit has a [`crate::failure::Failure`] that names it when it is hit.

use std::time::Duration;

use crate::pings::Pings;

/// How long peers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// From the first byte of a request head to its last.
    pub header_read: Duration,
    /// A kept client connection without a request.
    pub keep_alive: Duration,
    /// A body, or an origin that was asked, without a byte.
    pub stream_idle: Duration,
    /// A peer that does not read what we write.
    pub write_stall: Duration,
    /// A connection attempt to one endpoint.
    pub connect: Duration,
    /// A stream paused by a filter. Shorter than most route time-outs on purpose: a filter that
    /// never resumes must show up as a filter fault, not as a slow origin.
    pub filter_pause: Duration,
    /// A kept connection to an origin without a request; shorter than what most origins allow.
    pub upstream_idle: Duration,
    /// From the signal to stop until what is left is cut.
    pub drain: Duration,
    /// How long an answered client may go on sending a body nobody wants.
    pub linger: Duration,
    /// When a client of HTTP/2 is asked whether it is still there. Not by default: who is silent for
    /// `stream_idle` is given up anyway.
    pub pings: Option<Pings>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            keep_alive: Duration::from_secs(60),
            stream_idle: Duration::from_secs(300),
            write_stall: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            filter_pause: Duration::from_secs(30),
            upstream_idle: Duration::from_secs(30),
            drain: Duration::from_secs(30),
            linger: Duration::from_secs(1),
            pings: None,
        }
    }
}

/// How much may be held in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// Bytes of one message head, request line included.
    pub head_bytes: usize,
    /// Fields of one message head.
    pub head_fields: usize,
    /// Bytes of one body that filters may hold back.
    pub buffered_body_bytes: usize,
    /// Bytes of the answer to a call that a filter makes.
    pub callout_body_bytes: usize,
    /// Kept connections for one endpoint and worker.
    pub idle_connections_per_endpoint: usize,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            head_bytes: 64 * 1024,
            head_fields: 100,
            buffered_body_bytes: 1024 * 1024,
            callout_body_bytes: 1024 * 1024,
            idle_connections_per_endpoint: 256,
        }
    }
}

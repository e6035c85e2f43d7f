//! HTTP/2 at the level of streams, both directions (RFC 9113).
//!
//! Owns what one exchange reads and writes on a stream ([`reader`], [`writer`]), the heads between
//! the `h2` crate's types and ours ([`head`]), and a client's connection ([`server`]) with what
//! protects it ([`wire`], [`calm`], [`pings`]) and bounds it ([`room`]). Frames, HPACK and flow control are the `h2` crate's;
//! connections to origins are `upstream::h2`'s.

pub(crate) mod calm;
pub(crate) mod head;
pub(crate) mod pings;
pub(crate) mod reader;
pub(crate) mod room;
pub(crate) mod scan;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod wire;
pub(crate) mod writer;

//! HTTP/1 on the wire, both directions: heads, bodies, sockets.
//!
//! Owns reading and writing of messages and nothing of what they mean. `hyper` is not used here:
//! its server cannot send interim responses, hides a Content-Length beside Transfer-Encoding, and
//! answers unknown codings itself; a gateway must see all three. Heads are parsed by `httparse`,
//! the parser inside hyper.

pub(crate) mod body;
pub(crate) mod chunked;
pub(crate) mod encode;
pub(crate) mod head;
pub(crate) mod reader;
pub(crate) mod writer;

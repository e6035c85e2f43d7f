//! A connection as a network filter has it: bytes both ways, held until the filter has decided.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::Poll;

use crate::address;
use crate::cx::property_text;
use crate::error::{Error, Result};
use crate::runtime::side::{Body, Direction};
use crate::runtime::stream::{Stream, Waiting};

/// A connection of a TCP or TLS listener.
///
/// Until the filter's function returns, nothing passes, and unless it calls
/// [`peek`](Self::peek) the backend is not connected to. It returns `Ok` to let the connection go
/// on, with the rewriters that it installed, or an error to close it.
#[derive(Debug)]
pub struct Connection {
    stream: Rc<Stream>,
}

impl Connection {
    pub(crate) const fn new(stream: Rc<Stream>) -> Self {
        Self { stream }
    }

    /// The client's address, as the host trusts it.
    #[must_use]
    pub fn client(&self) -> Option<SocketAddr> {
        self.stream.focus();
        address::property(b"source\0address")
    }

    /// The name that a TLS client asked for, if it did (RFC 6066, 3).
    #[must_use]
    pub fn server_name(&self) -> Option<String> {
        self.stream.focus();
        property_text(b"connection\0requested_server_name").filter(|name| !name.is_empty())
    }

    /// What the client has sent, once that is at least `bytes`, or it sends no more. All of it
    /// still goes on afterwards.
    ///
    /// Hosts read from a client once there is a connection to the backend: this lets them connect.
    /// The backend gets nothing before the function returns, and what it says first is held, too.
    ///
    /// A client that waits for the server to speak first sends nothing: put a limit on the wait.
    ///
    /// # Errors
    /// If the host cannot hand it out.
    pub async fn peek(&self, bytes: usize) -> Result<Vec<u8>> {
        let stream = &self.stream;
        let side = &stream.request;
        side.opened.set(true);
        poll_fn(|cx| {
            let size = side.body_size.get();
            if size >= bytes || side.ended.get() {
                return Poll::Ready(stream.body_bytes(Direction::Request, size));
            }
            stream.waits_for(Waiting::For("bytes of the client"));
            stream.wait(side, cx.waker());
            Poll::Pending
        })
        .await
    }

    /// Rewrites what the client sends, in parts as they come, from the first byte on. `rewrite`
    /// gets each part and whether it was the last; an error closes the connection.
    ///
    /// # Errors
    /// If there is a rewriter already.
    pub fn map_from_client(
        &mut self,
        rewrite: impl FnMut(Vec<u8>, bool) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        self.install(Direction::Request, Body::Chunks(Box::new(rewrite)))
    }

    /// Rewrites what the backend sends, like [`map_from_client`](Self::map_from_client).
    ///
    /// # Errors
    /// As there.
    pub fn map_from_backend(
        &mut self,
        rewrite: impl FnMut(Vec<u8>, bool) -> Result<Vec<u8>> + 'static,
    ) -> Result<()> {
        self.install(Direction::Response, Body::Chunks(Box::new(rewrite)))
    }

    fn install(&self, direction: Direction, body: Body) -> Result<()> {
        let mut installed = self.stream.side(direction).body.borrow_mut();
        if !matches!(*installed, Body::Pass) {
            return Err(Error::new(
                "the bytes of this direction are rewritten already",
            ));
        }
        *installed = body;
        Ok(())
    }
}

//! The callbacks of a connection, in the order of its life.
//!
//! Owns their arguments and what an absent one means: go on. The context of a connection is made and
//! ended as that of any stream; when to call what is the embedder's.

use super::Instance;
use crate::context::ContextId;
use crate::fault::Fault;
use crate::functions::Callback;
use crate::kinds::{ConnectionAction, PeerType};
use crate::stream::{Side, Streams};

impl Instance {
    /// A client has connected; there is no connection to an origin yet.
    ///
    /// Specification: `proxy_on_new_connection`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_new_connection(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
    ) -> Result<ConnectionAction, Fault> {
        let which = (Callback::NewConnection, "proxy_on_new_connection");
        let action = self.on_stream(
            streams,
            context,
            which,
            |it| it.new_connection.as_ref(),
            |id| id,
        )?;
        Ok(action.map_or(ConnectionAction::Continue, ConnectionAction::from_guest))
    }

    /// `size` bytes from the client can be seen in their buffer.
    ///
    /// Specification: `proxy_on_downstream_data`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_downstream_data(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        size: u32,
        end_of_stream: bool,
    ) -> Result<ConnectionAction, Fault> {
        self.on_data(streams, context, Side::Request, size, end_of_stream)
    }

    /// `size` bytes from the origin can be seen in their buffer.
    ///
    /// Specification: `proxy_on_upstream_data`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_upstream_data(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        size: u32,
        end_of_stream: bool,
    ) -> Result<ConnectionAction, Fault> {
        self.on_data(streams, context, Side::Response, size, end_of_stream)
    }

    /// The client's connection was closed.
    ///
    /// Specification: `proxy_on_downstream_connection_close`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_downstream_close(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        by: PeerType,
    ) -> Result<(), Fault> {
        self.on_close(streams, context, Side::Request, by)
    }

    /// The connection to the origin was closed.
    ///
    /// Specification: `proxy_on_upstream_connection_close`.
    ///
    /// # Errors
    /// The fault that ended the guest, now or earlier.
    pub fn on_upstream_close(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        by: PeerType,
    ) -> Result<(), Fault> {
        self.on_close(streams, context, Side::Response, by)
    }

    fn on_data(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        side: Side,
        size: u32,
        end_of_stream: bool,
    ) -> Result<ConnectionAction, Fault> {
        let which = match side {
            Side::Request => (Callback::DownstreamData, "proxy_on_downstream_data"),
            Side::Response => (Callback::UpstreamData, "proxy_on_upstream_data"),
        };
        let params = |id| (id, size, end_of_stream.into());
        let action = self.on_stream(streams, context, which, |it| it.data(side), params)?;
        Ok(action.map_or(ConnectionAction::Continue, ConnectionAction::from_guest))
    }

    fn on_close(
        &mut self,
        streams: &mut dyn Streams,
        context: ContextId,
        side: Side,
        by: PeerType,
    ) -> Result<(), Fault> {
        let which = match side {
            Side::Request => (
                Callback::DownstreamClose,
                "proxy_on_downstream_connection_close",
            ),
            Side::Response => (
                Callback::UpstreamClose,
                "proxy_on_upstream_connection_close",
            ),
        };
        let params = |id| (id, by.into());
        self.on_stream(streams, context, which, |it| it.close(side), params)?;
        Ok(())
    }
}

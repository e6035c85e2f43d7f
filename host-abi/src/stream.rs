//! What a host call may ask of the streams around it.
//!
//! Owns the two traits a proxy implements to lend its streams to a guest for the length of one
//! callback. It knows nothing of sockets, tasks or HTTP versions.
//!
//! Invariant: everything a guest *asks for* (continue, local response, close) is only queued here.
//! The proxy acts on it after the callback returned, so a guest is never entered again from a host
//! call.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;

use crate::body::BodyBuffer;
use crate::context::ContextId;
use crate::kinds::MapKind;
use crate::kinds::StreamKind;
use crate::property::Property;

/// The streams of one instance, lent for one outermost entry into the guest.
pub trait Streams {
    /// Runs `visit` on the stream behind `context` and returns whether there is one.
    ///
    /// A guest reaches streams other than the one it was called for by
    /// `proxy_set_effective_context`, so any live stream context of the instance must resolve.
    /// Root contexts have no stream.
    fn with_stream(
        &mut self,
        context: ContextId,
        visit: &mut dyn FnMut(&mut dyn StreamHost),
    ) -> bool;
}

/// No streams at all: for start, configure and root callbacks outside a proxy.
#[derive(Debug, Default, Clone, Copy)]
pub struct NoStreams;

impl Streams for NoStreams {
    fn with_stream(&mut self, _: ContextId, _: &mut dyn FnMut(&mut dyn StreamHost)) -> bool {
        false
    }
}

/// One stream, an HTTP exchange or a connection, as one filter sees it. A connection has no header
/// maps and no bodies, an exchange no data.
pub trait StreamHost {
    /// The first value of the named header field. Names compare without regard to case, and
    /// pseudo-headers (`:method`, `:path`, `:authority`, `:scheme`, `:status`) are fields.
    ///
    /// Specification: `proxy_get_header_map_value`.
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_>;

    /// Calls `visit` with every field, pseudo-headers first, names in lower case. Returns false if
    /// this map is not available now.
    ///
    /// Specification: `proxy_get_header_map_pairs`.
    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool;

    /// Changes a header map. An invalid name or value is accepted here and fails the exchange
    /// later: an edit is never dropped and never forwarded broken.
    ///
    /// Specification: `proxy_add_header_map_value` and its kin.
    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited;

    /// The body bytes this filter may see now, or `None` outside its body phase.
    ///
    /// Specification: `proxy_get_buffer_bytes`, `proxy_set_buffer_bytes`.
    fn body(&mut self, side: Side) -> Option<&mut BodyBuffer>;

    /// The bytes of a connection that this filter may see now, or `None` outside the callback for
    /// them and while it does not hold them. The request's side is from the client.
    ///
    /// Specification: `proxy_get_buffer_bytes`, `proxy_set_buffer_bytes`.
    fn data(&mut self, _side: Side) -> Option<&mut BodyBuffer> {
        None
    }

    /// The value of an attribute of the stream.
    ///
    /// Specification: `proxy_get_property`.
    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>>;

    /// Stores a custom property for this and later filters of the stream (Envoy: filter state
    /// `wasm.<path>`). `false` if the stream has no room for it: what the path had stays, and the
    /// guest gets `INTERNAL_FAILURE`.
    ///
    /// Specification: `proxy_set_property`.
    #[must_use]
    fn set_property(&mut self, path: &[u8], value: &[u8]) -> bool;

    /// Queues the resumption of a paused direction. Not paused: nothing happens.
    ///
    /// Specification: `proxy_continue_stream`.
    fn continue_stream(&mut self, kind: StreamKind);

    /// Queues the end of the stream: of an exchange by a reset, of a connection, whichever side is
    /// named, once what was passed on to the client has left.
    ///
    /// Specification: `proxy_close_stream`.
    fn close_stream(&mut self, kind: StreamKind);

    /// Queues a response made by the guest. A second one is ignored with a warning.
    ///
    /// Specification: `proxy_send_local_response`.
    fn send_local_response(&mut self, response: LocalResponse);

    /// Asks for the route to be chosen anew.
    fn clear_route_cache(&mut self);

    /// The endpoints of the backend that the request is routed to now (Higress's
    /// `proxy_get_upstream_hosts`); `None` if there is none.
    fn upstream_hosts(&self) -> Option<Vec<UpstreamHost>> {
        None
    }

    /// Chooses the endpoint that the request is tried at first (Higress's
    /// `proxy_set_upstream_override_host`). False if that is no address.
    fn override_upstream_host(&mut self, _address: &str) -> bool {
        false
    }

    /// Decides which backend of the rule that the request leads to now has it, as long as none is
    /// chosen (`tidegate.select_backend`). The choice holds unless another rule gets the request.
    fn select_backend(&mut self, _choice: BackendChoice<'_>) -> Selected {
        Selected::Unavailable
    }

    /// Decides what so many of the next attempts towards the backend come to, in the place of what was
    /// decided before; 0 attempts are as always. False if the request has left, or never does.
    fn fail_attempts(&mut self, _fault: AttemptFault, _attempts: u32) -> bool {
        false
    }

    /// Queues bytes for what comes after this filter on the way of the response (Higress's
    /// `proxy_inject_encoded_data_to_filter_chain`); with `end` they are its last.
    fn inject_response(&mut self, _data: Bytes, _end: bool) -> Injected {
        Injected::Unavailable
    }
}

/// One endpoint of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamHost {
    /// Address and port.
    pub address: String,
    /// Whether requests go there.
    pub health: HostHealth,
}

/// How well an endpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostHealth {
    /// It gets requests.
    Healthy,
    /// It gets them if no better one is there.
    Degraded,
    /// It gets none.
    Unhealthy,
}

/// Which of a rule's backends is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackendChoice<'a> {
    /// By its place: 0 is the first.
    FromFront(u32),
    /// By its place from the end: 0 is the last.
    FromBack(u32),
    /// By its name.
    Named(&'a str),
}

/// What came of a choice of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Selected {
    /// The request goes there.
    Done,
    /// The rule has no such backend.
    Unknown,
    /// No rule has the request, or its backend is chosen already.
    Unavailable,
}

/// What an attempt towards the backend comes to because a filter wants it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptFault {
    /// How it fails, without any endpoint being asked; `None`: it does not.
    pub outage: Option<Outage>,
    /// How long it takes before that.
    pub delay: Duration,
}

/// How an attempt fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// The backend answers with this HTTP status, 200 to 599.
    Http(u16),
    /// The backend answers with this gRPC status, 0 to 16.
    Grpc(u8),
    /// The backend resets the connection before it answers.
    Reset,
    /// No connection can be opened.
    Unreachable,
}

/// What came of data for a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injected {
    /// It goes out after the callback.
    Queued,
    /// The response is not held by this filter, or has ended.
    Unavailable,
    /// More waits already than may be held.
    TooMuch,
}

/// Which way a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// From the client to the origin.
    Request,
    /// From the origin to the client.
    Response,
}

/// What a look-up of one header field found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    /// Its first value.
    Value(&'a [u8]),
    /// The map is there and has no such field.
    Absent,
    /// The map is not available in this phase.
    Unavailable,
}

/// One change of a header map.
#[derive(Debug, Clone, Copy)]
pub enum HeaderEdit<'a> {
    /// Appends another value.
    Add {
        /// The field name as the guest wrote it.
        name: &'a [u8],
        /// The value as the guest wrote it.
        value: &'a [u8],
    },
    /// Sets the only value, replacing all others of that name.
    Set {
        /// The field name as the guest wrote it.
        name: &'a [u8],
        /// The value as the guest wrote it.
        value: &'a [u8],
    },
    /// Removes all values; fine if there are none.
    Remove {
        /// The field name as the guest wrote it.
        name: &'a [u8],
    },
    /// Replaces the whole map.
    ReplaceAll(&'a [(&'a [u8], &'a [u8])]),
}

/// Whether an edit reached its map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// The map now has it.
    Done,
    /// The map is not there or was forwarded already: the edit has no effect.
    Unavailable,
}

/// A response made by a guest instead of the origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalResponse {
    /// The HTTP status as the guest gave it; the proxy checks its range.
    pub status: u32,
    /// Why, for the access log; never sent to the client.
    pub details: Bytes,
    /// The body.
    pub body: Bytes,
    /// Extra header fields in order, duplicates kept.
    pub headers: Vec<(Bytes, Bytes)>,
    /// The gRPC status, if one of 0..=16 was given.
    pub grpc_status: Option<u8>,
}

/// The typed value of a property; `host-abi` owns the wire encoding.
#[derive(Debug, Clone, PartialEq)]
pub enum PropertyValue<'a> {
    /// Raw bytes or text.
    Bytes(Cow<'a, [u8]>),
    /// A signed or unsigned number, 8 bytes little-endian.
    Int(i64),
    /// A truth value, one byte.
    Bool(bool),
    /// A point in time or a duration in nanoseconds, 8 bytes little-endian.
    Nanos(i64),
    /// A map in the pairs encoding.
    Map(Vec<(Bytes, Bytes)>),
    /// There is something that has no bytes, such as a group of attributes: guests are answered
    /// `SERIALIZATION_FAILURE`.
    NoBytes,
}

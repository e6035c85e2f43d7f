//! The smallest surroundings a filter can run in: one stream in memory, and a world that is silent.
//!
//! Header maps are plain lists, as fast to search as a real request's fields are, so that what a
//! benchmark measures is the way between host and filter.

mod services;

use std::borrow::Cow;

use bytes::Bytes;
use tidegate_host_abi::{
    BackendChoice, BodyBuffer, ContextId, Edited, Field, HeaderEdit, LocalResponse, MapKind,
    Property, PropertyValue, Selected, Side, StreamHost, StreamKind, Streams,
};

pub use services::SilentServices;

/// Fields of a message.
type Fields = Vec<(Bytes, Bytes)>;

/// The fields of a browser-like request, in order.
const REQUEST: [(&str, &str); 10] = [
    (":authority", "shop.test"),
    (":path", "/cart/items?page=2"),
    (":method", "GET"),
    (":scheme", "http"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    (
        "accept",
        "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ),
    ("accept-encoding", "gzip, deflate, br"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-forwarded-proto", "http"),
    ("x-request-id", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
];

/// Where the client is.
const CLIENT: &str = "192.0.2.7:50000";

/// The fields of its response.
const RESPONSE: [(&str, &str); 6] = [
    (":status", "200"),
    ("content-type", "text/html; charset=utf-8"),
    ("content-length", "4711"),
    ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
    ("server", "origin"),
    ("cache-control", "no-store"),
];

/// One stream whose headers are lists in memory; every context is it.
#[derive(Debug)]
pub struct FakeStream {
    request: Fields,
    response: Fields,
    /// What the request is before a filter sees it.
    original: Fields,
    /// What filters before have set.
    properties: Vec<(Vec<u8>, Vec<u8>)>,
    /// How many of them are there before the filter.
    given: usize,
    refusal: Option<u32>,
    is_resumed: bool,
}

impl FakeStream {
    /// A stream with the headers of an ordinary request and response.
    #[must_use]
    pub fn new() -> Self {
        let list = |fields: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (
                    Bytes::from_static(name.as_bytes()),
                    Bytes::from_static(value.as_bytes()),
                )
            };
            // Room for what filters add, as a real map has it.
            let mut list = Vec::with_capacity(fields.len() * 2);
            list.extend(fields.iter().map(pair));
            list
        };
        Self::of(list(&REQUEST), list(&RESPONSE))
    }

    /// The same with this request.
    #[must_use]
    pub fn with_request(fields: &[(&str, &str)]) -> Self {
        let copy = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let request = fields.iter();
        let request = request.map(|(name, value)| (copy(name), copy(value)));
        Self::of(request.collect(), Self::new().response)
    }

    fn of(request: Fields, response: Fields) -> Self {
        Self {
            original: request.clone(),
            request,
            response,
            properties: vec![],
            given: 0,
            refusal: None,
            is_resumed: false,
        }
    }

    /// Adds what a filter before has set.
    #[must_use]
    pub fn with_property(mut self, path: &str, value: &str) -> Self {
        self.properties.push((path.into(), value.into()));
        self.given = self.properties.len();
        self
    }

    /// Gives a field of the request another value, for passes after the next [`Self::restore`].
    pub fn replace(&mut self, name: &str, value: &str) {
        let fields = self.original.iter_mut();
        for (_, old) in fields.filter(|(it, _)| it == name) {
            *old = Bytes::copy_from_slice(value.as_bytes());
        }
    }

    /// The same with so many request fields, as long as real ones on average.
    #[must_use]
    pub fn with_fields(count: usize) -> Self {
        let mut stream = Self::new();
        for number in stream.request.len()..count {
            let name = format!("x-field-number-{number}");
            let field = (name.into(), Bytes::from_static(b"a value of 24 characters"));
            stream.request.push(field);
        }
        stream.request.truncate(count);
        stream.original.clone_from(&stream.request);
        stream
    }

    /// Takes back what a filter added, so that the next pass finds the same stream.
    pub fn reset(&mut self) {
        self.request.truncate(REQUEST.len());
        self.response.truncate(RESPONSE.len());
    }

    /// Takes back whatever a filter did.
    pub fn restore(&mut self) {
        self.request.clone_from(&self.original);
        self.response.truncate(RESPONSE.len());
        self.properties.truncate(self.given);
        self.refusal = None;
        self.is_resumed = false;
    }

    /// The status with which the filter answered in the application's place, if it did.
    #[must_use]
    pub const fn refusal(&self) -> Option<u32> {
        self.refusal
    }

    /// Whether the filter let go of what it had held.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// How many fields the two messages have: what a header callback is told.
    #[must_use]
    pub fn counts(&self) -> (u32, u32) {
        let count = |fields: &Vec<_>| u32::try_from(fields.len()).unwrap_or(u32::MAX);
        (count(&self.request), count(&self.response))
    }

    /// The first value of a field.
    #[must_use]
    pub fn value(&self, map: MapKind, name: &[u8]) -> Option<&[u8]> {
        let (_, value) = self
            .fields(map)?
            .iter()
            .find(|(it, _)| it.eq_ignore_ascii_case(name))?;
        Some(value)
    }

    const fn fields(&self, map: MapKind) -> Option<&Fields> {
        match map {
            MapKind::RequestHeaders => Some(&self.request),
            MapKind::ResponseHeaders => Some(&self.response),
            MapKind::RequestTrailers
            | MapKind::ResponseTrailers
            | MapKind::GrpcInitialMetadata
            | MapKind::GrpcTrailingMetadata
            | MapKind::CallResponseHeaders
            | MapKind::CallResponseTrailers => None,
        }
    }

    const fn fields_mut(&mut self, map: MapKind) -> Option<&mut Fields> {
        match map {
            MapKind::RequestHeaders => Some(&mut self.request),
            MapKind::ResponseHeaders => Some(&mut self.response),
            MapKind::RequestTrailers
            | MapKind::ResponseTrailers
            | MapKind::GrpcInitialMetadata
            | MapKind::GrpcTrailingMetadata
            | MapKind::CallResponseHeaders
            | MapKind::CallResponseTrailers => None,
        }
    }
}

impl Default for FakeStream {
    fn default() -> Self {
        Self::new()
    }
}

impl Streams for FakeStream {
    fn with_stream(&mut self, _: ContextId, visit: &mut dyn FnMut(&mut dyn StreamHost)) -> bool {
        visit(self);
        true
    }
}

impl StreamHost for FakeStream {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        match (self.fields(map), self.value(map, name)) {
            (None, _) => Field::Unavailable,
            (Some(_), None) => Field::Absent,
            (Some(_), Some(value)) => Field::Value(value),
        }
    }

    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let Some(fields) = self.fields(map) else {
            return false;
        };
        for (name, value) in fields {
            visit(name, value);
        }
        true
    }

    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        let Some(fields) = self.fields_mut(map) else {
            return Edited::Unavailable;
        };
        let copy = Bytes::copy_from_slice;
        match edit {
            HeaderEdit::Add { name, value } => fields.push((copy(name), copy(value))),
            HeaderEdit::Set { name, value } => {
                match fields
                    .iter_mut()
                    .find(|(it, _)| it.eq_ignore_ascii_case(name))
                {
                    Some((_, old)) => *old = copy(value),
                    None => fields.push((copy(name), copy(value))),
                }
            }
            HeaderEdit::Remove { name } => fields.retain(|(it, _)| !it.eq_ignore_ascii_case(name)),
            HeaderEdit::ReplaceAll(pairs) => {
                *fields = pairs
                    .iter()
                    .map(|(name, value)| (copy(name), copy(value)))
                    .collect();
            }
        }
        Edited::Done
    }

    fn body(&mut self, _: Side) -> Option<&mut BodyBuffer> {
        None
    }

    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        let bytes = |bytes| Some(PropertyValue::Bytes(Cow::Borrowed(bytes)));
        let field = |name: &[u8]| bytes(self.value(MapKind::RequestHeaders, name)?);
        match property {
            Property::RequestMethod => field(b":method"),
            Property::RequestPath => field(b":path"),
            Property::RequestHost => field(b":authority"),
            Property::RequestScheme => field(b":scheme"),
            Property::RequestHeader(name) => field(name),
            Property::SourceAddress => bytes(CLIENT.as_bytes()),
            Property::DestinationAddress => bytes(b"192.0.2.1:8080"),
            Property::DestinationPort => Some(PropertyValue::Int(8080)),
            Property::ConnectionMtls => Some(PropertyValue::Bool(false)),
            Property::Other(path) => {
                let found = self.properties.iter().find(|(it, _)| it == path);
                bytes(&found?.1)
            }
            _ => None,
        }
    }

    fn set_property(&mut self, path: &[u8], value: &[u8]) -> bool {
        self.properties.push((path.to_vec(), value.to_vec()));
        true
    }

    fn continue_stream(&mut self, _: StreamKind) {
        self.is_resumed = true;
    }

    fn close_stream(&mut self, _: StreamKind) {}

    fn send_local_response(&mut self, response: LocalResponse) {
        self.refusal = Some(response.status);
    }

    fn clear_route_cache(&mut self) {}

    fn select_backend(&mut self, _: BackendChoice<'_>) -> Selected {
        Selected::Done
    }
}

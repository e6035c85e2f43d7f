//! The smallest surroundings a filter can run in: one stream in memory, and a world that is silent.
//!
//! Header maps are plain lists, as fast to search as a real request's fields are, so that what a
//! benchmark measures is the way between host and filter.

use bytes::Bytes;
use tidegate_host_abi::{
    BodyBuffer, ContextId, Edited, Field, GuestLog, GuestMetrics, HeaderEdit, LocalResponse,
    LogLevel, MapKind, Property, PropertyValue, Services, SharedStore, Side, StreamHost,
    StreamKind, Streams,
};

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
    request: Vec<(Bytes, Bytes)>,
    response: Vec<(Bytes, Bytes)>,
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
        Self {
            request: list(&REQUEST),
            response: list(&RESPONSE),
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
        stream
    }

    /// Takes back what a filter added, so that the next pass finds the same stream.
    pub fn reset(&mut self) {
        self.request.truncate(REQUEST.len());
        self.response.truncate(RESPONSE.len());
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

    const fn fields(&self, map: MapKind) -> Option<&Vec<(Bytes, Bytes)>> {
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

    const fn fields_mut(&mut self, map: MapKind) -> Option<&mut Vec<(Bytes, Bytes)>> {
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

    fn property(&self, _: &Property<'_>) -> Option<PropertyValue<'_>> {
        None
    }

    fn set_property(&mut self, _: &[u8], _: &[u8]) {}

    fn continue_stream(&mut self, _: StreamKind) {}

    fn close_stream(&mut self, _: StreamKind) {}

    fn send_local_response(&mut self, _: LocalResponse) {}

    fn clear_route_cache(&mut self) {}
}

/// Services that keep shared data and metrics, and say nothing.
#[derive(Debug, Default)]
pub struct SilentServices {
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl Services for SilentServices {
    fn log(&self, _: &GuestLog<'_>) {}

    fn log_level(&self) -> LogLevel {
        LogLevel::Critical
    }

    fn unix_nanos(&self) -> u64 {
        0
    }

    fn monotonic_nanos(&self) -> u64 {
        0
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn may_resolve(&self, _: &str) -> bool {
        false
    }

    fn may_call(&self, _: &str, _: &str) -> bool {
        false
    }

    fn shared(&self) -> &SharedStore {
        &self.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }
}

//! Streams in memory, all alike, that a filter is shown one after the other.

use std::borrow::Cow;

use bytes::Bytes;
use tidegate_host_abi::BackendChoice;
use tidegate_host_abi::BodyBuffer;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Edited;
use tidegate_host_abi::Field;
use tidegate_host_abi::HeaderEdit;
use tidegate_host_abi::LocalResponse;
use tidegate_host_abi::MapKind;
use tidegate_host_abi::Property;
use tidegate_host_abi::PropertyValue;
use tidegate_host_abi::Selected;
use tidegate_host_abi::Side;
use tidegate_host_abi::StreamHost;
use tidegate_host_abi::StreamKind;
use tidegate_host_abi::Streams;

/// The fields of a request as a browser sends it.
const REQUEST: [(&str, &str); 10] = [
    (":authority", "shop.test"),
    (":path", "/cart/items?page=2"),
    (":method", "POST"),
    (":scheme", "http"),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    ),
    ("accept", "application/json"),
    ("content-type", "application/json"),
    ("authorization", "Bearer 0123456789abcdef"),
    ("x-forwarded-for", "192.0.2.7"),
    ("x-request-id", "1b4e28ba-2fa1-41d2-883f-0016d3cca427"),
];

/// The fields of its response.
const RESPONSE: [(&str, &str); 5] = [
    (":status", "200"),
    ("content-type", "application/json"),
    ("date", "Sun, 22 Nov 2026 12:00:00 GMT"),
    ("server", "origin"),
    ("cache-control", "no-store"),
];

type Fields = Vec<(Bytes, Bytes)>;

/// The value of a field as the property of that name; names are lower case here.
fn value<'a>(fields: &'a [(Bytes, Bytes)], name: &[u8]) -> Option<PropertyValue<'a>> {
    let (_, value) = fields.iter().find(|(known, _)| known == name)?;
    Some(PropertyValue::Bytes(Cow::Borrowed(value)))
}

/// One stream.
#[derive(Debug)]
struct Stream {
    request: Fields,
    response: Fields,
    request_body: BodyBuffer,
    response_body: BodyBuffer,
    answer: Option<u32>,
    continued: bool,
}

/// Streams, of which a filter is shown one.
#[derive(Debug)]
pub(super) struct Pool {
    streams: Vec<Stream>,
    turn: usize,
    chunk: Bytes,
}

impl Pool {
    /// So many streams, whose bodies are a chunk of so many bytes of JSON.
    pub(super) fn new(count: usize, chunk: usize) -> Self {
        let mut json = b"[0".to_vec();
        json.resize(chunk.saturating_sub(1).max(2), b' ');
        json.push(b']');
        Self {
            streams: (0..count).map(|_| Stream::new()).collect(),
            turn: 0,
            chunk: json.into(),
        }
    }

    /// Takes back all that a filter did.
    pub(super) fn reset(&mut self) {
        self.streams
            .iter_mut()
            .for_each(|stream| *stream = Stream::new());
    }

    /// Begins a phase: puts a chunk into the bodies of a side, if there is one.
    pub(super) fn prepare(&mut self, side: Option<Side>) {
        let Self { streams, chunk, .. } = self;
        for stream in streams {
            stream.continued = false;
            if let Some(body) = side.and_then(|side| stream.body(side)) {
                body.clear();
                body.push(chunk.clone());
            }
        }
    }

    /// Shows this one from now on.
    pub(super) fn turn_to(&mut self, at: usize) {
        self.turn = at;
    }

    /// The number of fields of the request and the response.
    pub(super) fn counts(&self) -> (u32, u32) {
        let count = |fields: &Fields| u32::try_from(fields.len()).unwrap_or(u32::MAX);
        let stream = self.streams.get(self.turn);
        stream.map_or((0, 0), |stream| {
            (count(&stream.request), count(&stream.response))
        })
    }

    /// The bytes of a chunk.
    pub(super) fn chunk(&self) -> u32 {
        u32::try_from(self.chunk.len()).unwrap_or(u32::MAX)
    }

    /// The status that the filter answered with, if it did.
    pub(super) fn answer(&self) -> Option<u32> {
        self.streams.iter().find_map(|stream| stream.answer)
    }

    /// Whether the filter let the stream that it is shown go on since the phase began.
    pub(super) fn was_continued(&self) -> bool {
        let stream = self.streams.get(self.turn);
        stream.is_some_and(|stream| stream.continued)
    }
}

impl Stream {
    fn new() -> Self {
        let list = |fields: &[(&'static str, &'static str)]| {
            let bytes = |text: &'static str| Bytes::from_static(text.as_bytes());
            // Room for what filters add, as a real map has it.
            let mut list = Vec::with_capacity(fields.len() * 2);
            list.extend(
                fields
                    .iter()
                    .map(|(name, value)| (bytes(name), bytes(value))),
            );
            list
        };
        Self {
            request: list(&REQUEST),
            response: list(&RESPONSE),
            request_body: BodyBuffer::new(),
            response_body: BodyBuffer::new(),
            answer: None,
            continued: false,
        }
    }

    fn fields(&self, map: MapKind) -> Option<&Fields> {
        match map {
            MapKind::RequestHeaders => Some(&self.request),
            MapKind::ResponseHeaders => Some(&self.response),
            _ => None,
        }
    }
}

impl Streams for Pool {
    fn with_stream(&mut self, _: ContextId, visit: &mut dyn FnMut(&mut dyn StreamHost)) -> bool {
        let stream = self.streams.get_mut(self.turn);
        stream.map(|stream| visit(stream)).is_some()
    }
}

impl StreamHost for Stream {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        let Some(fields) = self.fields(map) else {
            return Field::Unavailable;
        };
        let found = fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Field::Absent, |(_, value)| Field::Value(value))
    }

    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let fields = self.fields(map);
        for (name, value) in fields.into_iter().flatten() {
            visit(name, value);
        }
        fields.is_some()
    }

    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        let fields = match map {
            MapKind::RequestHeaders => &mut self.request,
            MapKind::ResponseHeaders => &mut self.response,
            _ => return Edited::Unavailable,
        };
        let copy = Bytes::copy_from_slice;
        match edit {
            HeaderEdit::Add { name, value } => fields.push((copy(name), copy(value))),
            HeaderEdit::Set { name, value } => {
                let found = fields
                    .iter_mut()
                    .find(|(known, _)| known.eq_ignore_ascii_case(name));
                match found {
                    Some((_, old)) => *old = copy(value),
                    None => fields.push((copy(name), copy(value))),
                }
            }
            HeaderEdit::Remove { name } => {
                fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            }
            HeaderEdit::ReplaceAll(all) => {
                let all = all.iter();
                *fields = all.map(|(name, value)| (copy(name), copy(value))).collect();
            }
        }
        Edited::Done
    }

    fn body(&mut self, side: Side) -> Option<&mut BodyBuffer> {
        Some(match side {
            Side::Request => &mut self.request_body,
            Side::Response => &mut self.response_body,
        })
    }

    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        let text = |text: &'static str| Some(PropertyValue::Bytes(Cow::Borrowed(text.as_bytes())));
        match property {
            Property::RequestHeader(name) => value(&self.request, name),
            Property::ResponseHeader(name) => value(&self.response, name),
            Property::RequestPath => value(&self.request, b":path"),
            Property::RequestUrlPath => text("/cart/items"),
            Property::RequestQuery => text("page=2"),
            Property::RequestHost => value(&self.request, b":authority"),
            Property::RequestScheme => value(&self.request, b":scheme"),
            Property::RequestMethod => value(&self.request, b":method"),
            Property::RequestUserAgent => value(&self.request, b"user-agent"),
            Property::RequestId => value(&self.request, b"x-request-id"),
            Property::RequestProtocol => text("HTTP/1.1"),
            Property::ResponseCode => Some(PropertyValue::Int(200)),
            Property::SourceAddress => text("192.0.2.7:51234"),
            Property::SourcePort => Some(PropertyValue::Int(51_234)),
            Property::DestinationAddress => text("198.51.100.1:80"),
            Property::DestinationPort => Some(PropertyValue::Int(80)),
            Property::ConnectionMtls => Some(PropertyValue::Bool(false)),
            Property::FilterState(b"tidegate.peer_address") => text("192.0.2.7:51234"),
            _ => None,
        }
    }

    fn set_property(&mut self, _: &[u8], _: &[u8]) -> bool {
        true
    }

    fn continue_stream(&mut self, _: StreamKind) {
        self.continued = true;
    }

    fn close_stream(&mut self, _: StreamKind) {
        self.answer.get_or_insert(0);
    }

    fn send_local_response(&mut self, response: LocalResponse) {
        self.answer.get_or_insert(response.status);
    }

    fn clear_route_cache(&mut self) {}

    fn select_backend(&mut self, _: BackendChoice<'_>) -> Selected {
        Selected::Done
    }
}

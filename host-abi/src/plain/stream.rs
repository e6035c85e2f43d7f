//! A stream in memory, for embedders that only want to know what a filter does to headers.
//!
//! Owns the edits. It has no bodies and no properties, and what the filter asks for beside headers
//! and an answer of its own is not done.

use std::collections::HashMap;

use bytes::Bytes;

use crate::body::BodyBuffer;
use crate::context::ContextId;
use crate::kinds::{MapKind, StreamKind};
use crate::property::Property;
use crate::stream::{
    Edited, Field, HeaderEdit, LocalResponse, PropertyValue, Side, StreamHost, Streams,
};

/// One stream of header maps, and the answer that a filter gave in place of a backend
/// (specification: "HTTP fields", `proxy_send_local_response`). Every context is this stream.
#[derive(Debug, Default)]
pub struct PlainStream {
    maps: HashMap<MapKind, Vec<(Bytes, Bytes)>>,
    answer: Option<LocalResponse>,
}

impl PlainStream {
    /// The same with a map of these fields, pseudo-headers first, names in lower case.
    #[must_use]
    pub fn with(mut self, map: MapKind, fields: &[(&str, &str)]) -> Self {
        let bytes = |text: &str| Bytes::copy_from_slice(text.as_bytes());
        let fields = fields.iter();
        let fields = fields.map(|(name, value)| (bytes(name), bytes(value)));
        self.maps.insert(map, fields.collect());
        self
    }

    /// The fields of a map, as filters left them.
    #[must_use]
    pub fn fields(&self, map: MapKind) -> &[(Bytes, Bytes)] {
        self.maps.get(&map).map_or(&[], Vec::as_slice)
    }

    /// What a filter answered, the first if it did so again.
    #[must_use]
    pub const fn answer(&self) -> Option<&LocalResponse> {
        self.answer.as_ref()
    }
}

impl Streams for PlainStream {
    fn with_stream(&mut self, _: ContextId, visit: &mut dyn FnMut(&mut dyn StreamHost)) -> bool {
        visit(self);
        true
    }
}

impl StreamHost for PlainStream {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        let Some(fields) = self.maps.get(&map) else {
            return Field::Unavailable;
        };
        let found = fields
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Field::Absent, |(_, value)| Field::Value(value))
    }

    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        for (name, value) in self.fields(map) {
            visit(name, value);
        }
        self.maps.contains_key(&map)
    }

    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        let Some(fields) = self.maps.get_mut(&map) else {
            return Edited::Unavailable;
        };
        let lower = |name: &[u8]| Bytes::from(name.to_ascii_lowercase());
        let copy = Bytes::copy_from_slice;
        match edit {
            HeaderEdit::Add { name, value } => fields.push((lower(name), copy(value))),
            HeaderEdit::Set { name, value } => {
                let name = lower(name);
                // It keeps its place: pseudo-headers stay first.
                match fields.iter().position(|(known, _)| *known == name) {
                    None => fields.push((name, copy(value))),
                    Some(first) => {
                        let mut place = 0..;
                        fields.retain(|(known, _)| place.next() <= Some(first) || *known != name);
                        if let Some((_, old)) = fields.get_mut(first) {
                            *old = copy(value);
                        }
                    }
                }
            }
            HeaderEdit::Remove { name } => {
                fields.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            }
            HeaderEdit::ReplaceAll(all) => {
                let all = all.iter();
                *fields = all
                    .map(|(name, value)| (lower(name), copy(value)))
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

    fn set_property(&mut self, _: &[u8], _: &[u8]) -> bool {
        true
    }

    fn continue_stream(&mut self, _: StreamKind) {}

    fn close_stream(&mut self, _: StreamKind) {}

    fn send_local_response(&mut self, response: LocalResponse) {
        self.answer.get_or_insert(response);
    }

    fn clear_route_cache(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_is_set_keeps_its_place_and_loses_its_other_lines() {
        let fields = [(":path", "/"), ("a", "1"), ("b", "2"), ("a", "3")];
        let mut stream = PlainStream::default().with(MapKind::RequestHeaders, &fields);
        let (name, value) = (&b"A"[..], &b"4"[..]);
        let map = MapKind::RequestHeaders;
        assert_eq!(
            stream.edit(map, HeaderEdit::Set { name, value }),
            Edited::Done
        );
        let expected = [(":path", "/"), ("a", "4"), ("b", "2")];
        let expected = PlainStream::default().with(map, &expected);
        assert_eq!(stream.fields(map), expected.fields(map));
        assert_eq!(stream.field(map, b"a"), Field::Value(b"4"));
        assert_eq!(
            stream.field(MapKind::ResponseHeaders, b"a"),
            Field::Unavailable
        );
    }
}

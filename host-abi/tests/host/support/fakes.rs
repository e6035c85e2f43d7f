//! An embedder that records: streams, services, cryptography.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tidegate_host_abi::{
    AttemptFault, BackendChoice, BodyBuffer, ContextId, Crypto, Edited, Field, GuestLog,
    GuestMetrics, HeaderEdit, Injected, LocalResponse, LogLevel, MapKind, Property, PropertyValue,
    Selected, Services, SharedStore, Side, StreamHost, StreamKind, Streams, UpstreamHost,
};

/// Streams by context.
#[derive(Debug, Default)]
pub(in crate::host) struct FakeStreams(pub(in crate::host) HashMap<ContextId, FakeStream>);

impl FakeStreams {
    pub(in crate::host) fn get(&mut self, context: ContextId) -> &mut FakeStream {
        self.0.get_mut(&context).expect("the stream was created")
    }
}

impl Streams for FakeStreams {
    fn with_stream(
        &mut self,
        context: ContextId,
        visit: &mut dyn FnMut(&mut dyn StreamHost),
    ) -> bool {
        self.0
            .get_mut(&context)
            .map(|stream| visit(stream))
            .is_some()
    }
}

/// A stream that has what a test gave it and records what is done to it.
#[derive(Debug, Default)]
pub(in crate::host) struct FakeStream {
    pub(in crate::host) maps: HashMap<MapKind, Vec<(String, String)>>,
    pub(in crate::host) request_body: Option<BodyBuffer>,
    pub(in crate::host) response_body: Option<BodyBuffer>,
    pub(in crate::host) downstream_data: Option<BodyBuffer>,
    pub(in crate::host) upstream_data: Option<BodyBuffer>,
    pub(in crate::host) properties: HashMap<String, PropertyValue<'static>>,
    pub(in crate::host) hosts: Option<Vec<UpstreamHost>>,
    pub(in crate::host) done: Vec<String>,
    pub(in crate::host) local_responses: Vec<LocalResponse>,
    /// What next attempts come to, and how many.
    pub(in crate::host) faults: Vec<(AttemptFault, u32)>,
    /// The request has left.
    pub(in crate::host) sent: bool,
}

impl FakeStream {
    pub(in crate::host) fn map(&mut self, kind: MapKind, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        self.maps.insert(kind, fields);
    }

    pub(in crate::host) fn body_text(&self, side: Side) -> String {
        let body = match side {
            Side::Request => &self.request_body,
            Side::Response => &self.response_body,
        };
        let mut text = Vec::new();
        if let Some(body) = body {
            body.copy_range(0, usize::MAX, &mut |part| text.extend_from_slice(part));
        }
        String::from_utf8(text).unwrap()
    }
}

pub(in crate::host) fn body(chunks: &[&str]) -> Option<BodyBuffer> {
    let mut body = BodyBuffer::new();
    for chunk in chunks {
        body.push(Bytes::copy_from_slice(chunk.as_bytes()));
    }
    Some(body)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl StreamHost for FakeStream {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        let Some(fields) = self.maps.get(&map) else {
            return Field::Unavailable;
        };
        let name = text(name).to_ascii_lowercase();
        match fields.iter().find(|(other, _)| *other == name) {
            Some((_, value)) => Field::Value(value.as_bytes()),
            None => Field::Absent,
        }
    }

    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let Some(fields) = self.maps.get(&map) else {
            return false;
        };
        fields
            .iter()
            .for_each(|(name, value)| visit(name.as_bytes(), value.as_bytes()));
        true
    }

    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        let Some(fields) = self.maps.get_mut(&map) else {
            return Edited::Unavailable;
        };
        match edit {
            HeaderEdit::Add { name, value } => fields.push((text(name), text(value))),
            HeaderEdit::Set { name, value } => {
                fields.retain(|(other, _)| *other != text(name));
                fields.push((text(name), text(value)));
            }
            HeaderEdit::Remove { name } => fields.retain(|(other, _)| *other != text(name)),
            HeaderEdit::ReplaceAll(pairs) => {
                *fields = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
            }
        }
        Edited::Done
    }

    fn body(&mut self, side: Side) -> Option<&mut BodyBuffer> {
        match side {
            Side::Request => self.request_body.as_mut(),
            Side::Response => self.response_body.as_mut(),
        }
    }

    fn data(&mut self, side: Side) -> Option<&mut BodyBuffer> {
        match side {
            Side::Request => self.downstream_data.as_mut(),
            Side::Response => self.upstream_data.as_mut(),
        }
    }

    fn fail_attempts(&mut self, fault: AttemptFault, attempts: u32) -> bool {
        if !self.sent {
            self.faults.push((fault, attempts));
        }
        !self.sent
    }

    fn property(&self, property: &Property<'_>) -> Option<PropertyValue<'_>> {
        if let Property::RequestHeader(name) = property {
            return Some(PropertyValue::Bytes(Cow::Owned(name.to_ascii_uppercase())));
        }
        assert_ne!(*property, Property::Other(b"panic"), "asked for");
        let key = match property {
            Property::Other(path) => text(path),
            named => format!("{named:?}"),
        };
        self.properties.get(&key).cloned()
    }

    fn set_property(&mut self, path: &[u8], value: &[u8]) -> bool {
        if value == b"too large" {
            return false;
        }
        let value = PropertyValue::Bytes(Cow::Owned(value.to_vec()));
        self.properties.insert(text(path), value);
        true
    }

    fn continue_stream(&mut self, kind: StreamKind) {
        self.done.push(format!("continue {kind:?}"));
    }

    fn close_stream(&mut self, kind: StreamKind) {
        self.done.push(format!("close {kind:?}"));
    }

    fn send_local_response(&mut self, response: LocalResponse) {
        self.local_responses.push(response);
    }

    fn clear_route_cache(&mut self) {
        self.done.push("reroute".to_owned());
    }

    fn upstream_hosts(&self) -> Option<Vec<UpstreamHost>> {
        self.hosts.clone()
    }

    fn override_upstream_host(&mut self, address: &str) -> bool {
        let known = address.contains(':');
        if known {
            self.done.push(format!("override {address}"));
        }
        known
    }

    fn select_backend(&mut self, choice: BackendChoice<'_>) -> Selected {
        match choice {
            BackendChoice::FromFront(9) => return Selected::Unknown,
            BackendChoice::FromFront(10) => return Selected::Unavailable,
            _ => self.done.push(format!("select {choice:?}")),
        }
        Selected::Done
    }

    fn inject_response(&mut self, data: Bytes, end: bool) -> Injected {
        self.done.push(format!("inject {} {end}", text(&data)));
        Injected::Queued
    }
}

/// Services with clocks that stand still and one backend, `web`.
#[derive(Debug, Default)]
pub(in crate::host) struct FakeServices {
    lines: Mutex<Vec<(LogLevel, Vec<u8>)>>,
    pub(in crate::host) notes: Mutex<Vec<String>>,
    pub(in crate::host) seen: Mutex<Vec<(String, String)>>,
    pub(in crate::host) least_level: AtomicU64,
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl FakeServices {
    pub(in crate::host) fn said(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        lines
            .into_iter()
            .map(|(level, line)| match <[u8; 4]>::try_from(line.as_slice()) {
                Ok(number) if level == LogLevel::Debug => i32::from_le_bytes(number).to_string(),
                _ => text(&line),
            })
            .collect()
    }

    pub(in crate::host) fn levels(&self) -> Vec<(LogLevel, String)> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        lines
            .into_iter()
            .map(|(level, line)| (level, text(&line)))
            .collect()
    }
}

impl Services for FakeServices {
    fn log(&self, line: &GuestLog<'_>) {
        self.seen
            .lock()
            .unwrap()
            .push((line.plugin.to_owned(), line.root_id.to_owned()));
        match line.message.strip_prefix(b"host: ") {
            Some(note) => self.notes.lock().unwrap().push(text(note)),
            None => self
                .lines
                .lock()
                .unwrap()
                .push((line.level, line.message.to_vec())),
        }
    }

    fn log_level(&self) -> LogLevel {
        let level = u32::try_from(self.least_level.load(Ordering::Relaxed)).unwrap();
        LogLevel::try_from(level).unwrap()
    }

    fn unix_nanos(&self) -> u64 {
        1_700_000_000_000_000_001
    }

    fn monotonic_nanos(&self) -> u64 {
        42
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }

    fn may_resolve(&self, _: &str) -> bool {
        true
    }

    fn may_call(&self, plugin: &str, backend: &str) -> bool {
        plugin == "test" && backend == "web"
    }

    fn shared(&self) -> &SharedStore {
        &self.shared
    }

    fn metrics(&self) -> &GuestMetrics {
        &self.metrics
    }

    fn crypto(&self) -> Option<&dyn Crypto> {
        Some(&crate::host::foreign::Reversing)
    }
}

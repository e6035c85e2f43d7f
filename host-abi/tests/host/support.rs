//! The harness of these tests: guests from a few lines of WAT, and an embedder that records.
//!
//! In WAT, `@"text"` stands for the address and length of a constant, `@out` for two addresses where
//! a host call puts an address and a length, `$num` logs a number and `$got` what `@out` says.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tidegate_host_abi::{
    BodyBuffer, ContextId, Crypto, Edited, Engine, EngineConfig, Fault, Field, GuestLog,
    GuestMetrics, HeaderEdit, Injected, Instance, LocalResponse, LogLevel, MapKind, Module, Plugin,
    PluginSpec, Property, PropertyValue, Services, SharedStore, Side, StartError, StreamHost,
    StreamKind, Streams, UpstreamHost,
};

/// The signatures of the imports, written down a second time on purpose.
const IMPORTS: &[(&str, &str, &str)] = &[
    ("proxy_log", "iii", "i"),
    ("proxy_get_log_level", "i", "i"),
    ("proxy_get_current_time_nanoseconds", "i", "i"),
    ("proxy_set_tick_period_milliseconds", "i", "i"),
    ("proxy_set_effective_context", "i", "i"),
    ("proxy_done", "", "i"),
    ("proxy_get_buffer_bytes", "iiiii", "i"),
    ("proxy_set_buffer_bytes", "iiiii", "i"),
    ("proxy_get_buffer_status", "iii", "i"),
    ("proxy_get_configuration", "ii", "i"),
    ("proxy_get_header_map_value", "iiiii", "i"),
    ("proxy_get_header_map_pairs", "iii", "i"),
    ("proxy_get_header_map_size", "ii", "i"),
    ("proxy_set_header_map_pairs", "iii", "i"),
    ("proxy_add_header_map_value", "iiiii", "i"),
    ("proxy_replace_header_map_value", "iiiii", "i"),
    ("proxy_remove_header_map_value", "iii", "i"),
    ("proxy_continue_stream", "i", "i"),
    ("proxy_close_stream", "i", "i"),
    ("proxy_continue_request", "", "i"),
    ("proxy_continue_response", "", "i"),
    ("proxy_clear_route_cache", "", "i"),
    ("proxy_send_local_response", "iiiiiiii", "i"),
    ("proxy_get_status", "iii", "i"),
    ("proxy_http_call", "iiiiiiiiii", "i"),
    ("proxy_grpc_call", "iiiiiiiiiiii", "i"),
    ("proxy_grpc_stream", "iiiiiiiii", "i"),
    ("proxy_grpc_send", "iiii", "i"),
    ("proxy_grpc_cancel", "i", "i"),
    ("proxy_grpc_close", "i", "i"),
    ("proxy_redis_init", "iiiiiii", "i"),
    ("proxy_redis_call", "iiiii", "i"),
    ("proxy_get_shared_data", "iiiii", "i"),
    ("proxy_set_shared_data", "iiiii", "i"),
    ("proxy_register_shared_queue", "iii", "i"),
    ("proxy_resolve_shared_queue", "iiiii", "i"),
    ("proxy_enqueue_shared_queue", "iii", "i"),
    ("proxy_dequeue_shared_queue", "iii", "i"),
    ("proxy_define_metric", "iiii", "i"),
    ("proxy_increment_metric", "iI", "i"),
    ("proxy_record_metric", "iI", "i"),
    ("proxy_get_metric", "ii", "i"),
    ("proxy_get_property", "iiii", "i"),
    ("proxy_set_property", "iiii", "i"),
    ("proxy_call_foreign_function", "iiiiii", "i"),
    ("envoy_resolve_dns", "iii", "i"),
    ("proxy_inject_encoded_data_to_filter_chain", "iii", "i"),
    ("proxy_get_upstream_hosts", "ii", "i"),
    ("proxy_set_upstream_override_host", "ii", "i"),
    ("emscripten_notify_memory_growth", "i", ""),
    ("pthread_equal", "ii", "i"),
    ("abort", "iiii", ""),
    ("fd_write", "iiii", "i"),
    ("fd_read", "iiii", "i"),
    ("fd_seek", "iIii", "i"),
    ("fd_close", "i", "i"),
    ("fd_fdstat_get", "ii", "i"),
    ("fd_prestat_get", "ii", "i"),
    ("fd_readdir", "iiiIi", "i"),
    ("fd_sync", "i", "i"),
    ("path_open", "iiiiiIIii", "i"),
    ("environ_sizes_get", "ii", "i"),
    ("environ_get", "ii", "i"),
    ("args_sizes_get", "ii", "i"),
    ("clock_time_get", "iIi", "i"),
    ("clock_res_get", "ii", "i"),
    ("random_get", "ii", "i"),
    ("sched_yield", "", "i"),
    ("poll_oneoff", "iiii", "i"),
    ("proc_exit", "i", ""),
    ("sock_accept", "iii", "i"),
];

/// Where `@out` is.
const OUT: u32 = 3000;

/// What every guest has: memory, a bump allocator, and functions that log results.
const PRELUDE: &str = r#"
    (memory (export "memory") 4)
    (global $heap (mut i32) (i32.const 131072))
    (func $allocate (param $n i32) (result i32) (local $at i32)
        (local.set $at (global.get $heap))
        (global.set $heap (i32.add (global.get $heap) (local.get $n)))
        (local.get $at))
    (func $num (param $n i32)
        (i32.store (i32.const 1000) (local.get $n))
        (drop (call $proxy_log (i32.const 1) (i32.const 1000) (i32.const 4))))
    (func $say (param $at i32) (param $n i32)
        (drop (call $proxy_log (i32.const 2) (local.get $at) (local.get $n))))
    (func $got
        (call $say (i32.load (i32.const 3000)) (i32.load (i32.const 3004))))
"#;

const ALLOCATOR: &str = r#"(export "proxy_on_memory_allocate" (func $allocate))"#;
const ABI: &str = r#"(func (export "proxy_abi_version_0_2_1"))"#;

/// The bytes of a guest with these definitions, an allocator and the marker of ABI 0.2.1.
pub(super) fn filter(body: &str) -> Vec<u8> {
    raw(&format!("{ABI} {ALLOCATOR} {body}"))
}

/// The bytes of a guest of ABI 0.1.0.
pub(super) fn old_filter(body: &str) -> Vec<u8> {
    raw(&format!(
        r#"(func (export "proxy_abi_version_0_1_0")) {ALLOCATOR} {body}"#
    ))
}

/// The bytes of a guest that exports only what `body` says, and its memory.
pub(super) fn raw(body: &str) -> Vec<u8> {
    let (body, constants) = constants(&format!("{PRELUDE} {body}"));
    let text = format!("(module {} {body} {constants})", imports(&body));
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A guest that does `body` at the headers of a request and continues.
pub(super) fn at_headers(body: &str) -> Vec<u8> {
    filter(&on_headers(body))
}

pub(super) fn on_headers(body: &str) -> String {
    format!(
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            {body} (i32.const 0))"#
    )
}

/// Imports every function that is called, under the module it belongs to.
fn imports(body: &str) -> String {
    let mut imports = String::new();
    for (name, params, result) in IMPORTS {
        let is_called = body
            .match_indices(&format!("call ${name}"))
            .any(|(at, call)| {
                !body[at + call.len()..].starts_with(|c: char| c == '_' || c.is_alphanumeric())
            });
        if !is_called {
            continue;
        }
        let env = name.starts_with("proxy_")
            || [
                "abort",
                "emscripten_notify_memory_growth",
                "envoy_resolve_dns",
                "pthread_equal",
            ]
            .contains(name);
        let module = if env { "env" } else { "wasi_snapshot_preview1" };
        let types = |letters: &str| letters.replace('i', " i32").replace('I', " i64");
        imports += &format!(
            r#"(import "{module}" "{name}" (func ${name} (param{}) (result{})))"#,
            types(params),
            types(result)
        );
    }
    imports
}

/// Replaces `@"text"` and `@out`, and gives the data segments for the texts.
fn constants(body: &str) -> (String, String) {
    let mut next = 8192;
    let mut segments = String::new();
    let mut parts = body.split("@\"");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (text, rest) = part.split_once('"').expect("a constant ends");
        let len = text.len() - 2 * text.matches('\\').count();
        segments += &format!(r#"(data (i32.const {next}) "{text}")"#);
        out += &format!("(i32.const {next}) (i32.const {len}){rest}");
        next += len;
    }
    let two = format!("(i32.const {OUT}) (i32.const {})", OUT + 4);
    (out.replace("@out", &two), segments)
}

/// One engine for all tests.
pub(super) fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(EngineConfig {
            instances: 64,
            ..EngineConfig::default()
        })
        .unwrap()
    })
}

pub(super) fn module(bytes: &[u8]) -> Arc<Module> {
    Arc::new(Module::compile(engine(), "test", bytes).unwrap_or_else(|error| panic!("{error}")))
}

/// What plugins of these tests are like unless they say otherwise.
pub(super) fn spec() -> PluginSpec {
    PluginSpec {
        name: "test".into(),
        ..PluginSpec::default()
    }
}

pub(super) fn plugin(bytes: &[u8], spec: PluginSpec) -> Arc<Plugin> {
    Arc::new(Plugin::new(module(bytes), spec))
}

/// A started instance with an embedder around it.
pub(super) struct Run {
    pub(super) instance: Instance,
    pub(super) streams: FakeStreams,
    pub(super) services: Arc<FakeServices>,
}

impl Run {
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self::with(bytes, spec())
    }

    pub(super) fn with(bytes: &[u8], spec: PluginSpec) -> Self {
        Self::start(&[plugin(bytes, spec)], Arc::default())
            .unwrap_or_else(|error| panic!("{error}: {:?}", error.fault))
    }

    pub(super) fn start(
        plugins: &[Arc<Plugin>],
        services: Arc<FakeServices>,
    ) -> Result<Self, StartError> {
        let instance = Instance::start(plugins, Arc::clone(&services) as Arc<dyn Services>)?;
        Ok(Self {
            instance,
            streams: FakeStreams::default(),
            services,
        })
    }

    pub(super) fn root(&self) -> ContextId {
        self.instance.root(0).expect("there is a plugin")
    }

    /// Creates a stream context with a stream behind it.
    pub(super) fn stream(&mut self) -> ContextId {
        let root = self.root();
        let context = self
            .instance
            .create_stream(&mut self.streams, root)
            .unwrap();
        self.streams.0.insert(context, FakeStream::default());
        context
    }

    /// Runs the request header callback of a stream.
    pub(super) fn headers(&mut self, context: ContextId) -> Result<u32, Fault> {
        use tidegate_host_abi::HeadersAction::{Continue, Pause, StopAllBuffer, StopAllWatermark};
        let action = self
            .instance
            .on_request_headers(&mut self.streams, context, 3, true)?;
        Ok(match action {
            Continue => 0,
            Pause => 1,
            StopAllBuffer => 3,
            StopAllWatermark => 4,
        })
    }

    pub(super) fn tick(&mut self) -> Result<(), Fault> {
        let root = self.root();
        self.instance.on_tick(&mut self.streams, root)
    }

    /// What the guest said since this was last asked; numbers in decimal.
    pub(super) fn said(&self) -> Vec<String> {
        self.services.said()
    }

    /// What the host said about it.
    pub(super) fn notes(&self) -> Vec<String> {
        std::mem::take(&mut *self.services.notes.lock().unwrap())
    }
}

/// What a guest says at the request headers of one stream, which `prepare` sets up.
pub(super) fn said_at_headers(body: &str, prepare: impl FnOnce(&mut FakeStream)) -> Vec<String> {
    let mut run = Run::new(&at_headers(body));
    let context = run.stream();
    prepare(run.streams.get(context));
    run.headers(context)
        .unwrap_or_else(|fault| panic!("{fault}"));
    run.said()
}

/// What a guest says in a tick, where there is no stream.
pub(super) fn said_at_tick(body: &str) -> Vec<String> {
    let mut run = Run::new(&filter(&on_tick(body)));
    run.tick().unwrap_or_else(|fault| panic!("{fault}"));
    run.said()
}

pub(super) fn on_tick(body: &str) -> String {
    format!(r#"(func (export "proxy_on_tick") (param i32) {body})"#)
}

/// Waits for a condition, up to ten seconds.
#[track_caller]
pub(super) fn eventually(condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}

/// Streams by context.
#[derive(Debug, Default)]
pub(super) struct FakeStreams(pub(super) HashMap<ContextId, FakeStream>);

impl FakeStreams {
    pub(super) fn get(&mut self, context: ContextId) -> &mut FakeStream {
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
pub(super) struct FakeStream {
    pub(super) maps: HashMap<MapKind, Vec<(String, String)>>,
    pub(super) request_body: Option<BodyBuffer>,
    pub(super) response_body: Option<BodyBuffer>,
    pub(super) downstream_data: Option<BodyBuffer>,
    pub(super) upstream_data: Option<BodyBuffer>,
    pub(super) properties: HashMap<String, PropertyValue<'static>>,
    pub(super) hosts: Option<Vec<UpstreamHost>>,
    pub(super) done: Vec<String>,
    pub(super) local_responses: Vec<LocalResponse>,
}

impl FakeStream {
    pub(super) fn map(&mut self, kind: MapKind, fields: &[(&str, &str)]) {
        let fields = fields
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        self.maps.insert(kind, fields);
    }

    pub(super) fn body_text(&self, side: Side) -> String {
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

pub(super) fn body(chunks: &[&str]) -> Option<BodyBuffer> {
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

    fn set_property(&mut self, path: &[u8], value: &[u8]) {
        let value = PropertyValue::Bytes(Cow::Owned(value.to_vec()));
        self.properties.insert(text(path), value);
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

    fn inject_response(&mut self, data: Bytes, end: bool) -> Injected {
        self.done.push(format!("inject {} {end}", text(&data)));
        Injected::Queued
    }
}

/// Services with clocks that stand still and one backend, `web`.
#[derive(Debug, Default)]
pub(super) struct FakeServices {
    lines: Mutex<Vec<(LogLevel, Vec<u8>)>>,
    notes: Mutex<Vec<String>>,
    pub(super) seen: Mutex<Vec<(String, String)>>,
    pub(super) least_level: AtomicU64,
    shared: SharedStore,
    metrics: GuestMetrics,
}

impl FakeServices {
    pub(super) fn said(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.lines.lock().unwrap());
        lines
            .into_iter()
            .map(|(level, line)| match <[u8; 4]>::try_from(line.as_slice()) {
                Ok(number) if level == LogLevel::Debug => i32::from_le_bytes(number).to_string(),
                _ => text(&line),
            })
            .collect()
    }

    pub(super) fn levels(&self) -> Vec<(LogLevel, String)> {
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
        Some(&super::foreign::Reversing)
    }
}

//! Hosts a Proxy-Wasm filter without a gateway: shows it the headers of one request.
//!
//! `cargo run -p tidegate-host-abi --example host_a_filter FILTER.wasm [CONFIGURATION]`

use std::io::Write;
use std::sync::Arc;

use tidegate_host_abi::{
    BodyBuffer, ContextId, Edited, Engine, EngineConfig, Field, HeaderEdit, Instance,
    LocalResponse, MapKind, Module, PlainServices, Plugin, PluginSpec, Property, PropertyValue,
    Side, StreamHost, StreamKind, Streams,
};

/// A request: its header fields, and what the filter answered in place of a backend.
#[derive(Default)]
struct Request(Vec<(Vec<u8>, Vec<u8>)>, Option<LocalResponse>);

impl Streams for Request {
    fn with_stream(&mut self, _: ContextId, visit: &mut dyn FnMut(&mut dyn StreamHost)) -> bool {
        visit(self); // There is only one.
        true
    }
}

impl StreamHost for Request {
    fn field(&self, map: MapKind, name: &[u8]) -> Field<'_> {
        if map != MapKind::RequestHeaders {
            return Field::Unavailable;
        }
        let mut fields = self.0.iter();
        let found = fields.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map_or(Field::Absent, |(_, value)| Field::Value(value))
    }
    fn visit_fields(&self, map: MapKind, visit: &mut dyn FnMut(&[u8], &[u8])) -> bool {
        let there = map == MapKind::RequestHeaders;
        let fields = self.0.iter().filter(|_| there);
        fields.for_each(|(name, value)| visit(name, value));
        there
    }
    fn edit(&mut self, map: MapKind, edit: HeaderEdit<'_>) -> Edited {
        if map != MapKind::RequestHeaders {
            return Edited::Unavailable;
        }
        let fields = &mut self.0;
        match edit {
            HeaderEdit::Add { name, value } => fields.push((name.into(), value.into())),
            HeaderEdit::Set { name, value } => {
                fields.retain(|(known, _)| known != name);
                fields.push((name.into(), value.into()));
            }
            HeaderEdit::Remove { name } => fields.retain(|(known, _)| known != name),
            HeaderEdit::ReplaceAll(all) => {
                *fields = all.iter().map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
            }
        }
        Edited::Done
    }
    fn send_local_response(&mut self, response: LocalResponse) {
        self.1.get_or_insert(response);
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
    fn clear_route_cache(&mut self) {}
}

/// Starts the filter and shows it one request; writes what became of that.
pub fn host(
    file: &str,
    config: &str,
    out: &mut dyn Write,
) -> Result<(), Box<dyn std::error::Error>> {
    let engine = Engine::new(EngineConfig::default())?;
    let module = Module::compile(&engine, file, &std::fs::read(file)?)?;
    let spec = PluginSpec {
        name: "filter".into(),
        config: config.to_owned().into(),
        ..PluginSpec::default()
    };
    let plugin = Arc::new(Plugin::new(Arc::new(module), spec));
    let mut instance = Instance::start(&[plugin], Arc::new(PlainServices::default()))?;
    let root = instance.root(0).ok_or("there is one plugin")?;

    let fields = [
        (":method", "GET"),
        (":path", "/"),
        (":authority", "localhost"),
    ];
    let mut request = Request(fields.map(|(n, v)| (n.into(), v.into())).into(), None);
    let stream = instance.create_stream(&mut request, root)?;
    let action = instance.on_request_headers(&mut request, stream, 3, true)?;
    instance.finish_stream(&mut request, stream)?;

    writeln!(out, "{action:?}")?;
    for (name, value) in &request.0 {
        writeln!(out, "{}: {}", name.escape_ascii(), value.escape_ascii())?;
    }
    if let Some(LocalResponse { status, body, .. }) = &request.1 {
        writeln!(out, "answered with {status}: {}", body.escape_ascii())?;
    }
    Ok(())
}

/// `FILTER.wasm [CONFIGURATION]`
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which filter?")?;
    host(
        &file,
        &args.next().unwrap_or_default(),
        &mut std::io::stdout(),
    )
}

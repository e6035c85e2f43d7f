//! Hosts a Proxy-Wasm filter without a gateway: shows it the headers of one request.
//!
//! `cargo run -p tidegate-host-abi --example host_a_filter FILTER.wasm [CONFIGURATION]`

use std::io::Write;
use std::sync::Arc;

use tidegate_host_abi::{
    Engine, EngineConfig, Instance, MapKind, Module, PlainServices, PlainStream, Plugin, PluginSpec,
};

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
    let mut request = PlainStream::default().with(MapKind::RequestHeaders, &fields);
    let stream = instance.create_stream(&mut request, root)?;
    let action = instance.on_request_headers(&mut request, stream, 3, true)?;
    instance.finish_stream(&mut request, stream)?;

    writeln!(out, "{action:?}")?;
    for (name, value) in request.fields(MapKind::RequestHeaders) {
        writeln!(out, "{}: {}", name.escape_ascii(), value.escape_ascii())?;
    }
    if let Some(answer) = request.answer() {
        let (status, body) = (answer.status, answer.body.escape_ascii());
        writeln!(out, "answered with {status}: {body}")?;
    }
    Ok(())
}

/// `FILTER.wasm [CONFIGURATION]`
pub fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let file = args.next().ok_or("which filter?")?;
    let config = args.next().unwrap_or_default();
    host(&file, &config, &mut std::io::stdout())
}

//! The harness of these tests: guests from a few lines of WAT, and an embedder that records.
//!
//! In WAT, `@"text"` stands for the address and length of a constant, `@out` for two addresses where
//! a host call puts an address and a length, `$num` logs a number and `$got` what `@out` says.

mod fakes;
mod guests;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tidegate_host_abi::{
    ContextId, Engine, EngineConfig, Fault, Instance, Module, Plugin, PluginSpec, Services,
    StartError,
};

pub(super) use fakes::{FakeServices, FakeStream, FakeStreams, body};
pub(super) use guests::{at_headers, filter, old_filter, on_headers, raw};

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

//! Figures of running guests: what calls take, and what an instance holds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use tidegate_benches::fake_host::{FakeStream, SilentServices};
use tidegate_benches::places;
use tidegate_benches::proc_files::private_dirty;
use tidegate_benches::wait;
use tidegate_benches::wat_filters::{
    GETS, GETS_PER_CALL, PAIRS, PAIRS_PER_CALL, SET_HEADERS, module,
};
use tidegate_host_abi::{
    ContextId, Engine, EngineConfig, HeadersAction, Instance, Module, Plugin, PluginSpec,
};

use crate::report::{Figure, Report};

/// Short enough to fit between two other programs' turns.
const CALLS: u32 = 2_000;
const ROUNDS: usize = 1_000;

/// How long a filter may hold a request.
const DECISION_LIMIT: Duration = Duration::from_secs(10);

/// What calls between host and guest take.
pub(crate) fn calls(report: &mut Report) {
    let mut guest = Guest::of(&plugin("gets", &module(GETS).expect("assembles")));
    let stream = guest.create_stream();
    let empty = report.least(ROUNDS, CALLS, || guest.response_headers(stream));
    report.nanos("an empty callback", empty, 1, 30.0);

    let get = report.least(ROUNDS, 1, || guest.request_headers(stream));
    report.nanos("a header read by a guest", get, GETS_PER_CALL, 120.0);

    let mut guest = Guest::of(&plugin("pairs", &module(PAIRS).expect("assembles")));
    guest.stream = FakeStream::with_fields(20);
    let stream = guest.create_stream();
    let pairs = report.least(ROUNDS, 1, || guest.request_headers(stream));
    report.nanos("20 headers read as pairs", pairs, PAIRS_PER_CALL, 900.0);

    let written = module(SET_HEADERS).expect("assembles");
    pass(
        report,
        "a full pass of a header filter, written by hand",
        Some(written),
    );
    let plain = built("set-headers");
    let plain = pass(report, "a full pass of a header filter, in Rust", plain);
    let with_sdk = built("set-headers-sdk");
    let with_sdk = pass(report, "the same, on the SDK", with_sdk);
    let more = plain.zip(with_sdk);
    let more = more.map(|(plain, with_sdk)| Figure::Nanos(with_sdk - plain));
    report.note(
        "what the SDK adds to a full pass",
        more,
        Figure::Nanos(150.0),
    );
}

/// What a full pass takes, in nanoseconds, if there is such a filter.
fn pass(report: &mut Report, name: &str, bytes: Option<Vec<u8>>) -> Option<f64> {
    let at_most = Figure::Nanos(600.0);
    let Some(bytes) = bytes else {
        report.note(name, None, at_most);
        return None;
    };
    let mut guest = Guest::of(&plugin(name, &bytes));
    let pass = report.least(ROUNDS, CALLS / 10, || guest.pass());
    report.nanos(name, pass, 1, 600.0);
    Some(pass.as_secs_f64() * 1e9)
}

/// What an instance holds in memory for itself once it has served a request and waits.
pub(crate) fn memory(report: &mut Report) {
    const NAME: &str = "memory of an idle instance of a small filter, in Rust";

    let at_most = Figure::Kilobytes(150.0);
    let Some(bytes) = built("set-headers") else {
        report.note(NAME, None, at_most);
        return;
    };
    let plugin = plugin("set-headers", &bytes);
    let start = |count: usize| -> Vec<Guest> {
        let started = (0..count).map(|_| Guest::of(&plugin));
        let mut guests: Vec<Guest> = started.collect();
        guests.iter_mut().for_each(Guest::pass);
        guests
    };
    // What the first ones need is there once.
    let first = start(report.times(16));
    let before = private_dirty().expect("the kernel says");
    let count = report.times(256);
    let guests = start(count);
    let after = private_dirty().expect("the kernel says");
    black_box((first, guests));
    let bytes = after.saturating_sub(before) as f64 / count as f64;
    report.note(NAME, Some(Figure::Kilobytes(bytes / 1e3)), at_most);
}

/// An instance with the one stream it serves.
pub(crate) struct Guest {
    instance: Instance,
    root: ContextId,
    pub(crate) stream: FakeStream,
}

impl Guest {
    fn of(plugin: &Arc<Plugin>) -> Self {
        Self::serving(plugin, SilentServices::default(), FakeStream::new())
    }

    pub(crate) fn serving(
        plugin: &Arc<Plugin>,
        services: SilentServices,
        stream: FakeStream,
    ) -> Self {
        let started = Instance::start(&[Arc::clone(plugin)], Arc::new(services));
        let instance = started.expect("it starts");
        let root = instance.root(0).expect("it has one plugin");
        Self {
            instance,
            root,
            stream,
        }
    }

    fn create_stream(&mut self) -> ContextId {
        let created = self.instance.create_stream(&mut self.stream, self.root);
        created.expect("no fault")
    }

    fn request_headers(&mut self, stream: ContextId) {
        let (fields, _) = self.stream.counts();
        let Self {
            instance,
            stream: host,
            ..
        } = self;
        let action = instance.on_request_headers(host, stream, fields, true);
        action.expect("no fault");
    }

    fn response_headers(&mut self, stream: ContextId) {
        let Self {
            instance,
            stream: host,
            ..
        } = self;
        let action = instance.on_response_headers(host, stream, 6, true);
        action.expect("no fault");
    }

    /// What happens to a filter in one exchange.
    fn pass(&mut self) {
        self.exchange();
        self.stream.reset();
    }

    /// The same for a filter that takes its time: it is ticked until it has decided.
    pub(crate) fn patient_exchange(&mut self) {
        let context = self.create_stream();
        let (fields, _) = self.stream.counts();
        let Self {
            instance,
            stream,
            root,
        } = self;
        let action = instance.on_request_headers(stream, context, fields, true);
        if action.expect("no fault") != HeadersAction::Continue {
            let decided = wait::until("the filter decides", DECISION_LIMIT, || {
                if stream.is_resumed() || stream.refusal().is_some() {
                    return Ok(Some(()));
                }
                instance.on_tick(stream, *root)?;
                Ok(None)
            });
            decided.expect("in time");
        }
        if self.stream.refusal().is_none() {
            self.response_headers(context);
        }
        let finished = self.instance.finish_stream(&mut self.stream, context);
        finished.expect("no fault");
    }

    /// The same, and the stream stays as the filter left it.
    pub(crate) fn exchange(&mut self) {
        let context = self.create_stream();
        self.request_headers(context);
        if self.stream.refusal().is_none() {
            self.response_headers(context);
        }
        let finished = self.instance.finish_stream(&mut self.stream, context);
        finished.expect("no fault");
    }
}

fn plugin(name: &str, bytes: &[u8]) -> Arc<Plugin> {
    configured(name, bytes, String::new())
}

/// A plugin with this configuration.
pub(crate) fn configured(name: &str, bytes: &[u8], config: String) -> Arc<Plugin> {
    let engine = Engine::new(EngineConfig::default()).expect("WebAssembly runs here");
    let module = Module::compile(&engine, name, bytes).expect("it is a filter");
    let spec = PluginSpec {
        name: name.into(),
        config: config.into(),
        ..PluginSpec::default()
    };
    Arc::new(Plugin::new(Arc::new(module), spec))
}

/// A compiled filter, if it is there.
pub(crate) fn built(name: &str) -> Option<Vec<u8>> {
    std::fs::read(places::filter(name).ok()?).ok()
}

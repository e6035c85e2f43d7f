//! Micro-benchmarks of the way between host and filter.
//!
//! What each may cost is in README.md. A filter pass is what a filter adds to a request: its
//! context, both header callbacks with one header set in each, and its end.

use std::sync::Arc;
use std::time::Instant;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, criterion_group, criterion_main};
use tidegate_benches::fake_host::{FakeStream, SilentServices};
use tidegate_benches::places;
use tidegate_benches::wat_filters::{GETS, GETS_PER_CALL, SET_HEADERS, module};
use tidegate_host_abi::{
    ContextId, Engine, EngineConfig, Instance, MapKind, Module, Plugin, PluginSpec,
};

criterion_group!(benches, callback, header_get, filter_pass, instance_start);
criterion_main!(benches);

fn callback(criterion: &mut Criterion) {
    let mut guest = Guest::of(&plugin("gets", &module(GETS).expect("assembles")));
    let stream = guest.create_stream();
    criterion.bench_function("empty callback", |bencher| {
        bencher.iter(|| {
            let Guest {
                instance,
                stream: host,
                ..
            } = &mut guest;
            instance
                .on_response_headers(host, stream, 6, true)
                .expect("no fault")
        });
    });
}

fn header_get(criterion: &mut Criterion) {
    let mut guest = Guest::of(&plugin("gets", &module(GETS).expect("assembles")));
    let stream = guest.create_stream();
    criterion.bench_function("header get", |bencher| {
        bencher.iter_custom(|gets| {
            let calls = gets.div_ceil(GETS_PER_CALL.into());
            let Guest {
                instance,
                stream: host,
                ..
            } = &mut guest;
            let started = Instant::now();
            for _ in 0..calls {
                instance
                    .on_request_headers(host, stream, 10, true)
                    .expect("no fault");
            }
            #[expect(clippy::cast_precision_loss, reason = "a share of a time")]
            let share = gets as f64 / (calls * u64::from(GETS_PER_CALL)) as f64;
            started.elapsed().mul_f64(share)
        });
    });
}

fn filter_pass(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("filter pass");
    let written = module(SET_HEADERS).expect("assembles");
    pass(&mut group, "by hand", &plugin("by-hand", &written));
    for name in ["set-headers", "hello-filter"] {
        if let Some(bytes) = built(name) {
            pass(&mut group, name, &plugin(name, &bytes));
        }
    }
    group.finish();
}

fn pass(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, plugin: &Arc<Plugin>) {
    let mut guest = Guest::of(plugin);
    guest.pass();
    assert_ne!(
        guest.stream.counts(),
        FakeStream::new().counts(),
        "it sets its headers"
    );
    if name != "hello-filter" {
        let set = guest.stream.value(MapKind::ResponseHeaders, b"x-bench");
        assert_eq!(set, Some(&b"response"[..]));
    }
    guest.stream.reset();
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            guest.pass();
            guest.stream.reset();
        });
    });
}

fn instance_start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("instance start and end");
    let written = module(SET_HEADERS).expect("assembles");
    let filters = ["set-headers", "hello-filter"].map(|name| (name, built(name)));
    let filters = filters
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)));
    for (name, bytes) in [("by hand", written)].into_iter().chain(filters) {
        let plugins = [plugin(name, &bytes)];
        group.bench_function(name, |bencher| {
            let services = Arc::new(SilentServices::default());
            bencher
                .iter(|| Instance::start(&plugins, Arc::clone(&services) as _).expect("it starts"));
        });
    }
    group.finish();
}

/// An instance with the one stream it serves.
struct Guest {
    instance: Instance,
    root: ContextId,
    stream: FakeStream,
}

impl Guest {
    fn of(plugin: &Arc<Plugin>) -> Self {
        let services = Arc::new(SilentServices::default());
        let instance = Instance::start(&[Arc::clone(plugin)], services).expect("it starts");
        let root = instance.root(0).expect("it has one plugin");
        Self {
            instance,
            root,
            stream: FakeStream::new(),
        }
    }

    fn create_stream(&mut self) -> ContextId {
        self.instance
            .create_stream(&mut self.stream, self.root)
            .expect("no fault")
    }

    /// What happens to a filter in one exchange.
    fn pass(&mut self) {
        let Self {
            instance,
            root,
            stream,
        } = self;
        let (request, response) = stream.counts();
        let context = instance.create_stream(stream, *root).expect("no fault");
        instance
            .on_request_headers(stream, context, request, true)
            .expect("no fault");
        instance
            .on_response_headers(stream, context, response, true)
            .expect("no fault");
        instance.finish_stream(stream, context).expect("no fault");
    }
}

fn plugin(name: &str, bytes: &[u8]) -> Arc<Plugin> {
    let engine = Engine::new(EngineConfig::default()).expect("WebAssembly runs here");
    let module = Module::compile(&engine, name, bytes).expect("it is a filter");
    let spec = PluginSpec {
        name: name.into(),
        ..PluginSpec::default()
    };
    Arc::new(Plugin::new(Arc::new(module), spec))
}

/// A compiled filter, if it is there.
fn built(name: &str) -> Option<Vec<u8>> {
    std::fs::read(places::filter(name).ok()?).ok()
}

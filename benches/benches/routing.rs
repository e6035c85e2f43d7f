//! Micro-benchmarks of the route table: what a look-up costs, and that it costs the same among ten
//! routes and among ten thousand, whichever of them matches.
//!
//! What each may cost is in README.md. The memory of a table is printed before the look-ups: an
//! allocator here counts what is live.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::HeaderName;
use http::HeaderValue;
use tidegate_core::backend::BackendId;
use tidegate_core::host::HostPattern;
use tidegate_core::message::RequestHead;
use tidegate_core::pattern::Pattern;
use tidegate_core::route::{
    Entry, PathMatch, RequestMatch, RouteTable, RouteTimeouts, Rule, RuleId, ValueMatch,
    WeightedBackend,
};
use tidegate_core::upgrade::Upgrades;

criterion_group!(benches, lookups, builds);
criterion_main!(benches);

const FEW: u32 = 10;
const MANY: u32 = 10_000;
const TENANT: HeaderName = HeaderName::from_static("x-tenant");

/// In what the routes of a table differ.
#[derive(Debug, Clone, Copy)]
enum Differ {
    Host,
    Exact,
    Prefix,
    Regex,
    Header,
}

const ALL: [Differ; 5] = [
    Differ::Host,
    Differ::Exact,
    Differ::Prefix,
    Differ::Regex,
    Differ::Header,
];

fn lookups(criterion: &mut Criterion) {
    for differ in ALL {
        let mut group = criterion.benchmark_group(format!("route by {differ:?}"));
        for count in [FEW, MANY] {
            let before = LIVE.load(Ordering::Relaxed);
            let table = RouteTable::build(entries(differ, count));
            let bytes = LIVE.load(Ordering::Relaxed) - before;
            println!(
                "{differ:?}: {} bytes a route of {count}",
                bytes / count as usize
            );
            for (place, number) in [("first", 0), ("last", count - 1)] {
                let (host, head) = request(differ, number);
                let found = table.find(&host, &head).expect("a rule");
                assert_eq!(found.rule.id, RuleId(number));
                group.bench_function(format!("{place} of {count}"), |bencher| {
                    bencher.iter(|| table.find(black_box(&host), black_box(&head)).is_some());
                });
            }
        }
        group.finish();
    }
}

fn builds(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("build a table of 10,000");
    group.sample_size(10);
    for differ in ALL {
        let entries = entries(differ, MANY);
        group.bench_function(format!("by {differ:?}"), |bencher| {
            bencher.iter_batched(|| entries.clone(), RouteTable::build, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn entries(differ: Differ, count: u32) -> Vec<Entry> {
    (0..count).map(|number| entry(differ, number)).collect()
}

fn entry(differ: Differ, number: u32) -> Entry {
    let mut host = HostPattern::Any;
    let mut one = RequestMatch {
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    match differ {
        Differ::Host => host = HostPattern::parse(&host_of(number)).expect("a host"),
        Differ::Exact => one.path = PathMatch::Exact(path_of(number).into()),
        Differ::Prefix => one.path = PathMatch::Prefix(path_of(number).into()),
        Differ::Regex => {
            let pattern = format!("{}/[0-9]+", path_of(number));
            one.path = PathMatch::Regex(Pattern::compile(&pattern).expect("a pattern"));
        }
        Differ::Header => {
            let tenant = ValueMatch::Exact(format!("tenant-{number}").into());
            one.headers.push((TENANT, tenant));
        }
    }
    Entry {
        hosts: vec![host],
        matches: vec![one],
        rule: rule(number),
    }
}

fn rule(number: u32) -> Arc<Rule> {
    Arc::new(Rule {
        id: RuleId(number),
        name: Arc::from(format!("default/route-{number}/0")),
        filters: Vec::new(),
        backends: vec![WeightedBackend {
            weight: 1,
            backend: Some(BackendId(number)),
            filters: Vec::new(),
        }],
        timeouts: RouteTimeouts::default(),
        buffered_body_bytes: None,
        upgrades: Upgrades::default(),
    })
}

/// A host and a head that the rule of that number has.
fn request(differ: Differ, number: u32) -> (String, RequestHead) {
    let mut head = RequestHead::default();
    head.headers
        .insert("accept", HeaderValue::from_static("*/*"));
    let tenant = HeaderValue::try_from(format!("tenant-{number}"));
    head.headers.insert(TENANT, tenant.expect("a value"));
    let target = match differ {
        Differ::Host | Differ::Header => "/any/path".to_owned(),
        Differ::Exact => path_of(number),
        Differ::Prefix => format!("{}/items/12?page=2", path_of(number)),
        Differ::Regex => format!("{}/12", path_of(number)),
    };
    head.path = HeaderValue::try_from(target).expect("a target");
    (host_of(number), head)
}

fn host_of(number: u32) -> String {
    // Names of one length: a longer one takes longer to hash.
    format!("host-{number:05}.shop.test")
}

fn path_of(number: u32) -> String {
    format!("/team/service-{number:05}")
}

/// Bytes that are allocated and not yet freed.
static LIVE: AtomicUsize = AtomicUsize::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

struct Counting;

#[expect(unsafe_code, reason = "the system's allocator with a counter")]
// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc` asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps what `GlobalAlloc` asks for.
        unsafe { System.dealloc(pointer, layout) }
    }
}

//! `tidegate plugin bench`: what a filter costs, phase by phase, beside one that does nothing.
//!
//! Owns the measurement: real code in the real host, streams in memory, no sockets. Each phase runs
//! for many streams one after the other, and the least of many rounds counts: what a machine does
//! beside it only ever adds.

pub(crate) mod answer;
mod empty;
mod stream;

use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::bail;
use bytes::Bytes;
use tidegate_config::plugin_schema;
use tidegate_host_abi::BodyAction;
use tidegate_host_abi::CallResponse;
use tidegate_host_abi::ContextId;
use tidegate_host_abi::Engine;
use tidegate_host_abi::EngineConfig;
use tidegate_host_abi::Fault;
use tidegate_host_abi::HeadersAction;
use tidegate_host_abi::Instance;
use tidegate_host_abi::Manifest;
use tidegate_host_abi::Module;
use tidegate_host_abi::Plugin;
use tidegate_host_abi::PluginSpec;
use tidegate_host_abi::Side;

use crate::author;
use crate::author::bench::stream::Pool;
use crate::author::check::Config;
use crate::cli::BenchArgs;
use crate::plugins;
use crate::plugins::TrialServices;

/// Streams at a time: a phase runs once for each.
const STREAMS: usize = 64;
/// Rounds at least, however slow they are.
const LEAST_ROUNDS: usize = 20;
/// Rounds at most.
const MOST_ROUNDS: usize = 5_000;

/// The phases in their order, with their names.
const PHASES: [(Phase, &str); 6] = [
    (Phase::Start, "start of a stream"),
    (Phase::RequestHeaders, "request headers"),
    (Phase::RequestBody, "request body"),
    (Phase::ResponseHeaders, "response headers"),
    (Phase::ResponseBody, "response body"),
    (Phase::End, "end: done, log, delete"),
];

/// A part of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Start,
    RequestHeaders,
    RequestBody,
    ResponseHeaders,
    ResponseBody,
    End,
}

/// How far streams come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// Through all phases.
    Through,
    /// The filter answered itself in a phase.
    Answered(Phase, u32),
    /// It waits for something in a phase.
    Waits(Phase),
}

/// What came of a measurement.
struct Measured {
    least: [Duration; PHASES.len()],
    course: Course,
    rounds: usize,
    /// Calls that were answered.
    answered: usize,
}

/// Measures and prints.
///
/// # Errors
///
/// A module that does not serve here, or ends in a fault.
pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let code = tidegate_plugin_store::file::load(&args.file)?;
    let config = match args.config.as_deref().map(Config::read).transpose()? {
        None => Bytes::new(),
        Some(config) => {
            let manifest = Manifest::read(&code.bytes).ok().flatten();
            let schema = manifest.and_then(|manifest| manifest.config_schema);
            let read = plugin_schema::read(&config.file, &config.text, schema.as_ref());
            if !read.problems.is_empty() {
                bail!("{}", config.render(&read.problems).trim_end());
            }
            read.told.into()
        }
    };
    if cfg!(debug_assertions) {
        author::say("this tidegate is a debug build: the host's share is far too high");
    }
    let engine = Engine::new(EngineConfig {
        parallel_compilation: true,
        ..EngineConfig::default()
    })
    .context("cannot prepare WebAssembly")?;
    let nothing = measure(&engine, "nothing", &empty::module(), Bytes::new(), args)?;
    let filter = measure(&engine, &code.name, &code.bytes, config, args)?;
    author::print(&page(args, &filter, &nothing));
    Ok(())
}

fn measure(
    engine: &Engine,
    name: &str,
    bytes: &[u8],
    config: Bytes,
    args: &BenchArgs,
) -> anyhow::Result<Measured> {
    let module = Module::compile(engine, name, bytes).with_context(|| name.to_owned())?;
    let spec = PluginSpec {
        name: name.to_owned(),
        config,
        ..PluginSpec::default()
    };
    let plugin = Arc::new(Plugin::new(Arc::new(module), spec));
    let services = Arc::new(TrialServices::default());
    let instance = Instance::start(&[plugin], services)
        .map_err(|err| anyhow::anyhow!(plugins::not_started(&err, true).message))?;
    let root = instance.root(0).context("it has no root context")?;
    let mut bench = Bench {
        instance,
        root,
        pool: Pool::new(STREAMS, args.chunk),
        contexts: Vec::with_capacity(STREAMS),
        course: Course::Through,
        answer: args.answer.clone(),
        answered: 0,
    };
    // A setup may have asked for something.
    bench.answer_calls()?;
    let mut least = [Duration::MAX; PHASES.len()];
    let end = Instant::now() + args.time;
    let mut rounds = 0;
    while rounds < LEAST_ROUNDS || (rounds < MOST_ROUNDS && Instant::now() < end) {
        for ((phase, _), least) in PHASES.into_iter().zip(&mut least) {
            if let Some(took) = bench.phase(phase)? {
                *least = took.min(*least);
            }
        }
        bench.pool.reset();
        rounds += 1;
    }
    Ok(Measured {
        least,
        course: bench.course,
        rounds,
        answered: bench.answered,
    })
}

/// A guest with the streams that it is shown.
struct Bench {
    instance: Instance,
    root: ContextId,
    pool: Pool,
    contexts: Vec<ContextId>,
    course: Course,
    /// What backends answer.
    answer: Option<CallResponse>,
    answered: usize,
}

impl Bench {
    /// Answers what the guest asks backends.
    fn answer_calls(&mut self) -> Result<(), Fault> {
        if let Some(answer) = &self.answer {
            self.answered += answer::all(&mut self.instance, &mut self.pool, answer)?;
        }
        Ok(())
    }

    /// Runs a phase for all streams, and says how long it took; nothing if streams do not come that
    /// far.
    fn phase(&mut self, phase: Phase) -> Result<Option<Duration>, Fault> {
        if self.course != Course::Through && phase != Phase::Start && phase != Phase::End {
            let reached = match self.course {
                Course::Answered(at, _) | Course::Waits(at) => at,
                Course::Through => Phase::End,
            };
            let place = |wanted| PHASES.iter().position(|(one, _)| *one == wanted);
            if place(phase) > place(reached) {
                return Ok(None);
            }
        }
        self.pool.prepare(match phase {
            Phase::RequestBody => Some(Side::Request),
            Phase::ResponseBody => Some(Side::Response),
            _ => None,
        });
        let started = Instant::now();
        let mut goes_on = true;
        for at in 0..STREAMS {
            let went_on = self.one(phase, at)?;
            self.answer_calls()?;
            goes_on &= went_on || self.pool.was_continued();
        }
        let took = started.elapsed();
        if phase == Phase::End {
            self.contexts.clear();
        }
        if self.course == Course::Through {
            match self.pool.answer() {
                Some(status) => self.course = Course::Answered(phase, status),
                None if !goes_on => self.course = Course::Waits(phase),
                None => {}
            }
        }
        Ok(Some(took))
    }

    /// Runs a phase for one stream, and says whether it goes on.
    fn one(&mut self, phase: Phase, at: usize) -> Result<bool, Fault> {
        let Self {
            instance,
            root,
            pool,
            contexts,
            ..
        } = self;
        pool.turn_to(at);
        let context = contexts.get(at).copied().unwrap_or(*root);
        let (request, response) = pool.counts();
        let size = pool.chunk();
        Ok(match phase {
            Phase::Start => {
                contexts.push(instance.create_stream(pool, *root)?);
                true
            }
            Phase::RequestHeaders => {
                let action = instance.on_request_headers(pool, context, request, false)?;
                action == HeadersAction::Continue
            }
            Phase::RequestBody => {
                let action = instance.on_request_body(pool, context, size, true)?;
                action == BodyAction::Continue
            }
            Phase::ResponseHeaders => {
                let action = instance.on_response_headers(pool, context, response, false)?;
                action == HeadersAction::Continue
            }
            Phase::ResponseBody => {
                let action = instance.on_response_body(pool, context, size, true)?;
                action == BodyAction::Continue
            }
            Phase::End => {
                instance.finish_stream(pool, context)?;
                true
            }
        })
    }
}

fn page(args: &BenchArgs, filter: &Measured, nothing: &Measured) -> String {
    let (file, chunk) = (args.file.display(), args.chunk);
    let rounds = filter.rounds;
    let mut page = format!(
        "{file}: ns a request, the least of {rounds} rounds of {STREAMS} streams; bodies are one \
         chunk of {chunk} bytes\n{:<24} {:>9} {:>14} {:>9}\n",
        "phase", "filter", "empty filter", "more"
    );
    let nanos = |took: Duration| -> Option<u128> {
        (took < Duration::MAX).then(|| took.as_nanos() / STREAMS as u128)
    };
    let mut sums = [0, 0];
    for (((_, name), took), floor) in PHASES.iter().zip(filter.least).zip(nothing.least) {
        let (Some(took), floor) = (nanos(took), nanos(floor).unwrap_or(0)) else {
            page.push_str(&format!("{name:<24} {:>9}\n", "-"));
            continue;
        };
        let more = took.saturating_sub(floor);
        sums = [sums[0] + took, sums[1] + floor];
        page.push_str(&format!("{name:<24} {took:>9} {floor:>14} {more:>9}\n"));
    }
    let [took, floor] = sums;
    let more = took.saturating_sub(floor);
    page.push_str(&format!(
        "{:<24} {took:>9} {floor:>14} {more:>9}\n",
        "all of it"
    ));
    if filter.answered > 0 {
        page.push_str(&format!(
            "{} calls to backends were answered at once\n",
            filter.answered
        ));
    }
    let named = |phase| {
        let named = PHASES.iter().find(|(one, _)| *one == phase);
        named.map_or("", |(_, name)| name)
    };
    match filter.course {
        Course::Through => {}
        Course::Answered(phase, status) => page.push_str(&format!(
            "it answers with {status} itself ({}), so that nothing comes after that\n",
            named(phase)
        )),
        Course::Waits(phase) => page.push_str(&format!(
            "it waits for something ({}) that does not come here: timers do not, and backends answer \
             only with --answer STATUS\n",
            named(phase)
        )),
    }
    page
}

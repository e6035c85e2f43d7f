//! The simulator: a filter in this process, with a host that is a table and time that is a number.
//!
//! Owns the order of things: callbacks, then what they asked for, then whatever is due at the same
//! moment; only then does time go on. What a host may do differently, this does as Tidegate does,
//! and it refuses what Envoy would refuse.

mod calls;
mod driver;
mod end;
mod faults;
mod flow;
mod grpc;
mod host;
mod properties;
mod reach;
mod redis;
mod server;
mod state;
mod trap;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk::{Filter, Module, NetworkFilter, NetworkModule};
use tidegate_sdk_sys::{Guest, LogLevel, Pairs};

use crate::builder::Plan;
use crate::driver::Driver;
use crate::fields::{Fields, text};
use crate::grpc::Ended;
use crate::native::host::World;
use crate::native::state::{CallAnswer, Item, ROOT, Setup, State, Way};
use crate::observed::Seen;
use crate::reply::Reply;

/// Nanoseconds of the monotonic clock when a plugin starts: not 0, which would hide mistakes.
const START: u64 = 3_600_000_000_000;
/// How long a plugin's setup may take.
const SETUP_LIMIT: u64 = 10_000_000_000;
/// How much virtual time one wait may take.
const PATIENCE: u64 = 600_000_000_000;
/// How long a filter may hold a stream.
const PAUSE_LIMIT: u64 = 30_000_000_000;

/// A module with any filter.
pub(crate) trait Plugin: Guest {
    /// Streams and background tasks.
    fn live(&self) -> (usize, usize);
}

impl<F: Filter> Plugin for Module<F> {
    fn live(&self) -> (usize, usize) {
        Self::live(self)
    }
}

impl<F: NetworkFilter> Plugin for NetworkModule<F> {
    fn live(&self) -> (usize, usize) {
        Self::live(self)
    }
}

/// A filter in the simulator.
struct Native {
    plan: Plan,
    make: fn() -> Box<dyn Plugin>,
    guest: Box<dyn Plugin>,
    world: Rc<World>,
    seen: Seen,
    /// By when it happens, and the order in which it was asked for.
    events: BTreeMap<(u64, u64), Event>,
    last_event: u64,
    last_context: u32,
    /// How far a wait may go.
    patience: u64,
    /// Tokens of calls that have no answer yet.
    open_calls: BTreeMap<u32, String>,
    stopped: bool,
}

/// Something that happens at a moment.
enum Event {
    /// The application answers.
    AppAnswers { context: u32, reply: Reply },
    /// A call ends.
    CallEnds { token: u32, answer: CallAnswer },
    /// A gRPC call ends.
    GrpcEnds { token: u32, ended: Ended },
    /// A Redis command ends: with a reply, or a status that is not 0.
    CommandEnds {
        token: u32,
        answer: Result<Vec<u8>, u32>,
    },
    /// A stream has been held for too long.
    PauseEnds { context: u32, way: Way, hold: u64 },
    /// An exchange has taken too long.
    TimeOut { context: u32 },
    /// An attempt begins; `end` if the request has no body.
    Attempt { context: u32, end: bool },
}

/// Starts a plugin.
///
/// # Errors
/// Why it refuses to.
pub(crate) fn start(
    make: fn() -> Box<dyn Plugin>,
    plan: Plan,
    seen: &Seen,
) -> Result<Box<dyn Driver>, String> {
    let world = Rc::new(World::new(initial(&plan, seen)));
    let mut native = Native {
        plan,
        guest: make(),
        make,
        world,
        seen: seen.clone(),
        events: BTreeMap::new(),
        last_event: 0,
        last_context: ROOT,
        patience: START + PATIENCE,
        open_calls: BTreeMap::new(),
        stopped: false,
    };
    native.start()?;
    Ok(Box::new(native))
}

fn initial(plan: &Plan, seen: &Seen) -> State {
    let properties = plan.properties.iter();
    let shared = plan.shared.iter().zip(1..);
    let backends = plan.backends.names();
    State {
        now: START,
        random: 7,
        effective: 0,
        name: plan.name,
        seen: seen.clone(),
        log_level: plan.log_level,
        config: plan.config.clone(),
        configuring: false,
        tick: None,
        streams: BTreeMap::new(),
        new_calls: Vec::new(),
        new_commands: Vec::new(),
        last_token: 0,
        answer: None,
        grpc_end: None,
        redis_reply: Vec::new(),
        versions: u32::try_from(plan.shared.len()).unwrap_or(u32::MAX),
        shared: shared
            .map(|((key, value), version)| (key.clone().into_bytes(), (value.clone(), version)))
            .collect(),
        metrics: Vec::new(),
        properties: properties
            .map(|(path, value)| (path.join("\0").into_bytes(), value.clone()))
            .collect(),
        denied: plan.denied.iter().cloned().collect::<BTreeSet<_>>(),
        backends: backends.into_iter().map(|(name, _)| name).collect(),
        tidegate: plan.tidegate,
        setup: Setup::Unsaid,
    }
}

impl Native {
    /// Announces the plugin and waits for its setup.
    fn start(&mut self) -> Result<(), String> {
        self.configure()?;
        let limit = self.now() + SETUP_LIMIT;
        loop {
            self.settle();
            match self.world.state().setup.clone() {
                Setup::Unsaid | Setup::Done => return Ok(()),
                Setup::Failed(why) => return Err(why),
                Setup::Pending => {}
            }
            match self.next_moment().filter(|next| *next <= limit) {
                Some(next) => self.world.state().now = next,
                None => return Err("its setup is not done within 10s".to_owned()),
            }
        }
    }

    /// Announces the plugin's context and gives it its configuration.
    fn configure(&mut self) -> Result<(), String> {
        let size = {
            let mut state = self.world.state();
            state.setup = Setup::Unsaid;
            state.configuring = true;
            state.config.len()
        };
        let mut accepted = self.call(ROOT, |guest| {
            guest.on_context_create(ROOT, 0);
            true
        });
        accepted = accepted.and(self.call(ROOT, |guest| guest.on_vm_start(ROOT, 0)));
        if accepted == Some(true) {
            accepted = self.call(ROOT, |guest| guest.on_configure(ROOT, size));
        }
        self.world.state().configuring = false;
        if accepted == Some(true) {
            return Ok(());
        }
        let last_words = self.seen.with(|seen| {
            let lines = seen.logs.iter().rev();
            let mut errors = lines.filter(|line| line.level as u32 >= LogLevel::Error as u32);
            errors.next().map(|line| line.text.clone())
        });
        Err(last_words
            .unwrap_or_else(|| "it refuses its configuration and does not say why".into()))
    }

    fn now(&self) -> u64 {
        self.world.state().now
    }

    /// Plans an event for so many nanoseconds from now.
    fn plan_event(&mut self, after: u64, event: Event) {
        self.last_event += 1;
        let at = self.now().saturating_add(after);
        self.events.insert((at, self.last_event), event);
    }

    /// When the next thing happens.
    fn next_moment(&self) -> Option<u64> {
        let tick = self.world.state().tick.map(|tick| tick.due);
        let event = self.events.keys().next().map(|(at, _)| *at);
        match (tick, event) {
            (Some(tick), Some(event)) => Some(tick.min(event)),
            (tick, event) => tick.or(event),
        }
    }

    /// Runs what is due now.
    fn run_due(&mut self) -> bool {
        let now = self.now();
        let first = self.events.first_entry();
        if let Some(entry) = first.filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.happen(event);
            return true;
        }
        let is_due = {
            let mut state = self.world.state();
            match &mut state.tick {
                Some(tick) if tick.due <= now => {
                    // Armed anew before the callback, which may set another period.
                    tick.due = now + tick.period;
                    true
                }
                _ => false,
            }
        };
        if is_due {
            self.call(ROOT, |guest| guest.on_tick(ROOT));
        }
        is_due
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::AppAnswers { context, reply } => self.app_answers(context, reply),
            Event::CallEnds { token, answer } => self.call_ends(token, answer),
            Event::GrpcEnds { token, ended } => self.grpc_ends(token, ended),
            Event::CommandEnds { token, answer } => self.command_ends(token, answer),
            Event::PauseEnds { context, way, hold } => {
                let overdue = self.world.state().streams.get(&context).is_some_and(|it| {
                    let side = it.side(way);
                    side.holds == hold && side.hold != state::Hold::No
                });
                match overdue {
                    true if self.plan.network => self.cut(context),
                    true => self.host_answers(context, 503),
                    false => {}
                }
            }
            Event::TimeOut { context } => self.host_answers(context, 504),
            Event::Attempt { context, end } => self.attempt(context, end),
        }
    }

    fn context_of(&self, exchange: u32) -> Option<u32> {
        let state = self.world.state();
        let mut streams = state.streams.iter();
        let found = streams.find(|(_, stream)| stream.exchange == exchange);
        found.map(|(context, _)| *context)
    }

    /// Adds what a client sends.
    fn push(&mut self, exchange: u32, item: Item) {
        self.patience = self.now() + PATIENCE;
        if let Some(context) = self.context_of(exchange)
            && let Some(stream) = self.world.state().streams.get_mut(&context)
        {
            stream.request.incoming.push_back(item);
        }
    }
}

/// Fields as tests have them, with pseudo-headers.
fn all_fields(pairs: &Pairs) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in pairs {
        fields.add(&text(name), value.as_slice());
    }
    fields
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

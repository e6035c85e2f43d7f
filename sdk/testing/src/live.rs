//! A module in a real host: clients and backends are sockets of this process, the host is another.

mod admin;
mod client;
mod clock;
mod envoy;
mod grpc;
mod http1;
mod program;
mod redis;
mod server;
mod tidegate;
mod wire;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::answer::End;
use crate::builder::Plan;
use crate::driver::{Driver, Waited};
use crate::fields::Fields;
use crate::live::client::Client;
use crate::live::clock::Clock;
use crate::live::envoy::Envoy;
use crate::live::program::Program;
use crate::live::server::Servers;
use crate::live::tidegate::Tidegate;
use crate::mode::Mode;
use crate::observed::Seen;
use crate::request::Request;

pub(crate) use server::message;

/// How long a test waits for anything.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the program may take to end a stream whose client has all.
const LAST_CALLBACKS: Duration = Duration::from_secs(5);
/// How long a request may take to reach the filter; some never do.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(5);

/// A filter in a program.
struct Live {
    program: Box<dyn Program>,
    clients: BTreeMap<u32, Client>,
    seen: Seen,
    clock: Clock,
    waits_since: Option<Instant>,
    stopped: bool,
}

/// Starts the plugin in the program that the mode is for.
///
/// # Errors
/// Why the plugin does not start.
pub(crate) fn start(mode: Mode, plan: Plan, seen: &Seen) -> Result<Box<dyn Driver>, String> {
    let clock = Clock::new();
    let servers = Servers {
        backends: plan.backends.clone(),
        seen: seen.clone(),
        clock: clock.clone(),
    };
    let failed = |error: std::io::Error| format!("no socket for a backend: {error}");
    let app = match plan.network {
        true => wire::serve(&plan.backends, seen),
        false => servers.app(),
    };
    let app = app.map_err(failed)?;
    let others = servers.others().map_err(failed)?;
    let program: Box<dyn Program> = match mode {
        Mode::Native | Mode::Wasm => Box::new(Tidegate::start(&plan, seen, app, &others)?),
        Mode::Envoy => Box::new(Envoy::start(&plan, seen, &clock, app, &others)?),
    };
    Ok(Box::new(Live {
        program,
        clients: BTreeMap::new(),
        seen: seen.clone(),
        clock,
        waits_since: None,
        stopped: false,
    }))
}

/// The module of a filter: what `TIDEGATE_TEST_MODULE` names, or the one of that name in the folder
/// that it names.
fn module(name: &str) -> Result<PathBuf, String> {
    let Some(path) = std::env::var_os("TIDEGATE_TEST_MODULE").map(PathBuf::from) else {
        return Err(
            "TIDEGATE_TEST_MODULE names no module: `tidegate plugin test --wasm` builds one".into(),
        );
    };
    if path.is_dir() {
        return Ok(path.join(format!("{name}.wasm")));
    }
    Ok(path)
}

impl Live {
    /// A client has begun, or could not.
    fn began(&mut self, exchange: u32, client: std::io::Result<Client>) {
        match client {
            Ok(client) => {
                self.clients.insert(exchange, client);
                self.arrive(exchange);
            }
            Err(error) => {
                let why = format!("cannot connect to the program under test: {error}");
                self.seen.with(|seen| seen.broken = Some(why));
            }
        }
    }

    /// Waits until the program has seen an exchange begin: time must not be moved on before.
    fn arrive(&mut self, exchange: u32) {
        let began = Instant::now();
        while began.elapsed() < ARRIVAL {
            let pending = self
                .seen
                .with(|seen| seen.answer(exchange).end == End::Pending);
            let open = self.program.open().unwrap_or(usize::MAX);
            if !pending || open >= self.clients.len() {
                return;
            }
            self.clock.wait(LOOK);
        }
    }

    /// Waits until the program has ended the streams of exchanges that are over.
    fn quiet(&mut self) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let expected = self.clients.len();
            let open = self.program.open()?;
            if open <= expected {
                return Ok(());
            }
            if began.elapsed() > LAST_CALLBACKS {
                return Err(format!(
                    "{} streams are left after their exchanges have ended",
                    open - expected
                ));
            }
            self.clock.wait(LOOK);
        }
    }
}

impl Driver for Live {
    fn begin(&mut self, exchange: u32, request: &Request, chunks: Vec<Vec<u8>>) {
        self.waits_since = None;
        let address = self.program.address();
        let mut request = request.clone();
        for (name, value) in self.program.more_headers() {
            request.headers.add(&name, value);
        }
        let client = Client::begin(address, &self.seen, exchange, &request, &chunks);
        self.began(exchange, client);
    }

    fn connect(&mut self, exchange: u32) {
        self.waits_since = None;
        let client = Client::connect(self.program.address(), &self.seen, exchange);
        self.began(exchange, client);
    }

    fn chunk(&mut self, exchange: u32, bytes: &[u8]) {
        self.waits_since = None;
        if let Some(client) = self.clients.get_mut(&exchange) {
            client.chunk(bytes);
        }
    }

    fn end(&mut self, exchange: u32, trailers: &Fields) {
        self.waits_since = None;
        if let Some(client) = self.clients.get_mut(&exchange) {
            client.end(trailers);
        }
    }

    fn disconnect(&mut self, exchange: u32) {
        if self.clients.remove(&exchange).is_some() {
            self.seen.with(|seen| {
                let answer = seen.answer(exchange);
                if answer.end == End::Pending {
                    answer.end = End::Cut;
                }
            });
        }
    }

    fn wait(&mut self) -> Waited {
        let since = *self.waits_since.get_or_insert_with(Instant::now);
        if since.elapsed() > PATIENCE {
            return Waited::InVain(format!("not within {PATIENCE:?}"));
        }
        self.seen.wait(Duration::from_millis(50));
        Waited::Look
    }

    fn settle(&mut self) {}

    fn ended(&mut self, exchange: u32) -> Result<(), String> {
        self.clients.remove(&exchange);
        self.waits_since = None;
        self.quiet()
    }

    fn advance(&mut self, time: Duration) -> Result<(), String> {
        self.waits_since = None;
        if self.program.advance(time)? {
            self.clock.advance(time);
        } else {
            self.clock.wait(time);
        }
        Ok(())
    }

    fn unix_time(&mut self) -> Duration {
        self.clock.unix_time()
    }

    fn metric(&mut self, name: &str) -> Result<Option<u64>, String> {
        self.program.metric(name)
    }

    fn shared(&mut self, key: &str) -> Result<Option<Vec<u8>>, String> {
        self.program.shared(key)
    }

    fn set_property(&mut self, path: &[&str], value: &[u8]) -> Result<(), String> {
        self.program.set_property(path, value)
    }

    fn answer_elsewhere(&mut self, _exchange: u32, _status: u16) -> Result<(), String> {
        Err("only the simulated host can be told to answer: mode native".to_owned())
    }

    fn stop(&mut self) -> Result<(), String> {
        if std::mem::replace(&mut self.stopped, true) {
            return Ok(());
        }
        self.clients.clear();
        let quiet = self.quiet();
        quiet.and(self.program.stop())
    }
}

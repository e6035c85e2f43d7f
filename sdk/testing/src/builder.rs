//! What a harness is made of.

use std::time::Duration;

use serde::Serialize;
use tidegate_sdk::{Definition, Filter, Module, NetworkFilter, NetworkModule};
use tidegate_sdk_sys::LogLevel;

use crate::backends::{Backend, Backends};
use crate::fail;
use crate::harness::Harness;
use crate::live;
use crate::mode::report_run;
use crate::native::{self, Plugin};
use crate::observed::Seen;
use crate::redis::{RedisCommand, RedisReply};
use crate::reply::{Received, Reply};
use crate::split::Split;
use crate::{Mode, json_bytes, mode};

/// What a harness is made of; [`start`](Self::start) ends it.
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    pub(crate) plan: Plan,
    plugin: fn() -> Box<dyn Plugin>,
}

/// The same without types of the filter.
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    /// It filters connections, not requests.
    pub(crate) network: bool,
    /// The filter reads bodies while it holds headers.
    pub(crate) stop_iteration: bool,
    /// How many tasks the filter has for ever.
    pub(crate) background: usize,
    pub(crate) config: Vec<u8>,
    pub(crate) backends: Backends,
    pub(crate) log_level: LogLevel,
    pub(crate) properties: Vec<(Vec<String>, Vec<u8>)>,
    pub(crate) shared: Vec<(String, Vec<u8>)>,
    /// Functions of the ABI that the plugin may not call.
    pub(crate) denied: Vec<String>,
    /// The host has functions of Tidegate's own.
    pub(crate) tidegate: bool,
    pub(crate) request_timeout: Option<Duration>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("filter", &self.plan.name)
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(crate) fn of<F: Filter>() -> Self {
        Self::with::<F>(false, || Box::new(Module::<F>::default()))
    }

    pub(crate) fn of_network<F: NetworkFilter>() -> Self {
        Self::with::<F>(true, || Box::new(NetworkModule::<F>::default()))
    }

    fn with<F: Definition>(network: bool, plugin: fn() -> Box<dyn Plugin>) -> Self {
        Self {
            plan: Plan {
                name: F::NAME,
                network,
                stop_iteration: needs_stop_iteration(F::MANIFEST),
                background: F::JOBS.len(),
                config: Vec::new(),
                backends: Backends::default(),
                log_level: LogLevel::Trace,
                properties: Vec::new(),
                shared: Vec::new(),
                denied: Vec::new(),
                tidegate: true,
                request_timeout: None,
            },
            plugin,
        }
    }

    /// Sets the plugin's configuration; without it there is none.
    pub fn config(mut self, config: impl Serialize) -> Self {
        self.plan.config = json_bytes(&config);
        self
    }

    /// Sets the plugin's configuration to bytes that may be anything.
    pub fn raw_config(mut self, config: impl AsRef<[u8]>) -> Self {
        self.plan.config = config.as_ref().to_vec();
        self
    }

    /// Adds a backend that the filter can call.
    pub fn backend(
        self,
        name: &str,
        answer: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> Self {
        let backend = Backend::Answers(Box::new(answer));
        self.plan.backends.set(name, backend);
        self
    }

    /// Adds a backend that the filter can call over gRPC, with [`Reply::grpc`] and
    /// [`Reply::grpc_status`]; any other reply is one that a wrong server gives. `reset` and `cut` end
    /// the call's stream.
    pub fn grpc_backend(
        self,
        name: &str,
        answer: impl FnMut(&Received) -> Reply + Send + 'static,
    ) -> Self {
        let backend = Backend::AnswersGrpc(Box::new(answer));
        self.plan.backends.set(name, backend);
        self
    }

    /// Adds a Redis server: a closure that gets each command. In Envoy filters cannot run any.
    pub fn redis(
        self,
        name: &str,
        answer: impl FnMut(&RedisCommand) -> RedisReply + Send + 'static,
    ) -> Self {
        let backend = Backend::Redis(Box::new(answer));
        self.plan.backends.set(name, backend);
        self
    }

    /// Adds a backend at which nothing listens.
    pub fn backend_down(self, name: &str) -> Self {
        self.plan.backends.set(name, Backend::Down);
        self
    }

    /// Sets the application behind the filter: it answers once it has the whole request. Without
    /// one, it answers 200 with the request's body.
    pub fn app(self, answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        self.plan.backends.set_app(Box::new(answer), false);
        self
    }

    /// Sets an application that answers once it has the request's headers: its answer's headers and
    /// body go out at once, the end of it when the request has ended.
    pub fn early_app(self, answer: impl FnMut(&Received) -> Reply + Send + 'static) -> Self {
        self.plan.backends.set_app(Box::new(answer), true);
        self
    }

    /// Sets the server behind a network filter: `answer` gets what has come since its last answer,
    /// and says nothing (`None`) as long as it awaits more. Without one, it sends back what it gets.
    /// When the client has ended, so does the server.
    pub fn server(self, answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> Self {
        self.plan.backends.set_server(Box::new(answer));
        self
    }

    /// Sets what the server behind a network filter says before it is asked.
    pub fn greeting(self, bytes: impl AsRef<[u8]>) -> Self {
        self.plan.backends.set_greeting(bytes.as_ref().to_vec());
        self
    }

    /// Writes lines of at least this level to the log; all of them without it.
    pub const fn log_level(mut self, level: LogLevel) -> Self {
        self.plan.log_level = level;
        self
    }

    /// Sets a property of all exchanges: text, or bytes as the ABI has them.
    ///
    /// In Envoy only those of one part, which filters set for one another: a filter in front does.
    pub fn property<'a>(
        mut self,
        path: impl IntoIterator<Item = &'a str>,
        value: impl AsRef<[u8]>,
    ) -> Self {
        let path = path.into_iter().map(str::to_owned).collect();
        self.plan.properties.push((path, value.as_ref().to_vec()));
        self
    }

    /// Sets a key of the shared data before the plugin starts.
    pub fn shared(mut self, key: &str, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref().to_vec();
        self.plan.shared.push((key.to_owned(), value));
        self
    }

    /// Denies the plugin a function of the ABI, such as `proxy_http_call`.
    pub fn deny(mut self, function: &str) -> Self {
        self.plan.denied.push(function.to_owned());
        self
    }

    /// Makes the simulated host one that is not Tidegate: it has no foreign functions, and does
    /// not wait for setups.
    pub const fn on_other_hosts(mut self) -> Self {
        self.plan.tidegate = false;
        self
    }

    /// Says how many tasks the filter begins by `spawn` and never ends: they are no leak.
    pub const fn endless_tasks(mut self, count: usize) -> Self {
        self.plan.background += count;
        self
    }

    /// Shows the filter bodies while it holds headers, although its module does not ask for it: what an
    /// operator grants by `stopIteration`.
    pub const fn stop_iteration(mut self) -> Self {
        self.plan.stop_iteration = true;
        self
    }

    /// Cuts bodies of requests and answers at places that follow from `seed`.
    pub fn split_bodies(self, seed: u64) -> Self {
        self.plan.backends.set_split(Split::Seed(seed));
        self
    }

    /// Cuts bodies of requests and answers after every byte.
    pub fn split_every_byte(self) -> Self {
        self.plan.backends.set_split(Split::EveryByte);
        self
    }

    /// Cuts bodies of requests and answers in two, after this many bytes.
    pub fn split_at(self, bytes: usize) -> Self {
        self.plan.backends.set_split(Split::At(bytes));
        self
    }

    /// Limits how long an exchange may take, once it waits for the application, before the host
    /// answers it with 504.
    pub const fn request_timeout(mut self, limit: Duration) -> Self {
        self.plan.request_timeout = Some(limit);
        self
    }

    /// Starts the plugin.
    ///
    /// # Panics
    /// If it refuses its configuration, or its setup fails.
    #[track_caller]
    pub fn start(self) -> Harness {
        let name = self.plan.name;
        match self.try_start() {
            Ok(harness) => harness,
            Err(why) => fail(&format!("{name} does not start: {why}")),
        }
    }

    /// Starts the plugin, or says why it does not start: the message that an operator sees.
    ///
    /// # Errors
    /// If it refuses its configuration, or its setup fails.
    #[track_caller]
    pub fn try_start(self) -> Result<Harness, String> {
        report_run();
        let is_own = |(path, _): &(Vec<String>, Vec<u8>)| path.len() == 1;
        let are_own = self.plan.properties.iter().all(is_own) && self.plan.shared.is_empty();
        if mode() == Mode::Envoy && !are_own {
            fail(
                "Envoy has shared data of its own, and properties but those of one part, which \
                 filters set: use `not_in(Mode::Envoy, …)`",
            );
        }
        let seen = Seen::default();
        let backends = self.plan.backends.clone();
        let network = self.plan.network;
        let driver = match mode() {
            Mode::Native => native::start(self.plugin, self.plan, &seen)?,
            mode @ (Mode::Wasm | Mode::Envoy) => live::start(mode, self.plan, &seen)?,
        };
        Ok(Harness::running(driver, seen, backends, network))
    }
}

/// Whether a manifest says that the filter reads bodies while it holds headers.
fn needs_stop_iteration(manifest: &str) -> bool {
    let manifest: serde_json::Value = serde_json::from_str(manifest).unwrap_or_default();
    let needs = manifest.get("needs").and_then(|needs| needs.as_array());
    needs.is_some_and(|needs| needs.iter().any(|need| need == "stopIteration"))
}

//! One filter's callbacks: contexts come and go, configurations are read, streams are started.
//!
//! The only part of the runtime that knows the filter's types.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk_sys::{Action, BufferType, Guest, Host as _, LogLevel, host};

use crate::config::FilterConfig;
use crate::cx::Cx;
use crate::error::{Deny, Error, Result};
use crate::filter::{Filter, Job};
use crate::log::log_line;
use crate::next::Next;
use crate::request::Request;
use crate::runtime::Runtime;
use crate::runtime::ids::IdMap;
use crate::runtime::root::Root;
use crate::runtime::side::{Direction, Held};
use crate::runtime::stream::{Stream, Waiting};
use crate::runtime::timers::Sleep;
use crate::setup::{Ready, Setup};

/// Between attempts of a setup that fails, on a host that does not refuse the plugin for it.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// A module with the filter `F`.
pub struct Module<F: Filter> {
    runtime: Rc<Runtime>,
    /// By context. A plugin that is announced and not configured has a root only.
    plugins: RefCell<IdMap<Plugin<F>>>,
}

struct Plugin<F: Filter> {
    root: Rc<Root>,
    configured: Option<Rc<Configured<F>>>,
}

struct Configured<F: Filter> {
    config: Rc<F::Config>,
    setup: Setup<F::State>,
}

impl<F: Filter> Default for Module<F> {
    fn default() -> Self {
        Self {
            runtime: Rc::default(),
            plugins: RefCell::default(),
        }
    }
}

impl<F: Filter> std::fmt::Debug for Module<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Module")
            .field("filter", &F::NAME)
            .finish_non_exhaustive()
    }
}

impl<F: Filter> Module<F> {
    /// How many streams and background tasks are under way: both are 0 once nothing leaks.
    #[must_use]
    pub fn live(&self) -> (usize, usize) {
        self.runtime.live()
    }

    fn root(&self, context: u32) -> Option<Rc<Root>> {
        self.plugins
            .borrow()
            .get(context)
            .map(|it| Rc::clone(&it.root))
    }

    fn configured(&self, root: u32) -> Option<Rc<Configured<F>>> {
        self.plugins.borrow().get(root)?.configured.clone()
    }

    /// Reads the configuration and starts the setup.
    fn configure(&self, root: &Rc<Root>, size: usize) -> Result<()> {
        let bytes = match size {
            0 => Vec::new(),
            _ => host()
                .buffer(BufferType::PluginConfiguration, 0, size)
                .map_err(|status| Error::host("read the configuration", status))?,
        };
        let configured = Rc::new(Configured {
            config: Rc::new(read_config::<F>(&bytes)?),
            setup: Setup::default(),
        });
        if let Some(plugin) = self.plugins.borrow_mut().get_mut(root.id()) {
            plugin.configured = Some(Rc::clone(&configured));
        }
        self.runtime.spawn(
            root,
            Box::pin(set_up(Rc::clone(root), Rc::clone(&configured))),
        );
        self.runtime.drain();
        match configured.setup.outcome() {
            Some(Ok(())) => {}
            Some(Err(message)) => return Err(Error::refused(&message)),
            None => configured.setup.announce(),
        }
        for job in F::JOBS {
            let task = repeat(Rc::clone(root), Rc::clone(&configured), job);
            self.runtime.spawn(root, Box::pin(task));
        }
        Ok(())
    }

    /// Gives a stream its future.
    fn start(&self, stream: &Rc<Stream>) {
        let Some(configured) = self.configured(stream.root.id()) else {
            log_line(
                LogLevel::Error,
                &[F::NAME, ": a stream of a plugin that has no configuration"],
            );
            stream.fail(&Error::from(Deny::status(503)));
            return;
        };
        stream.start(Box::pin(exchange(Rc::clone(stream), configured)));
    }
}

/// The whole life of a filter in one exchange.
async fn exchange<F: Filter>(stream: Rc<Stream>, configured: Rc<Configured<F>>) {
    let root = Rc::clone(&stream.root);
    let ready = match configured.setup.now() {
        Some(ready) => ready,
        None => {
            stream.waits_for(Waiting::For("the plugin's setup"));
            configured.setup.ready(&root).await
        }
    };
    let result = match ready {
        Ready::Yes(state) => {
            let cx = Cx::new(
                Rc::clone(&configured.config),
                state,
                root,
                Some(Rc::clone(&stream)),
            );
            let request = Request::new(Rc::clone(&stream));
            F::run(request, Next::new(Rc::clone(&stream)), cx).await
        }
        Ready::No(message) => {
            log_line(LogLevel::Error, &[F::NAME, ": not set up: ", &message]);
            Err(Deny::status(503).because("plugin_not_ready").into())
        }
    };
    stream.finish(result);
}

/// Runs the filter's setup, again and again while it fails and the host does not mind.
async fn set_up<F: Filter>(root: Rc<Root>, configured: Rc<Configured<F>>) {
    let mut wait = FIRST_RETRY;
    loop {
        let cx = Cx::new(
            Rc::clone(&configured.config),
            Rc::new(()),
            Rc::clone(&root),
            None,
        );
        match F::setup(cx).await {
            Ok(state) => return configured.setup.done(Rc::new(state)),
            Err(error) => {
                let message = error.to_string();
                log_line(LogLevel::Error, &[F::NAME, ": setup failed: ", &message]);
                if configured.setup.failed(&message) {
                    return;
                }
            }
        }
        Sleep::new(&root, wait).await;
        wait = (wait * 2).min(LAST_RETRY);
    }
}

/// Runs a job of the filter at its interval, once the plugin is set up.
async fn repeat<F: Filter>(root: Rc<Root>, configured: Rc<Configured<F>>, job: &'static Job<F>) {
    loop {
        Sleep::new(&root, job.period).await;
        let Ready::Yes(state) = configured.setup.ready(&root).await else {
            continue;
        };
        let cx = Cx::new(Rc::clone(&configured.config), state, Rc::clone(&root), None);
        if let Err(error) = (job.run)(cx).await {
            let message = error.to_string();
            log_line(
                LogLevel::Error,
                &[F::NAME, ": ", job.name, " failed: ", &message],
            );
        }
    }
}

impl<F: Filter> Guest for Module<F> {
    fn on_context_create(&self, context: u32, parent: u32) {
        if parent == 0 {
            let plugin = Plugin {
                root: Rc::new(Root::new(context, F::NAME)),
                configured: None,
            };
            self.plugins.borrow_mut().insert(context, plugin);
        } else if let Some(root) = self.root(parent) {
            self.runtime.add_stream(Rc::new(Stream::new(context, root)));
        }
    }

    fn on_vm_start(&self, _context: u32, _configuration_size: usize) -> bool {
        true
    }

    fn on_configure(&self, context: u32, size: usize) -> bool {
        self.runtime.enter(context, || {
            let Some(root) = self.root(context) else {
                return false;
            };
            let configured = self.configure(&root, size);
            if let Err(error) = &configured {
                log_line(LogLevel::Error, &[F::NAME, ": ", &error.to_string()]);
            }
            configured.is_ok()
        })
    }

    fn on_tick(&self, context: u32) {
        self.runtime.enter(context, || {
            if let Some(root) = self.root(context) {
                root.timers.on_tick();
                self.runtime.drain();
            }
        });
    }

    fn on_queue_ready(&self, _context: u32, _queue: u32) {}

    fn on_http_call_response(
        &self,
        context: u32,
        token: u32,
        headers: usize,
        body_size: usize,
        trailers: usize,
    ) {
        self.runtime.enter(context, || {
            self.runtime
                .answers
                .on_http(token, headers, body_size, trailers);
            self.runtime.drain();
        });
    }

    fn on_grpc_initial_metadata(&self, _context: u32, _token: u32, _headers: usize) {}

    fn on_grpc_receive(&self, context: u32, token: u32, message_size: usize) {
        self.runtime.enter(context, || {
            self.runtime.answers.on_grpc_message(token, message_size);
        });
    }

    fn on_grpc_trailing_metadata(&self, _context: u32, _token: u32, _trailers: usize) {}

    fn on_grpc_close(&self, context: u32, token: u32, status: u32) {
        self.runtime.enter(context, || {
            self.runtime.answers.on_grpc_close(token, status);
            self.runtime.drain();
        });
    }

    fn on_request_headers(&self, context: u32, _headers: usize, end: bool) -> Action {
        self.stream(context, |stream| {
            stream.request.begun.set(true);
            stream.request.ended.set(end);
            stream.callback(Direction::Request, Held::Headers, |_| self.start(stream))
        })
    }

    fn on_request_body(&self, context: u32, size: usize, end: bool) -> Action {
        self.stream(context, |stream| {
            stream.on_body(Direction::Request, size, end)
        })
    }

    fn on_request_trailers(&self, context: u32, _trailers: usize) -> Action {
        self.stream(context, |stream| stream.on_trailers(Direction::Request))
    }

    fn on_response_headers(&self, context: u32, _headers: usize, end: bool) -> Action {
        self.stream(context, |stream| {
            stream.callback(Direction::Response, Held::Headers, |stream| {
                stream.on_response(end)
            })
        })
    }

    fn on_response_body(&self, context: u32, size: usize, end: bool) -> Action {
        self.stream(context, |stream| {
            stream.on_body(Direction::Response, size, end)
        })
    }

    fn on_response_trailers(&self, context: u32, _trailers: usize) -> Action {
        self.stream(context, |stream| stream.on_trailers(Direction::Response))
    }

    fn on_new_connection(&self, _context: u32) -> Action {
        Action::Continue
    }

    fn on_downstream_data(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_downstream_close(&self, _context: u32, _by: u32) {}

    fn on_upstream_data(&self, _context: u32, _size: usize, _end: bool) -> Action {
        Action::Continue
    }

    fn on_upstream_close(&self, _context: u32, _by: u32) {}

    fn on_done(&self, _context: u32) -> bool {
        true
    }

    fn on_log(&self, context: u32) {
        if let Some(stream) = self.runtime.stream(context) {
            self.runtime.enter(context, || stream.run_at_end());
        }
    }

    fn on_delete(&self, context: u32) {
        self.runtime.enter(context, || {
            if let Some(stream) = self.runtime.remove_stream(context) {
                stream.cancel();
            } else {
                self.runtime.remove_root(context);
                let plugin = self.plugins.borrow_mut().remove(context);
                drop(plugin);
            }
            self.runtime.drain();
        });
    }
}

impl<F: Filter> Module<F> {
    /// Runs a callback of a stream. Streams of an unknown context are let pass.
    fn stream(&self, context: u32, callback: impl FnOnce(&Rc<Stream>) -> Action) -> Action {
        let Some(stream) = self.runtime.stream(context) else {
            return Action::Continue;
        };
        self.runtime.enter(context, || callback(&stream))
    }
}

fn read_config<F: Filter>(bytes: &[u8]) -> Result<F::Config> {
    F::Config::from_json(bytes)
        .map_err(|error| Error::new(error.to_string()).context("the plugin's configuration"))
}

//! The plugins of a module: their configuration, setup and jobs, and callbacks that are not about a
//! stream.
//!
//! `runtime::http` and `runtime::network` have the callbacks of streams on top of it.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk_sys::{Action, BufferType, Host as _, LogLevel, host};

use crate::config::FilterConfig;
use crate::cx::Cx;
use crate::error::{Deny, Error, Result};
use crate::filter::{Definition, Job};
use crate::log::log_line;
use crate::runtime::Runtime;
use crate::runtime::ids::IdMap;
use crate::runtime::root::Root;
use crate::runtime::side::Direction;
use crate::runtime::stream::{Stream, Waiting};
use crate::runtime::timers::Sleep;
use crate::setup::{Ready, Setup};

/// Between attempts of a setup that fails, on a host that does not refuse the plugin for it.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// The plugins of a module.
pub(crate) struct Plugins<D: Definition> {
    pub(crate) runtime: Rc<Runtime>,
    /// By context. A plugin that is announced and not configured has a root only.
    plugins: RefCell<IdMap<Plugin<D>>>,
}

struct Plugin<D: Definition> {
    root: Rc<Root>,
    configured: Option<Rc<Configured<D>>>,
}

pub(crate) struct Configured<D: Definition> {
    pub(crate) config: Rc<D::Config>,
    pub(crate) setup: Setup<D::State>,
}

impl<D: Definition> Default for Plugins<D> {
    fn default() -> Self {
        Self {
            runtime: Rc::default(),
            plugins: RefCell::default(),
        }
    }
}

impl<D: Definition> Plugins<D> {
    fn root(&self, context: u32) -> Option<Rc<Root>> {
        self.plugins
            .borrow()
            .get(context)
            .map(|it| Rc::clone(&it.root))
    }

    pub(crate) fn configured(&self, root: u32) -> Option<Rc<Configured<D>>> {
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
            config: Rc::new(read_config::<D>(&bytes)?),
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
        for job in D::JOBS {
            let task = repeat(Rc::clone(root), Rc::clone(&configured), job);
            self.runtime.spawn(root, Box::pin(task));
        }
        Ok(())
    }
}

/// Runs the filter's setup, again and again while it fails and the host does not mind.
async fn set_up<D: Definition>(root: Rc<Root>, configured: Rc<Configured<D>>) {
    let mut wait = FIRST_RETRY;
    loop {
        let cx = Cx::new(
            Rc::clone(&configured.config),
            Rc::new(()),
            Rc::clone(&root),
            None,
        );
        match D::setup(cx).await {
            Ok(state) => return configured.setup.done(Rc::new(state)),
            Err(error) => {
                let message = error.text();
                log_line(LogLevel::Error, &[D::NAME, ": setup failed: ", &message]);
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
async fn repeat<D: Definition>(
    root: Rc<Root>,
    configured: Rc<Configured<D>>,
    job: &'static Job<D>,
) {
    loop {
        Sleep::new(&root, job.period).await;
        let Ready::Yes(state) = configured.setup.ready(&root).await else {
            continue;
        };
        let cx = Cx::new(Rc::clone(&configured.config), state, Rc::clone(&root), None);
        if let Err(error) = (job.run)(cx).await {
            let message = error.text();
            log_line(
                LogLevel::Error,
                &[D::NAME, ": ", job.name, " failed: ", &message],
            );
        }
    }
}

impl<D: Definition> Plugins<D> {
    /// `proxy_on_context_create`
    pub(crate) fn on_context_create(&self, context: u32, parent: u32, network: bool) {
        if parent == 0 {
            let plugin = Plugin {
                root: Rc::new(Root::new(context, D::NAME)),
                configured: None,
            };
            self.plugins.borrow_mut().insert(context, plugin);
            self.runtime.install();
        } else if let Some(root) = self.root(parent) {
            self.runtime.begin_stream(context, root, network);
        }
    }

    /// `proxy_on_configure`
    pub(crate) fn on_configure(&self, context: u32, size: usize) -> bool {
        self.runtime.enter(context, || {
            let Some(root) = self.root(context) else {
                return false;
            };
            self.runtime.remove_root(context);
            let configured = self.configure(&root, size);
            if let Err(error) = &configured {
                log_line(LogLevel::Error, &[D::NAME, ": ", &error.text()]);
            }
            configured.is_ok()
        })
    }

    /// `proxy_on_tick`
    pub(crate) fn on_tick(&self, context: u32) {
        self.runtime.enter(context, || {
            if let Some(root) = self.root(context) {
                root.timers.on_tick();
                self.runtime.drain();
            }
        });
    }

    /// Runs a callback of a stream. Streams of an unknown context are let pass.
    pub(crate) fn stream(
        &self,
        context: u32,
        callback: impl FnOnce(&Rc<Stream>) -> Action,
    ) -> Action {
        let Some(stream) = self.runtime.stream(context) else {
            return Action::Continue;
        };
        self.runtime.enter(context, || callback(&stream))
    }

    /// A part of a body, or bytes of a connection.
    pub(crate) fn on_body(
        &self,
        context: u32,
        direction: Direction,
        size: usize,
        end: bool,
    ) -> Action {
        self.stream(context, |stream| {
            if stream.passes(direction, size, end) {
                Action::Continue
            } else {
                stream.on_body(&self.runtime, direction)
            }
        })
    }

    /// Trailers.
    pub(crate) fn on_trailers(&self, context: u32, direction: Direction) -> Action {
        self.stream(context, |stream| {
            stream.on_trailers(&self.runtime, direction)
        })
    }

    /// `proxy_on_delete`
    pub(crate) fn on_delete(&self, context: u32) {
        self.runtime.enter(context, || {
            if let Some(stream) = self.runtime.remove_stream(context) {
                stream.cancel();
                stream.forget();
                self.runtime.keep_stream(stream);
            } else {
                self.runtime.remove_root(context);
                let plugin = self.plugins.borrow_mut().remove(context);
                drop(plugin);
            }
            self.runtime.drain();
        });
    }

    /// Waits until a plugin is set up and gives what streams get of it.
    ///
    /// # Errors
    /// If it has no configuration, or is not set up in time.
    pub(crate) async fn context(
        stream: &Rc<Stream>,
        configured: Option<Rc<Configured<D>>>,
    ) -> Result<Cx<D::Config, D::State>> {
        let Some(configured) = configured else {
            return Err(Error::new("a stream of a plugin that has no configuration"));
        };
        let state = match configured.setup.now() {
            Some(state) => state,
            // It happens once, to the first streams: what they wait with is not kept in all.
            None => Box::pin(Self::wait(stream, &configured)).await?,
        };
        let config = Rc::clone(&configured.config);
        let root = Rc::clone(&stream.root);
        Ok(Cx::new(config, state, root, Some(Rc::clone(stream))))
    }

    async fn wait(stream: &Rc<Stream>, configured: &Configured<D>) -> Result<Rc<D::State>> {
        stream.waits_for(Waiting::For("the plugin's setup"));
        match configured.setup.ready(&stream.root).await {
            Ready::Yes(state) => Ok(state),
            Ready::No(message) => {
                log_line(LogLevel::Error, &[D::NAME, ": not set up: ", &message]);
                Err(Deny::status(503).because("plugin_not_ready").into())
            }
        }
    }
}

fn read_config<D: Definition>(bytes: &[u8]) -> Result<D::Config> {
    D::Config::from_json(bytes)
        .map_err(|error| Error::new(error.to_string()).context("the plugin's configuration"))
}

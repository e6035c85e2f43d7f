//! What a filter has beside its request: configuration, state, backends, clocks, metrics, data.

use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use tidegate_sdk_sys::{Host as _, host};

use crate::backend::Client;
use crate::cache::{Cache, Entries};
use crate::error::{Error, Result};
use crate::futures::{Either, race};
use crate::headers::text;
use crate::metrics::{Counter, Gauge, Histogram};
use crate::runtime::Runtime;
use crate::runtime::root::{Root, named};
use crate::runtime::stream::{Stream, Waiting};
use crate::runtime::timers::Sleep;
use crate::shared::Shared;
use crate::time::Instant;

/// The context of a filter's function: `C` is its configuration, `S` what its setup made.
///
/// Cloning it is cheap; a clone can go into a future of its own.
pub struct Cx<C: 'static = (), S: 'static = ()> {
    /// The configuration.
    pub config: Rc<C>,
    /// What the setup made.
    pub state: Rc<S>,
    root: Rc<Root>,
    stream: Option<Rc<Stream>>,
}

impl<C, S> Clone for Cx<C, S> {
    fn clone(&self) -> Self {
        Self {
            config: Rc::clone(&self.config),
            state: Rc::clone(&self.state),
            root: Rc::clone(&self.root),
            stream: self.stream.clone(),
        }
    }
}

impl<C, S> std::fmt::Debug for Cx<C, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cx")
            .field("filter", &self.root.name)
            .finish_non_exhaustive()
    }
}

impl<C, S> Cx<C, S> {
    pub(crate) const fn new(
        config: Rc<C>,
        state: Rc<S>,
        root: Rc<Root>,
        stream: Option<Rc<Stream>>,
    ) -> Self {
        Self {
            config,
            state,
            root,
            stream,
        }
    }

    /// A backend to call, by its name.
    #[must_use]
    pub fn backend(&self, name: impl AsRef<str>) -> Client {
        Client::new(name.as_ref(), self.stream.clone())
    }

    /// A Redis server to run commands on, by the name of its backend. Only some hosts can: Tidegate.
    #[must_use]
    pub fn redis(&self, backend: impl AsRef<str>) -> crate::redis::Client {
        let backend = backend.as_ref();
        crate::redis::Client::new(backend, self.backend(backend))
    }

    /// Runs `task` beside the streams. It belongs to the plugin: it goes on when this stream
    /// ends, and ends when the plugin does.
    pub fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        Runtime::current().spawn(&self.root, Box::pin(task));
    }

    /// Waits. Timers are as fine as the host's ticks: a millisecond at best.
    pub async fn sleep(&self, duration: Duration) {
        if let Some(stream) = &self.stream {
            stream.waits_for(Waiting::For("a timer"));
        }
        Sleep::new(&self.root, duration).await;
    }

    /// What `future` gives, unless it takes longer than `limit`; then it is dropped.
    ///
    /// # Errors
    /// If it takes longer.
    pub async fn timeout<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Result<T> {
        match race(future, Sleep::new(&self.root, limit)).await {
            Either::First(output) => Ok(output),
            Either::Second(()) => Err(Error::new("it took longer than its timeout")),
        }
    }

    /// Now, on the clock that never goes back.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant::now()
    }

    /// How long ago 1970 began.
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        crate::time::unix_time()
    }

    /// Random bytes, fit for secrets on every host that has a good source.
    ///
    /// # Errors
    /// If the host has none.
    pub fn random<const N: usize>(&self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        host()
            .random(&mut bytes)
            .map_err(|status| Error::host("get random bytes", status))?;
        Ok(bytes)
    }

    /// A counter by name; the same name gives the same counter.
    #[must_use]
    pub fn counter(&self, name: &str) -> Counter {
        Counter::new(&self.root, name)
    }

    /// A gauge by name.
    #[must_use]
    pub fn gauge(&self, name: &str) -> Gauge {
        Gauge::new(&self.root, name)
    }

    /// A histogram by name.
    #[must_use]
    pub fn histogram(&self, name: &str) -> Histogram {
        Histogram::new(&self.root, name)
    }

    /// One key of the data that all instances of the plugin share.
    #[must_use]
    pub fn shared(&self, key: &str) -> Shared {
        Shared::new(key)
    }

    /// A cache by name, of at most `capacity` values. Its first user decides how many, and of
    /// which type; a name belongs to one type.
    ///
    /// # Errors
    /// If the name is in use for another type.
    pub fn cache<V: 'static>(&self, name: &str, capacity: usize) -> Result<Cache<V>> {
        let found = named(&self.root.caches, name);
        let entries = match found {
            Some(entries) => entries.downcast::<Entries<V>>().map_err(|_| {
                Error::new(["cache ", name, " has values of another type"].concat())
            })?,
            None => {
                let entries = Rc::new(Entries::<V>::new(capacity));
                let any = Rc::<Entries<V>>::clone(&entries);
                self.root
                    .caches
                    .borrow_mut()
                    .push((String::from(name), any));
                entries
            }
        };
        Ok(Cache::new(
            Rc::clone(&self.root),
            self.stream.clone(),
            entries,
        ))
    }

    /// A property of the stream or the host, as text: `["route_name"]`, `["source", "address"]`.
    #[must_use]
    pub fn property(&self, path: &[&str]) -> Option<String> {
        self.property_bytes(path).map(text)
    }

    /// A property as bytes: numbers are little-endian, maps are pairs.
    #[must_use]
    pub fn property_bytes(&self, path: &[&str]) -> Option<Vec<u8>> {
        self.focus();
        host().property(&joined(path)).ok().flatten()
    }

    /// Sets a property, which later filters and the host's log can read.
    ///
    /// # Errors
    /// If the host refuses it.
    pub fn set_property(&self, path: &[&str], value: impl AsRef<[u8]>) -> Result<()> {
        self.focus();
        host()
            .set_property(&joined(path), value.as_ref())
            .map_err(|status| Error::host("set a property", status))
    }

    /// Runs `hook` when the exchange is over and the host writes its log, however it ended. It
    /// runs before the stream is deleted, with properties such as `["response", "code"]`.
    pub fn at_end(&self, hook: impl FnOnce() + 'static) {
        if let Some(stream) = &self.stream {
            stream.at_end(Box::new(hook));
        }
    }

    /// Calls a function that this host has and others may not.
    ///
    /// # Errors
    /// With the host's status: `NOT_FOUND` where there is no such function.
    pub fn foreign(&self, name: &str, argument: &[u8]) -> Result<Vec<u8>> {
        self.focus();
        host()
            .call_foreign_function(name.as_bytes(), argument)
            .map_err(|status| Error::host("call a foreign function", status))
    }

    pub(crate) fn focus(&self) {
        if let Some(stream) = &self.stream {
            stream.focus();
        }
    }
}

/// A path as hosts want it: a zero byte between its parts.
fn joined(path: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(path.iter().map(|part| part.len() + 1).sum());
    for (index, part) in path.iter().enumerate() {
        if index > 0 {
            bytes.push(0);
        }
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

pub(crate) fn property_text(path: &[u8]) -> Option<String> {
    host().property(path).ok().flatten().map(text)
}

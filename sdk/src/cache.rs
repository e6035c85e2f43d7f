//! Values that many streams use and one fetches.
//!
//! A cache lives in the plugin's instance: each worker of the host has its own. What is fetched
//! belongs to the plugin: a stream that asked first and ended does not stop it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::runtime::Runtime;
use crate::runtime::root::Root;
use crate::runtime::stream::{Stream, Waiting};
use crate::runtime::timers::monotonic;

/// A cache of values of one type, by text keys.
pub struct Cache<V: 'static> {
    root: Rc<Root>,
    stream: Option<Rc<Stream>>,
    entries: Rc<Entries<V>>,
}

impl<V> std::fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

/// The entries of a cache.
pub(crate) struct Entries<V> {
    capacity: usize,
    by_key: RefCell<BTreeMap<String, Entry<V>>>,
}

enum Entry<V> {
    /// Somebody fetches it; these wait.
    Fetching(Rc<Fetch<V>>),
    There {
        value: Rc<V>,
        until: u64,
    },
}

struct Fetch<V> {
    outcome: RefCell<Option<Result<Rc<V>>>>,
    waits: RefCell<Vec<Waker>>,
}

impl<V> Entries<V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            by_key: RefCell::default(),
        }
    }

    /// Makes room for one more: what is over goes first, then what ends first.
    fn make_room(&self, now: u64) {
        let mut by_key = self.by_key.borrow_mut();
        if by_key.len() < self.capacity {
            return;
        }
        by_key.retain(|_, entry| match entry {
            Entry::There { until, .. } => *until > now,
            Entry::Fetching(_) => true,
        });
        if by_key.len() < self.capacity {
            return;
        }
        let ends = |entry: &Entry<V>| match entry {
            Entry::There { until, .. } => *until,
            Entry::Fetching(_) => u64::MAX,
        };
        let first = by_key.iter().min_by_key(|(_, entry)| ends(entry));
        if let Some(key) = first.map(|(key, _)| key.clone()) {
            by_key.remove(&key);
        }
    }

    fn put(&self, key: &str, value: Rc<V>, ttl: Duration) {
        let now = monotonic();
        let mut by_key = self.by_key.borrow_mut();
        by_key.remove(key);
        drop(by_key);
        self.make_room(now);
        let ttl = u64::try_from(ttl.as_nanos()).unwrap_or(u64::MAX);
        let until = now.saturating_add(ttl);
        let entry = Entry::There { value, until };
        self.by_key.borrow_mut().insert(String::from(key), entry);
    }

    fn get(&self, key: &str) -> Option<Rc<V>> {
        match self.by_key.borrow().get(key) {
            Some(Entry::There { value, until }) if *until > monotonic() => Some(Rc::clone(value)),
            Some(Entry::There { .. } | Entry::Fetching(_)) | None => None,
        }
    }
}

impl<V: 'static> Cache<V> {
    pub(crate) const fn new(
        root: Rc<Root>,
        stream: Option<Rc<Stream>>,
        entries: Rc<Entries<V>>,
    ) -> Self {
        Self {
            root,
            stream,
            entries,
        }
    }

    /// The value, if it is there and not too old.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Rc<V>> {
        self.entries.get(key)
    }

    /// Keeps a value for `ttl`. Where there is no room, what ends first goes.
    pub fn put(&self, key: &str, value: V, ttl: Duration) {
        self.entries.put(key, Rc::new(value), ttl);
    }

    /// Forgets a value, and what a fetch that is under way will give: only those who wait get it.
    pub fn remove(&self, key: &str) {
        let removed = self.entries.by_key.borrow_mut().remove(key);
        drop(removed);
    }

    /// The value; if it is not there, what `fetch` gives, which is kept for the time that it
    /// says. Whoever asks meanwhile waits for the same fetch. A failure is not kept: all who
    /// wait get it, the next one tries again.
    ///
    /// # Errors
    /// What `fetch` gives.
    pub async fn get_or_fetch<Fut>(&self, key: &str, fetch: impl FnOnce() -> Fut) -> Result<Rc<V>>
    where
        Fut: Future<Output = Result<(V, Duration)>> + 'static,
    {
        if let Some(value) = self.entries.get(key) {
            return Ok(value);
        }
        let running = match self.entries.by_key.borrow().get(key) {
            Some(Entry::Fetching(fetch)) => Some(Rc::clone(fetch)),
            Some(Entry::There { .. }) | None => None,
        };
        let running = running.unwrap_or_else(|| self.begin(key, fetch()));
        if let Some(stream) = &self.stream {
            stream.waits_for(Waiting::For("a value that is being fetched"));
        }
        poll_fn(|cx| {
            if let Some(outcome) = &*running.outcome.borrow() {
                return Poll::Ready(outcome.clone());
            }
            running.waits.borrow_mut().push(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn begin(
        &self,
        key: &str,
        fetch: impl Future<Output = Result<(V, Duration)>> + 'static,
    ) -> Rc<Fetch<V>> {
        let running = Rc::new(Fetch {
            outcome: RefCell::new(None),
            waits: RefCell::default(),
        });
        self.entries.make_room(monotonic());
        let entry = Entry::Fetching(Rc::clone(&running));
        self.entries
            .by_key
            .borrow_mut()
            .insert(String::from(key), entry);
        let guard = Ends {
            entries: Rc::clone(&self.entries),
            fetch: Rc::clone(&running),
            key: String::from(key),
        };
        let task = async move {
            let outcome = fetch.await;
            guard.end(outcome);
        };
        Runtime::current().spawn(&self.root, Box::pin(task));
        running
    }
}

/// Ends a fetch, also one that is dropped: nobody waits for ever.
struct Ends<V> {
    entries: Rc<Entries<V>>,
    fetch: Rc<Fetch<V>>,
    key: String,
}

impl<V> Ends<V> {
    fn end(self, outcome: Result<(V, Duration)>) {
        let outcome = outcome.map(|(value, ttl)| {
            let value = Rc::new(value);
            let is_ours = match self.entries.by_key.borrow().get(&self.key) {
                Some(Entry::Fetching(fetch)) => Rc::ptr_eq(fetch, &self.fetch),
                Some(Entry::There { .. }) | None => false,
            };
            if is_ours {
                self.entries.put(&self.key, Rc::clone(&value), ttl);
            }
            value
        });
        *self.fetch.outcome.borrow_mut() = Some(outcome);
    }
}

impl<V> Drop for Ends<V> {
    fn drop(&mut self) {
        let mut by_key = self.entries.by_key.borrow_mut();
        if let Some(Entry::Fetching(fetch)) = by_key.get(&self.key)
            && Rc::ptr_eq(fetch, &self.fetch)
        {
            by_key.remove(&self.key);
        }
        drop(by_key);
        self.fetch
            .outcome
            .borrow_mut()
            .get_or_insert_with(|| Err(Error::new("a fetch that was given up")));
        for waker in self.fetch.waits.take() {
            waker.wake();
        }
    }
}

//! Data, queues and rates that the instances of all workers share.
//!
//! Owns the store of the process, split into spaces that see nothing of each other. It posts no
//! events: a queue knows its owner, and the embedder tells it.
//!
//! Invariant: each space is bounded. Data that was not used for longest and items that wait longest
//! make room.

mod data;
mod queue;
pub(crate) mod rates;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bytes::Bytes;

pub use data::CasMismatch;
use data::Data;
pub(crate) use queue::{QueueError, QueueOwner, Queues};
use rates::RateTable;

/// Bytes of data in one space, keys and values with a fixed cost for each.
const SPACE_BYTES: usize = 16 << 20;

/// What an entry costs beside its bytes.
const ENTRY_COST: usize = 64;

/// The shared data and queues of a process.
#[derive(Debug)]
pub struct SharedStore {
    spaces: RwLock<HashMap<Arc<str>, Arc<Mutex<Data>>>>,
    queues: Mutex<Queues>,
    rates: Mutex<HashMap<Arc<str>, Arc<RateTable>>>,
    next_cas: AtomicU32,
    space_bytes: usize,
}

impl Default for SharedStore {
    fn default() -> Self {
        Self::with_limit(SPACE_BYTES)
    }
}

impl SharedStore {
    /// A store whose spaces hold at most `space_bytes` of data and of queued items each.
    #[must_use]
    pub fn with_limit(space_bytes: usize) -> Self {
        Self {
            spaces: RwLock::default(),
            queues: Mutex::new(Queues::new(space_bytes)),
            rates: Mutex::default(),
            next_cas: AtomicU32::new(1),
            space_bytes,
        }
    }

    /// The value under `key` and its version.
    #[must_use]
    pub fn get(&self, space: &str, key: &[u8]) -> Option<(Bytes, u32)> {
        let data = {
            let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(spaces.get(space)?)
        };
        lock(&data).get(key)
    }

    /// Stores a value. With a version other than 0 it must be that of the present value, if there
    /// is one.
    ///
    /// A value that is larger than a whole space is not kept.
    ///
    /// # Errors
    /// [`CasMismatch`] if somebody else changed the value first.
    pub fn set(
        &self,
        space: &Arc<str>,
        key: &[u8],
        value: &[u8],
        version: u32,
    ) -> Result<(), CasMismatch> {
        let data = self.space(space);
        lock(&data).set(key, value, version, || self.new_version())
    }

    /// The rates of a space. Whoever asks often keeps them.
    pub(crate) fn rates(&self, space: &Arc<str>) -> Arc<RateTable> {
        Arc::clone(lock(&self.rates).entry(Arc::clone(space)).or_default())
    }

    /// How many keys of each space that has some have used up something of their rates
    /// (`tidegate.limit`), at this time in nanoseconds of the clock that never goes back. It looks at all of
    /// them.
    #[must_use]
    pub fn used_rates(&self, now: u64) -> BTreeMap<Arc<str>, usize> {
        let rates = lock(&self.rates).clone();
        let used = rates.into_iter();
        used.map(|(space, rates)| (space, rates.used(now)))
            .collect()
    }

    /// Drops the data, the queued items and the rates of a space that no plugin uses any more.
    pub fn remove_space(&self, space: &str) {
        lock(&self.rates).remove(space);
        self.queues().clear_space(space);
        self.spaces
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(space);
    }

    /// Takes one signal of a new item in a queue: whether its owner is to be told of one (once more).
    /// See [`crate::QueueEvent`].
    #[must_use]
    pub fn take_queue_signal(&self, queue: u32) -> bool {
        self.queues().take_signal(queue)
    }

    pub(crate) fn queues(&self) -> MutexGuard<'_, Queues> {
        lock(&self.queues)
    }

    fn space(&self, name: &Arc<str>) -> Arc<Mutex<Data>> {
        {
            let spaces = self.spaces.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(data) = spaces.get(name) {
                return Arc::clone(data);
            }
        }
        let mut spaces = self.spaces.write().unwrap_or_else(PoisonError::into_inner);
        let data = spaces
            .entry(Arc::clone(name))
            .or_insert_with(|| Arc::new(Mutex::new(Data::new(self.space_bytes))));
        Arc::clone(data)
    }

    /// Versions are never 0, which means "any" to a guest.
    fn new_version(&self) -> u32 {
        loop {
            let version = self.next_cas.fetch_add(1, Ordering::Relaxed);
            if version != 0 {
                return version;
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

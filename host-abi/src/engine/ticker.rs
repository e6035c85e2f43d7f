//! The thread that advances the engine's epoch, which is what deadlines are made of.
//!
//! Owns the thread and when it sleeps. It ends no guest: a store's epoch callback does, by its
//! budget.
//!
//! Invariant: an entry marks the ticker as needed after it has set its deadline, and a running guest
//! marks it again at each tick. A thread may lose its processor between a mark and the deadline for
//! longer than the quiet window; so a ticker that is parked still ticks, every [`IDLE_TICK`], and no
//! guest is ever without a deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

/// The length of a tick: the precision of deadlines.
const TICK: Duration = Duration::from_millis(2);

/// The length of a tick while nobody seems to run.
const IDLE_TICK: Duration = Duration::from_secs(1);

/// After this many ticks without an entry the thread parks (100 ms).
const WINDOW: u32 = 50;

/// Starts, wakes and ends the ticking thread.
#[derive(Debug)]
pub(crate) struct Ticker {
    needed: Needed,
    thread: Option<JoinHandle<()>>,
}

/// The handle by which guests keep the ticker awake.
#[derive(Debug, Clone)]
pub(crate) struct Needed {
    flags: Arc<Flags>,
    thread: Thread,
}

#[derive(Debug, Default)]
struct Flags {
    needed: AtomicBool,
    parked: AtomicBool,
    ended: AtomicBool,
}

impl Ticker {
    pub(crate) fn start(engine: wasmtime::Engine) -> std::io::Result<Self> {
        let flags = Arc::new(Flags::default());
        let thread = thread::Builder::new()
            .name("wasm-ticker".to_owned())
            .spawn({
                let flags = Arc::clone(&flags);
                move || run(&flags, &engine)
            })?;
        let needed = Needed {
            flags,
            thread: thread.thread().clone(),
        };
        Ok(Self {
            needed,
            thread: Some(thread),
        })
    }

    pub(crate) fn needed(&self) -> &Needed {
        &self.needed
    }

    /// Whether the thread sleeps until the next entry.
    pub(crate) fn is_parked(&self) -> bool {
        self.needed.flags.parked.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.needed.flags.ended.store(true, Ordering::SeqCst);
        self.needed.thread.unpark();
        if let Some(thread) = self.thread.take() {
            // It only fails if the thread panicked, and then it has ended as well.
            drop(thread.join());
        }
    }
}

impl Needed {
    /// Says that a guest runs. Mostly one relaxed load.
    pub(crate) fn mark(&self) {
        if !self.flags.needed.load(Ordering::Relaxed) {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        self.flags.needed.store(true, Ordering::SeqCst);
        if self.flags.parked.load(Ordering::SeqCst) {
            self.thread.unpark();
        }
    }
}

fn run(flags: &Flags, engine: &wasmtime::Engine) {
    while !flags.ended.load(Ordering::SeqCst) {
        for _ in 0..WINDOW {
            thread::park_timeout(TICK);
            engine.increment_epoch();
            if flags.ended.load(Ordering::SeqCst) {
                return;
            }
        }
        if !flags.needed.swap(false, Ordering::SeqCst) {
            park(flags, engine);
        }
    }
}

fn park(flags: &Flags, engine: &wasmtime::Engine) {
    flags.parked.store(true, Ordering::SeqCst);
    // Read after `parked` is visible: an entry either sees `parked` and wakes us, or is seen here.
    while !flags.needed.load(Ordering::SeqCst) && !flags.ended.load(Ordering::SeqCst) {
        thread::park_timeout(IDLE_TICK);
        engine.increment_epoch();
    }
    flags.parked.store(false, Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Waits for a condition without sleeping blindly, up to ten seconds.
    fn eventually(condition: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(10) {
            if condition() {
                return true;
            }
            thread::park_timeout(Duration::from_millis(1));
        }
        false
    }

    #[test]
    fn a_quiet_ticker_parks_and_an_entry_wakes_it() {
        let ticker = Ticker::start(wasmtime::Engine::default()).unwrap();
        assert!(eventually(|| ticker.is_parked()), "nobody needs it");
        ticker.needed().mark();
        assert!(eventually(|| !ticker.is_parked()), "somebody needs it");
        assert!(
            eventually(|| ticker.is_parked()),
            "nobody needs it any more"
        );
    }

    #[test]
    fn a_guest_whose_mark_was_lost_ends_all_the_same() {
        let engine =
            wasmtime::Engine::new(wasmtime::Config::new().epoch_interruption(true)).unwrap();
        let ticker = Ticker::start(engine.clone()).unwrap();
        let code = wat::parse_str(r#"(module (func (export "loop") (loop br 0)))"#).unwrap();
        let module = wasmtime::Module::new(&engine, code).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let endless = instance
            .get_typed_func::<(), ()>(&mut store, "loop")
            .unwrap();
        assert!(eventually(|| ticker.is_parked()), "nobody needs it");
        store.set_epoch_deadline(1);
        assert!(
            endless.call(&mut store, ()).is_err(),
            "nobody has marked it"
        );
    }

    #[test]
    fn a_dropped_ticker_has_ended_its_thread() {
        let ticker = Ticker::start(wasmtime::Engine::default()).unwrap();
        let flags = Arc::downgrade(&ticker.needed.flags);
        drop(ticker);
        assert!(flags.upgrade().is_none());
    }
}

//! What a gateway has that runs a filter's tests, and no other: time that can be moved on, attributes
//! that a test sets, and a listener for guests' lines.
//!
//! Time moves from one due moment to the next, so that what happens at intervals happens as often as
//! it would.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::GuestLog;
use tidegate_host_abi::LogLevel;
use tokio::sync::Notify;

/// Due moments that one move stops at.
const MOST_STOPS: usize = 10_000;
/// What is due gets this much real time before time moves on.
const STOP: Duration = Duration::from_millis(5);

/// Takes a guest's line.
pub type Lines = Box<dyn Fn(&GuestLog<'_>) + Send + Sync>;

/// The surroundings of a filter under test.
pub struct Simulation {
    started: Instant,
    /// Nanoseconds by which time here is ahead.
    ahead: AtomicU64,
    moved: Notify,
    /// Moments that somebody sleeps until, and how many do.
    due: Mutex<BTreeMap<u64, usize>>,
    properties: RwLock<HashMap<Vec<u8>, Vec<u8>>>,
    /// What all plugins find in their shared data.
    shared: Vec<(Vec<u8>, Vec<u8>)>,
    log_level: LogLevel,
    lines: Lines,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulation")
            .field("ahead", &self.ahead)
            .finish_non_exhaustive()
    }
}

impl Simulation {
    /// One whose guests' lines of at least `log_level` go to `lines`, and whose plugins find the
    /// keys and values `shared` in their shared data.
    #[must_use]
    pub fn new(log_level: LogLevel, shared: Vec<(Vec<u8>, Vec<u8>)>, lines: Lines) -> Self {
        Self {
            started: Instant::now(),
            ahead: AtomicU64::new(0),
            moved: Notify::new(),
            due: Mutex::default(),
            properties: RwLock::default(),
            shared,
            log_level,
            lines,
        }
    }

    /// Sets an attribute of all exchanges; parts of `path` are separated by zero bytes.
    pub fn set_property(&self, path: Vec<u8>, value: Vec<u8>) {
        let properties = self.properties.write();
        let mut properties = properties.unwrap_or_else(PoisonError::into_inner);
        properties.insert(path, value);
    }

    /// Moves time on, and stops at each moment that somebody waits for. Blocks the thread for some
    /// milliseconds a stop.
    pub fn advance(&self, by: Duration) {
        let until = self.now().saturating_add(nanos(by));
        for _ in 0..MOST_STOPS {
            let next = self.due().keys().next().copied();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.move_to(next);
            // Whoever slept is woken on a worker, acts, and may sleep again.
            std::thread::park_timeout(STOP);
        }
        self.move_to(until);
        std::thread::park_timeout(STOP);
    }

    fn move_to(&self, moment: u64) {
        let left = moment.saturating_sub(self.now());
        self.ahead.fetch_add(left, Ordering::Relaxed);
        self.moved.notify_waiters();
    }

    /// By how much time here is ahead.
    pub(crate) fn ahead(&self) -> Duration {
        Duration::from_nanos(self.ahead.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        nanos(self.started.elapsed() + self.ahead())
    }

    fn due(&self) -> MutexGuard<'_, BTreeMap<u64, usize>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn property(&self, path: &[u8]) -> Option<Vec<u8>> {
        let properties = self.properties.read();
        let properties = properties.unwrap_or_else(PoisonError::into_inner);
        properties.get(path).cloned()
    }

    pub(crate) fn shared(&self) -> &[(Vec<u8>, Vec<u8>)] {
        &self.shared
    }

    pub(crate) fn log_level(&self) -> LogLevel {
        self.log_level
    }

    pub(crate) fn log(&self, line: &GuestLog<'_>) {
        if line.level >= self.log_level {
            (self.lines)(line);
        }
    }

    /// Sleeps in this time.
    async fn sleep(&self, period: Duration) {
        let due = Due::new(self, self.now().saturating_add(nanos(period)));
        loop {
            let moved = self.moved.notified();
            let left = due.moment.saturating_sub(self.now());
            if left == 0 {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_nanos(left)) => {}
                () = moved => {}
            }
        }
    }
}

/// A moment that somebody sleeps until.
struct Due<'a> {
    simulation: &'a Simulation,
    moment: u64,
}

impl<'a> Due<'a> {
    fn new(simulation: &'a Simulation, moment: u64) -> Self {
        *simulation.due().entry(moment).or_default() += 1;
        Self { simulation, moment }
    }
}

impl Drop for Due<'_> {
    fn drop(&mut self) {
        let mut due = self.simulation.due();
        if let Some(sleepers) = due.get_mut(&self.moment) {
            *sleepers -= 1;
            if *sleepers == 0 {
                due.remove(&self.moment);
            }
        }
    }
}

/// Sleeps: in the time of a simulation, if there is one.
pub(crate) async fn sleep(simulation: Option<&Simulation>, period: Duration) {
    match simulation {
        None => tokio::time::sleep(period).await,
        Some(simulation) => simulation.sleep(period).await,
    }
}

/// The output of `future`, or `None` if it takes longer than `limit`.
pub(crate) async fn timeout<F: Future>(
    simulation: Option<&Simulation>,
    limit: Duration,
    future: F,
) -> Option<F::Output> {
    match simulation {
        None => tokio::time::timeout(limit, future).await.ok(),
        Some(simulation) => {
            tokio::select! {
                biased;
                output = future => Some(output),
                () = simulation.sleep(limit) => None,
            }
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use tidegate_host_abi::LogLevel;

    use super::Simulation;
    use super::sleep;
    use super::timeout;

    #[test]
    fn what_happens_at_intervals_happens_as_often_as_it_would() {
        let simulation = Arc::new(Simulation::new(
            LogLevel::Info,
            Vec::new(),
            Box::new(|_| {}),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime starts");
        let (mover, begun) = (Arc::clone(&simulation), std::sync::mpsc::channel());
        let moving = std::thread::spawn(move || {
            begun.1.recv().expect("it begins");
            mover.advance(Duration::from_secs(95));
        });
        let mut times = 0;
        runtime.block_on(async {
            let all = async {
                loop {
                    let next = sleep(Some(&simulation), Duration::from_secs(30));
                    let mut next = std::pin::pin!(next);
                    // Asleep before time moves.
                    std::future::poll_fn(|cx| {
                        let _asleep = next.as_mut().poll(cx);
                        std::task::Poll::Ready(())
                    })
                    .await;
                    begun.0.send(()).ok();
                    next.await;
                    times += 1;
                }
            };
            let limit = Duration::from_secs(94);
            assert_eq!(
                timeout::<_>(Some(&simulation), limit, all).await,
                None::<()>
            );
        });
        moving.join().expect("it ends");
        assert_eq!(times, 3);
        assert!(simulation.ahead() >= Duration::from_secs(90));
    }
}

//! The harness: one plugin with its configuration, its backends, and what a test does with them.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tidegate_sdk::{Filter, NetworkFilter};
use tidegate_sdk_sys::LogLevel;

use crate::answer::{Answer, End};
use crate::app::App;
use crate::backends::Backends;
use crate::builder::Builder;
use crate::driver::{Driver, Waited};
use crate::exchange::Exchange;
use crate::fail;
use crate::observed::{LogLine, Seen};
use crate::redis::RedisCommand;
use crate::reply::Received;
use crate::request::Request;
use crate::split::Split;
use crate::wire::Wire;

/// A running plugin.
///
/// When it is dropped, the plugin is stopped, and the test fails if a stream or a task of it is
/// left.
pub struct Harness {
    pub(crate) core: Rc<RefCell<Core>>,
    seen: Seen,
}

/// What a harness and its exchanges share.
pub(crate) struct Core {
    pub(crate) driver: Box<dyn Driver>,
    pub(crate) seen: Seen,
    backends: Backends,
    /// The filter is about connections.
    network: bool,
    last: u32,
}

impl std::fmt::Debug for Harness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Harness").finish_non_exhaustive()
    }
}

impl Harness {
    /// A harness for a filter: the name of its function.
    #[expect(
        clippy::new_ret_no_self,
        reason = "the harness is what `start` gives, at the end of one expression"
    )]
    pub fn new<F: Filter>(filter: F) -> Builder {
        let _name_only = filter;
        Builder::of::<F>()
    }

    /// A harness for a network filter: the name of its function. [`connect`](Self::connect) begins a
    /// connection.
    pub fn network<F: NetworkFilter>(filter: F) -> Builder {
        let _name_only = filter;
        Builder::of_network::<F>()
    }

    pub(crate) fn running(
        driver: Box<dyn Driver>,
        seen: Seen,
        backends: Backends,
        network: bool,
    ) -> Self {
        let core = Core {
            driver,
            seen: seen.clone(),
            backends,
            network,
            last: 0,
        };
        Self {
            core: Rc::new(RefCell::new(core)),
            seen,
        }
    }

    /// Sends a request and waits for the end of its answer. Virtual time goes on as far as that
    /// takes.
    ///
    /// # Panics
    /// If there will never be one.
    #[track_caller]
    pub fn send(&mut self, request: Request) -> Answer {
        if request.open {
            fail("a request that streams has no end that `send` could wait for: use `begin`");
        }
        self.begin(request).finish()
    }

    /// Sends a request, and time stands still.
    #[track_caller]
    pub fn begin(&mut self, request: Request) -> Exchange {
        let number = {
            let mut core = self.core.borrow_mut();
            if core.network {
                fail("a network filter gets connections, not requests: use `connect`");
            }
            core.last += 1;
            let number = core.last;
            let chunks = core.backends.cut(&request.body);
            core.seen.with(|seen| {
                seen.answer(number);
            });
            core.driver.begin(number, &request, chunks);
            if !request.open {
                let trailers = &request.trailers;
                if !request.ends_with_headers() {
                    core.driver.end(number, trailers);
                }
            }
            core.driver.settle();
            number
        };
        Exchange::new(Rc::clone(&self.core), number)
    }

    /// Connects to a network filter, and time stands still.
    #[track_caller]
    pub fn connect(&mut self) -> Wire {
        let number = {
            let mut core = self.core.borrow_mut();
            if !core.network {
                fail("this filter gets requests, not connections: use `send`");
            }
            core.last += 1;
            let number = core.last;
            core.seen.with(|seen| {
                seen.answer(number);
            });
            core.driver.connect(number);
            core.driver.settle();
            number
        };
        Wire::new(Rc::clone(&self.core), number)
    }

    /// What the server behind a network filter got, by connection in order.
    #[must_use]
    pub fn connections(&self) -> Vec<Vec<u8>> {
        self.seen.with(|seen| seen.connections.clone())
    }

    /// Lets time go on: timers of the plugin fire, slow backends answer, calls time out.
    ///
    /// # Panics
    /// In mode `envoy`, where time is real, for more than 2 s.
    #[track_caller]
    pub fn advance(&mut self, time: Duration) {
        self.drive(|driver| driver.advance(time));
    }

    /// How long ago 1970 began, on the clock of the filter: virtual in mode `native`, and where
    /// [`advance`](Self::advance) moves it.
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        self.core.borrow_mut().driver.unix_time()
    }

    /// Waits until `holds` says yes. In mode `native` nothing is ever on its way, so that it must
    /// do so at once; in the others, within 20 s.
    ///
    /// # Panics
    /// If it does not: with `what` was waited for.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> bool) {
        const STEP: Duration = Duration::from_millis(5);
        const PATIENCE: Duration = Duration::from_secs(20);
        self.core.borrow_mut().driver.settle();
        if holds(self) {
            return;
        }
        if crate::mode() != crate::Mode::Native {
            let began = Instant::now();
            while began.elapsed() < PATIENCE {
                self.seen.wait(STEP);
                if holds(self) {
                    return;
                }
            }
        }
        fail(&format!("waited in vain for {what}\n{}", self.story()));
    }

    /// The requests that a backend got, in order.
    #[must_use]
    pub fn calls(&self, backend: &str) -> Vec<Received> {
        self.seen
            .with(|seen| seen.calls.get(backend).cloned().unwrap_or_default())
    }

    /// The commands that a Redis server got, in order.
    #[must_use]
    pub fn commands(&self, redis: &str) -> Vec<RedisCommand> {
        self.seen
            .with(|seen| seen.commands.get(redis).cloned().unwrap_or_default())
    }

    /// The application behind the filter.
    #[must_use]
    pub const fn app(&self) -> App<'_> {
        App::of(&self.seen)
    }

    /// The value of a counter or a gauge, or how many values a histogram got; 0 if the filter has
    /// no metric of that name.
    #[must_use]
    #[track_caller]
    pub fn metric(&self, name: &str) -> u64 {
        self.drive(|driver| driver.metric(name)).unwrap_or(0)
    }

    /// The value of a key of the shared data.
    #[must_use]
    #[track_caller]
    pub fn shared(&self, key: &str) -> Option<Vec<u8>> {
        self.drive(|driver| driver.shared(key))
    }

    /// What the filter wrote to the log.
    #[must_use]
    pub fn logs(&self) -> Vec<LogLine> {
        self.seen.with(|seen| seen.logs.clone())
    }

    /// Whether the filter wrote a line with this text in it.
    #[must_use]
    pub fn logged(&self, text: &str) -> bool {
        self.seen
            .with(|seen| seen.logs.iter().any(|line| line.text.contains(text)))
    }

    /// The lines of at least this level.
    #[must_use]
    pub fn logs_from(&self, level: LogLevel) -> Vec<LogLine> {
        let lines = self.logs().into_iter();
        lines
            .filter(|line| line.level as u32 >= level as u32)
            .collect()
    }

    /// Sets a property of the exchanges that follow.
    ///
    /// # Panics
    /// In mode `envoy`, unless [`Builder::property`](crate::Builder::property) has set it before.
    #[track_caller]
    pub fn property<'a>(
        &mut self,
        path: impl IntoIterator<Item = &'a str>,
        value: impl AsRef<[u8]>,
    ) {
        let path: Vec<&str> = path.into_iter().collect();
        self.drive(|driver| driver.set_property(&path, value.as_ref()));
    }

    /// Cuts bodies of requests and answers at places that follow from `seed`, from now on.
    pub fn split_bodies(&mut self, seed: u64) {
        self.core.borrow().backends.set_split(Split::Seed(seed));
    }

    #[track_caller]
    fn drive<T>(&self, ask: impl FnOnce(&mut dyn Driver) -> Result<T, String>) -> T {
        let answer = ask(&mut *self.core.borrow_mut().driver);
        match answer {
            Ok(value) => value,
            Err(why) => fail(&why),
        }
    }

    /// What happened, for messages.
    fn story(&self) -> String {
        story(&self.seen)
    }
}

impl Core {
    /// Bytes in parts, as the harness cuts them.
    pub(crate) fn cut(&self, bytes: &[Vec<u8>]) -> Vec<Vec<u8>> {
        self.backends.cut(bytes)
    }

    /// Waits until `done` says yes.
    ///
    /// # Errors
    /// If nothing will happen any more.
    pub(crate) fn wait_until(
        &mut self,
        mut done: impl FnMut(&mut crate::observed::Observed) -> bool,
    ) -> Result<(), String> {
        loop {
            let (is_done, broken) = self.seen.with(|seen| (done(seen), seen.broken.clone()));
            if is_done {
                return Ok(());
            }
            if let Some(why) = broken {
                return Err(why);
            }
            if let Waited::InVain(why) = self.driver.wait() {
                return Err(format!("{why}\n{}", story(&self.seen)));
            }
        }
    }

    /// What has come of an exchange or a connection so far.
    pub(crate) fn answer(&mut self, number: u32) -> Answer {
        self.driver.settle();
        self.seen.with(|seen| seen.answer(number).clone())
    }

    /// What has come of an exchange or a connection once `holds` is true of it.
    ///
    /// # Errors
    /// If it never will be, or it ended otherwise than it should.
    pub(crate) fn answer_when(
        &mut self,
        number: u32,
        what: &str,
        holds: impl Fn(&Answer) -> bool,
    ) -> Result<Answer, String> {
        self.wait_until(|seen| holds(seen.answer(number)))
            .map_err(|why| format!("waited in vain for {what}: {why}"))?;
        let answer = self.seen.with(|seen| seen.answer(number).clone());
        if answer.end != End::Pending {
            self.driver.ended(number)?;
        }
        Ok(answer)
    }

    /// The client of an exchange or a connection goes away.
    pub(crate) fn leave(&mut self, number: u32) {
        self.driver.disconnect(number);
        self.driver.settle();
    }
}

fn story(seen: &Seen) -> String {
    let lines = seen.with(|seen| seen.logs.clone());
    if lines.is_empty() {
        return "the filter wrote no log".to_owned();
    }
    let lines = lines.iter().map(|line| format!("\n  {line}"));
    format!("the filter's log:{}", lines.collect::<String>())
}

impl Drop for Harness {
    fn drop(&mut self) {
        let stopped = match self.core.try_borrow_mut() {
            Ok(mut core) => core.driver.stop(),
            Err(_) => return,
        };
        if std::thread::panicking() {
            return;
        }
        if let Err(left) = stopped {
            fail(&format!("{left}\n{}", self.story()));
        }
    }
}

//! What a test can look at: answers, calls, log lines. Drivers write it, from threads or not.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tidegate_sdk_sys::LogLevel;

use crate::answer::Answer;
use crate::redis::RedisCommand;
use crate::reply::Received;

/// A line that the filter wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How important it is.
    pub level: LogLevel,
    /// What it says.
    pub text: String,
}

impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.level, self.text)
    }
}

/// Everything that was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Observed {
    pub(crate) answers: BTreeMap<u32, Answer>,
    pub(crate) app: Vec<Received>,
    pub(crate) calls: BTreeMap<String, Vec<Received>>,
    pub(crate) commands: BTreeMap<String, Vec<RedisCommand>>,
    /// What the server behind a network filter got, by connection.
    pub(crate) connections: Vec<Vec<u8>>,
    pub(crate) logs: Vec<LogLine>,
    /// Why the test cannot go on, said by a thread of ours.
    pub(crate) broken: Option<String>,
}

impl Observed {
    pub(crate) fn answer(&mut self, exchange: u32) -> &mut Answer {
        self.answers.entry(exchange).or_default()
    }
}

/// The same, to share.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<(Mutex<Observed>, Condvar)>);

impl Seen {
    /// Looks at it, or changes it; whoever waits for a change is woken.
    pub(crate) fn with<T>(&self, look: impl FnOnce(&mut Observed) -> T) -> T {
        let output = look(&mut self.lock());
        self.0.1.notify_all();
        output
    }

    /// Waits for somebody to change something, for at most `limit`.
    pub(crate) fn wait(&self, limit: Duration) {
        let guard = self.lock();
        drop(self.0.1.wait_timeout(guard, limit));
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

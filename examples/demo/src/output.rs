//! What a gateway prints: kept, and shown from the moment somebody wants to see it.
//!
//! Keeps the last lines of each stream, so that a failed start can be explained and `--check` can
//! look for a line of the access log. Nothing is shown before the page is printed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::Notify;

/// How many lines are kept: more than the filter logs while the configuration is edited.
const KEPT: usize = 20_000;

/// Where lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The access log: on our standard output.
    Out,
    /// The gateway's own log: on our standard error.
    Err,
}

/// The lines of one stream.
#[derive(Debug)]
pub(crate) struct Output {
    at: Shown,
    show: AtomicBool,
    lines: Mutex<VecDeque<String>>,
    more: Notify,
}

impl Output {
    pub(crate) fn new(at: Shown) -> Arc<Self> {
        let show = AtomicBool::new(false);
        Arc::new(Self {
            at,
            show,
            lines: Mutex::default(),
            more: Notify::new(),
        })
    }

    /// Shows every line from now on.
    pub(crate) fn show(&self) {
        self.show.store(true, Ordering::Relaxed);
    }

    /// The lines kept so far.
    pub(crate) fn kept(&self) -> Vec<String> {
        self.lines().iter().cloned().collect()
    }

    /// Takes lines until the stream ends.
    pub(crate) async fn read(self: Arc<Self>, stream: impl AsyncRead + Unpin) {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream
            .read_until(b'\n', &mut line)
            .await
            .is_ok_and(|read| read > 0)
        {
            self.take(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    }

    /// Waits for a line in which `found` finds something.
    pub(crate) async fn wait_for<T>(
        &self,
        within: Duration,
        found: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        tokio::time::timeout(within, self.search(found)).await.ok()
    }

    async fn search<T>(&self, found: impl Fn(&str) -> Option<T>) -> T {
        loop {
            // Listens before it looks, so that no line comes in between.
            let more = self.more.notified();
            let hit = self.lines().iter().find_map(|line| found(line));
            if let Some(hit) = hit {
                return hit;
            }
            more.await;
        }
    }

    fn take(&self, line: &str) {
        if self.show.load(Ordering::Relaxed) {
            match self.at {
                Shown::Out => println!("{line}"),
                Shown::Err => eprintln!("{line}"),
            }
        }
        let mut lines = self.lines();
        if lines.len() == KEPT {
            lines.pop_front();
        }
        lines.push_back(line.to_owned());
        drop(lines);
        self.more.notify_waiters();
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_found_before_and_after_it_came() {
        let output = Output::new(Shown::Err);
        let reader = Arc::clone(&output).read(&b"one\ntwo \xff\n"[..]);
        let wait = output.wait_for(Duration::from_secs(5), |line| line.find("two"));
        let ((), found) = tokio::join!(reader, wait);
        assert_eq!(found, Some(0));
        assert_eq!(output.kept(), ["one", "two \u{fffd}"]);
        let again = output
            .wait_for(Duration::ZERO, |line| line.find("three"))
            .await;
        assert_eq!(again, None);
    }
}

//! A gateway in this process, with its access log in memory.

mod builder;
mod generation;
mod https;
mod l4;

use std::io;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use tidegate_proxy::Ended;
use tidegate_proxy::StartError;

pub use builder::Builder;
pub use https::Https;

use crate::Client;
use crate::eventually;

/// A gateway that runs; drains and ends when dropped.
#[derive(Debug)]
pub struct Gateway {
    running: Option<tidegate_proxy::Gateway>,
    address: SocketAddr,
    log: SharedLog,
}

impl Gateway {
    /// A gateway in front of one origin, one worker, no filters, default limits.
    pub fn to(origin: SocketAddr) -> Builder {
        Builder::to(origin)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new client connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Sends a GET on a new connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> crate::Message {
        self.client().get(path)
    }

    /// Serves something else from now on.
    ///
    /// # Panics
    ///
    /// If that does not start.
    #[track_caller]
    pub fn change(&mut self, to: Builder) {
        self.try_change(to)
            .unwrap_or_else(|err| panic!("the generation is not taken: {err:?}"));
    }

    /// Serves something else from now on, or says why not.
    ///
    /// # Errors
    ///
    /// The gateway's.
    pub fn try_change(&mut self, to: Builder) -> Result<(), StartError> {
        let running = self.running.as_mut().expect("it runs");
        let number = running.generation() + 1;
        running.apply(to.generation(number))
    }

    /// Takes versions of plugins that had to wait, if they no longer have to; says whether.
    ///
    /// # Panics
    ///
    /// If they do not start.
    #[track_caller]
    pub fn catch_up(&mut self) -> bool {
        let running = self.running.as_mut().expect("it runs");
        running.catch_up().expect("they start")
    }

    /// What it has counted.
    pub fn metrics(&self) -> tidegate_proxy::Metrics {
        let running = self.running.as_ref();
        running
            .map(tidegate_proxy::Gateway::metrics)
            .unwrap_or_default()
    }

    /// Begins to drain.
    pub fn drain(&self) {
        if let Some(running) = &self.running {
            running.drain();
        }
    }

    /// Drains and waits for the end.
    pub fn stop(mut self) -> Ended {
        self.drain();
        self.running
            .take()
            .map(tidegate_proxy::Gateway::join)
            .unwrap_or_default()
    }

    /// Drains, waits, and returns everything that was logged.
    pub fn stop_for_log(self) -> Vec<String> {
        let log = self.log.clone();
        self.stop();
        log.lines()
    }

    /// The access log once it has at least `count` lines.
    ///
    /// # Panics
    ///
    /// If it never has.
    #[track_caller]
    pub fn log_lines(&self, count: usize) -> Vec<String> {
        eventually("access log lines", || {
            let lines = self.log.lines();
            (lines.len() >= count).then_some(lines)
        })
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.drain();
            let ended = running.join();
            if !std::thread::panicking() {
                assert_eq!(ended.failed_workers, 0, "workers failed");
            }
        }
    }
}

/// An access log in memory.
#[derive(Debug, Clone, Default)]
struct SharedLog(Arc<Mutex<Vec<u8>>>);

impl SharedLog {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

impl Write for SharedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Follows the files of `--tls`, `--ca` and `--crl`.
//!
//! Owns the thread that has the gateway meanwhile. What is new serves from the next connection on; what
//! cannot be used is named in the log, and what served before serves on.

use std::path::Path;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_proxy::Gateway;
use tidegate_proxy::Generation;

use crate::build::Tls;
use crate::control::reload::Event;
use crate::plugins::wishes::WishError;
use crate::watch::Pace;
use crate::watch::Watch;

/// How often it is looked whether something expires.
const LOOK: Duration = Duration::from_secs(60);

/// Everything that the thread owns.
#[derive(Debug)]
pub(super) struct Follow {
    pub(super) gateway: Gateway,
    /// What serves.
    pub(super) generation: Generation,
    pub(super) tls: Tls,
}

impl Follow {
    /// Starts the thread, which reads the files whenever they change or it is told to. It returns the
    /// gateway once it was told to end. `read_at` is when they were read before.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(super) fn start(
        self,
        read_at: SystemTime,
        events: mpsc::Sender<Event>,
        inbox: mpsc::Receiver<Event>,
    ) -> std::io::Result<JoinHandle<Gateway>> {
        let watch = Watch::start(Pace::default(), move || {
            events.send(Event::Changed).ok();
        })?;
        watch.set(self.tls.files().map(absolute).collect(), read_at);
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || self.run(&watch, &inbox))
    }

    fn run(mut self, _watch: &Watch, inbox: &mpsc::Receiver<Event>) -> Gateway {
        loop {
            match inbox.recv_timeout(LOOK) {
                Ok(Event::Changed | Event::Reload(_)) => self.read_again(),
                Ok(Event::Wish(wish)) => {
                    let unknown = WishError::NoResources;
                    // Who asked may have left.
                    wish.answer.send(Err(unknown)).ok();
                }
                Ok(Event::End) | Err(mpsc::RecvTimeoutError::Disconnected) => return self.gateway,
                Err(mpsc::RecvTimeoutError::Timeout) => self.tls.warn_of_expiry(),
            }
        }
    }

    fn read_again(&mut self) {
        let read = self.tls.read(&self.generation.snapshot);
        for problem in &read.problems {
            tracing::error!("{}", problem.message);
        }
        let next = Generation {
            number: self.generation.number + 1,
            certificates: read.trusted.certificates,
            bundles: read.trusted.bundles,
            ..self.generation.clone()
        };
        match self.gateway.apply(next.clone()) {
            Ok(()) => {
                self.tls.serves();
                self.generation = next;
            }
            Err(err) => tracing::error!("what served before serves on: {err}"),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

//! The control thread: reloads, one after the other, whoever asks for them.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::SystemTime;

use tidegate_proxy::Gateway;
use tokio::sync::oneshot;

use crate::control::Control;
use crate::control::publish;
use crate::control::publish::Reporter;
use crate::plugins::chain;
use crate::status::Board;
use crate::status::Outcome;
use crate::systemd;
use crate::watch::Watch;

/// How often an address that could not be bound is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What makes the thread act.
#[derive(Debug)]
pub(crate) enum Event {
    /// Files have changed.
    Changed,
    /// Somebody asks for a reload, and may want to know how it ended.
    Reload(Option<oneshot::Sender<Outcome>>),
    /// No further reloads.
    End,
}

/// Everything that the thread owns.
#[derive(Debug)]
pub(crate) struct Thread {
    pub(crate) control: Control,
    pub(crate) gateway: Gateway,
    pub(crate) board: Board,
    pub(crate) watch: Watch,
    pub(crate) reporter: Reporter,
}

impl Thread {
    /// Starts the thread. It returns the gateway once it was told to end.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread.
    pub(crate) fn start(
        self,
        events: mpsc::Receiver<Event>,
    ) -> std::io::Result<JoinHandle<Gateway>> {
        std::thread::Builder::new()
            .name("control".to_owned())
            .spawn(move || self.run(&events))
    }

    fn run(mut self, events: &mpsc::Receiver<Event>) -> Gateway {
        loop {
            match events.recv_timeout(RETRY) {
                Ok(Event::Changed) => {
                    self.reload(false);
                }
                Ok(Event::Reload(answer)) => {
                    systemd::reloading();
                    let outcome = self.reload(true);
                    if let Some(answer) = answer {
                        // Who asked may have left.
                        answer.send(outcome).ok();
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    if self.control.may_bind_now() {
                        self.reload(false);
                    }
                }
                Ok(Event::End) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return self.gateway;
                }
            }
        }
    }

    fn reload(&mut self, again: bool) -> Outcome {
        let read_at = SystemTime::now();
        let loaded = self.control.load(again);
        self.watch.set(paths(&loaded.draft.watch), read_at);
        if !again && self.control.is_serving(&loaded) {
            tracing::debug!("the files say what serves already");
            return Outcome::Success;
        }
        let gateway = &mut self.gateway;
        let taken = self
            .control
            .hand_over(loaded, false, |generation| gateway.apply(generation));
        match taken {
            Ok((loaded, ())) => {
                self.reporter.report(&loaded.draft.problems);
                let number = self.control.number();
                let outcome =
                    publish::serves(&self.board, number, loaded, self.gateway.addresses());
                systemd::ready(&format!("generation {number} serves: {}", outcome.label()));
                outcome
            }
            Err((loaded, err)) => {
                self.reporter.report(&loaded.draft.problems);
                let outcome = publish::failed(&self.board, *loaded, chain(&err));
                systemd::ready("an older generation serves: the last reload failed");
                outcome
            }
        }
    }
}

/// Paths as the watch wants them.
pub(crate) fn paths(paths: &[PathBuf]) -> Vec<PathBuf> {
    paths
        .iter()
        .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()))
        .collect()
}

//! Waiting for plugins that are set up after they were configured.
//!
//! A setup makes calls, which only a worker can make: the instance is in place for it, and no stream
//! enters. Instances of a new version are set up before their generation serves; one that takes the
//! place of a lost one sets itself up while streams wait.

use std::rc::Rc;
use std::time::Duration;

use tidegate_host_abi::SetupState;
use tidegate_host_abi::StartError;
use tidegate_host_abi::StartStep;

use crate::filters::vm::Vm;

/// How long a setup may take.
pub(crate) const LONGEST_SETUP: Duration = Duration::from_secs(30);

/// The pause before an instance is started again whose setup failed.
const PAUSE: Duration = Duration::from_secs(1);

impl Vm {
    /// Waits until the instance in place is set up.
    ///
    /// # Errors
    ///
    /// If its setup fails or takes too long, or the instance ends meanwhile.
    pub(crate) async fn set_up(&self) -> Result<(), StartError> {
        let ended = async {
            loop {
                let arrived = self.arrived.notified();
                if let Some(outcome) = self.setup_outcome() {
                    return outcome;
                }
                arrived.await;
            }
        };
        match tokio::time::timeout(LONGEST_SETUP, ended).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.setup_error(0, "it is not set up after 30s")),
        }
    }

    /// How the setup of the instance in place went; `None` while it goes on.
    fn setup_outcome(&self) -> Option<Result<(), StartError>> {
        if self.is_pool() {
            return Some(Ok(()));
        }
        let active = self.active.borrow();
        let Some(instance) = active.as_ref() else {
            return Some(Err(self.setup_error(0, "its instance ended")));
        };
        match instance.setup() {
            SetupState::Done => Some(Ok(())),
            SetupState::Pending => None,
            SetupState::Failed { place, reason } => Some(Err(self.setup_error(place, reason))),
        }
    }

    fn setup_error(&self, place: usize, reason: &str) -> StartError {
        let plugin = self.plugins.get(place).map_or("", |plugin| plugin.name());
        StartError {
            step: StartStep::SetUp,
            plugin: plugin.to_owned(),
            fault: None,
            log: vec![reason.to_owned()],
        }
    }

    /// The setup of the instance in place has ended.
    pub(super) fn on_setup_end(self: &Rc<Self>) {
        match self.setup_outcome() {
            None => return,
            Some(Ok(())) => self.in_setup.set(false),
            // Before its generation serves, somebody else decides what becomes of it.
            Some(Err(_)) if !self.serves.get() => {}
            Some(Err(err)) => self.give_up(&err),
        }
        self.arrived.notify_waiters();
    }

    /// Ends an instance that serves and is not set up, and orders another one. Whoever waits for it
    /// looks again and finds it gone.
    pub(super) fn give_up(&self, err: &StartError) {
        if !self.in_setup.replace(false) {
            return;
        }
        tracing::error!(plugin = err.plugin, retry_in = ?PAUSE, "{err}");
        self.stop_ticks();
        self.grpc.clear();
        drop(self.active.borrow_mut().take());
        self.generation.set(self.generation() + 1);
        for known in self.streams.take_all() {
            known.wake();
        }
        self.order(PAUSE);
    }
}

//! Looking at a gateway while another thread changes it.
//!
//! A change may take as long as filters take to start; who asks for numbers, or for the end, must not
//! wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use crate::filters::services::Commons;
use crate::filters::services::LastFault;
use crate::metrics::Counters;
use crate::metrics::Metrics;
use crate::resolver::Board;
use crate::resolver::LookedUp;
use crate::worker::Message;

/// A handle to a running gateway. Cloning it is cheap.
#[derive(Debug, Clone)]
pub struct Remote {
    pub(crate) commons: Arc<Commons>,
    pub(crate) inboxes: Arc<[UnboundedSender<Message>]>,
    pub(crate) counters: Arc<[Arc<Counters>]>,
    pub(crate) loads: Arc<[AtomicUsize]>,
    pub(crate) names: Arc<Board>,
}

impl Remote {
    /// What was counted since the start.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        let open = self.loads.iter().map(|load| load.load(Ordering::Relaxed));
        Metrics {
            open_connections: open.sum::<usize>() as u64,
            guests: self.commons.metrics().snapshot(),
            waiting_plugins: self.commons.waiting(),
            limited_keys: self.commons.used_rates(),
            names: self.names.backends(),
            ..Metrics::sum(&self.counters)
        }
    }

    /// What the names of backends have led to, by backend.
    #[must_use]
    pub fn names(&self) -> Vec<LookedUp> {
        self.names.backends()
    }

    /// The last fault of each plugin that had one, by its name.
    #[must_use]
    pub fn last_faults(&self) -> BTreeMap<String, LastFault> {
        self.commons.faults()
    }

    /// How many streams the instances of all plugins know; workers that do not answer within a
    /// second have none.
    #[must_use]
    pub fn streams(&self) -> usize {
        let (ask, answers) = std::sync::mpsc::channel();
        for inbox in self.inboxes.iter() {
            inbox.send(Message::Streams(ask.clone())).ok();
        }
        drop(ask);
        let answer = || answers.recv_timeout(Duration::from_secs(1)).ok();
        std::iter::from_fn(answer).sum()
    }

    /// A value of the data that the plugins of a space share; see
    /// [`tidegate_host_abi::Plugin::shared_space`].
    #[must_use]
    pub fn shared_value(&self, space: &str, key: &[u8]) -> Option<Vec<u8>> {
        self.commons.shared_value(space, key)
    }

    /// Stops accepting and lets what runs finish, until the drain time-out.
    pub fn drain(&self) {
        for inbox in self.inboxes.iter() {
            inbox.send(Message::Drain).ok();
        }
    }

    /// Whether all workers have ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.inboxes.iter().all(UnboundedSender::is_closed)
    }
}

//! The shares of canaries, which change without a generation, and what is counted of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;
use std::time::Instant;

use tidegate_core::rollout::split::Share;

use crate::filters::canary::Versions;
use crate::gateway::Gateway;
use crate::worker::Message;

/// How long workers have to say what they have counted.
const PATIENCE: Duration = Duration::from_secs(1);

impl Gateway {
    /// Deals new streams of plugins with canaries by other shares, by the names of the plugins.
    /// Streams that run keep the version that they have.
    pub fn set_shares(&mut self, shares: &[(Arc<str>, Share)]) {
        // Also what is put in place later, without another word of these.
        self.wanted.set_shares(shares);
        let shares: Arc<[(Arc<str>, Share)]> = shares.into();
        for inbox in self.inboxes.iter() {
            inbox.send(Message::Shares(Arc::clone(&shares))).ok();
        }
    }

    /// What was counted of plugins with canaries since it was last asked, by the names of the plugins;
    /// what a worker has counted that does not answer within a second comes with the next time.
    pub fn versions(&self) -> BTreeMap<Arc<str>, Versions> {
        let (ask, answers) = channel();
        for inbox in self.inboxes.iter() {
            inbox.send(Message::Versions(ask.clone())).ok();
        }
        drop(ask);
        let patience = Instant::now() + PATIENCE;
        let mut sum: BTreeMap<Arc<str>, Versions> = BTreeMap::new();
        while let Ok(counted) =
            answers.recv_timeout(patience.saturating_duration_since(Instant::now()))
        {
            for (name, versions) in counted {
                let known = sum.entry(name).or_default();
                known.stable.merge(&versions.stable);
                known.canary.merge(&versions.canary);
            }
        }
        sum
    }
}

//! Commands that get no reply in time: those that were sent, and those that wait to be.

use std::time::Duration;
use std::time::Instant;

use tidegate_host_abi::RedisFailed;

use super::Link;
use crate::upstream::redis::Client;

/// How long an overdue reply may still come before its connection is given up.
const PATIENCE: Duration = Duration::from_secs(1);

impl Link {
    /// When the next command is overdue, or the connection is given up.
    pub(super) fn next_deadline(&self, client: &Client) -> Option<Instant> {
        let end = self.sent.front().map(|(deadline, _)| *deadline + PATIENCE);
        let next = self.sent.get(self.overdue).map(|(deadline, _)| *deadline);
        [end, next, client.first_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Fails the commands whose time is over, and the connection if the oldest is so for too long.
    pub(super) fn fail_overdue(&mut self, client: &Client) -> Result<(), String> {
        let now = Instant::now();
        if self
            .sent
            .front()
            .is_some_and(|(deadline, _)| *deadline + PATIENCE <= now)
        {
            return Err("no reply in time".to_owned());
        }
        while let Some((deadline, reply)) = self.sent.get_mut(self.overdue)
            && *deadline <= now
        {
            reply.send(Err(RedisFailed::Timeout));
            self.overdue += 1;
        }
        client.fail_overdue();
        Ok(())
    }
}

impl Client {
    /// When the first of the commands that were not sent has waited for long enough. They are in the
    /// order of their deadlines.
    pub(super) fn first_deadline(&self) -> Option<Instant> {
        self.queue.borrow().front().map(|command| command.deadline)
    }

    /// Fails those of the commands that were not sent whose time is over.
    pub(super) fn fail_overdue(&self) {
        let now = Instant::now();
        while self
            .first_deadline()
            .is_some_and(|deadline| deadline <= now)
        {
            if let Some(mut command) = self.next() {
                command.reply.send(Err(RedisFailed::Timeout));
            }
        }
    }
}

//! Orders by hand: which of them fit what holds, and what follows.

use super::Event;
use super::Order;
use super::Phase;
use super::Refused;
use super::Rollout;
use super::Why;

impl Rollout {
    /// Somebody wants something.
    ///
    /// # Errors
    /// If that does not fit what holds.
    pub fn on_order(&mut self, order: Order, words: &str) -> Result<Event, Refused> {
        let phase = &self.state.phase;
        match (order, phase) {
            (Order::Promote, Phase::Promoted) => Err(Refused::Already),
            (Order::Promote, Phase::Aborted(_)) => Err(Refused::IsAborted),
            (Order::Promote, _) if self.missing.is_some() => Err(Refused::NotReady),
            (Order::Promote, Phase::Running | Phase::Held) => {
                self.state.phase = Phase::Promoted;
                Ok(Event::Promoted { by_hand: true })
            }
            (Order::Abort, Phase::Aborted(_)) | (Order::Hold, Phase::Held) => Err(Refused::Already),
            (Order::Abort, _) => {
                let words = words.to_owned();
                Ok(self.abort(Why {
                    by_hand: true,
                    words,
                }))
            }
            (Order::Hold, Phase::Running) => {
                self.state.phase = Phase::Held;
                Ok(Event::Held(self.state.reached))
            }
            (Order::Hold, Phase::Promoted | Phase::Aborted(_)) => Err(Refused::NotRunning),
            (Order::Resume, Phase::Held) => {
                self.state.phase = Phase::Running;
                Ok(Event::Resumed(self.state.reached))
            }
            (Order::Resume, Phase::Aborted(_)) => Ok(self.restart("somebody resumed it")),
            (Order::Resume, Phase::Running | Phase::Promoted) => Err(Refused::NotHeld),
        }
    }
}

//! What the control thread is asked for, and what is done of it at once: orders to rollouts do not wait
//! for a change that is being made.

use std::collections::VecDeque;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use tidegate_core::rollout::machine::Order;
use tidegate_proxy::Gateway;

use crate::control::reload::Event;
use crate::control::reload::PluginWish;
use crate::control::rollouts::RolloutOrder;
use crate::control::rollouts::Rollouts;
use crate::status::Board;

/// What the thread is asked for.
#[derive(Debug)]
pub(crate) struct Inbox {
    events: mpsc::Receiver<Event>,
    /// What was looked at already, and has its time later; the oldest first.
    ahead: VecDeque<Event>,
}

impl Inbox {
    /// All that comes from there.
    pub(crate) fn new(events: mpsc::Receiver<Event>) -> Self {
        Self {
            events,
            ahead: VecDeque::new(),
        }
    }

    /// The next event, which is waited for so long.
    pub(super) fn recv_timeout(&mut self, patience: Duration) -> Result<Event, RecvTimeoutError> {
        match self.ahead.pop_front() {
            Some(event) => Ok(event),
            None => self.events.recv_timeout(patience),
        }
    }

    /// The next event that is there already.
    pub(super) fn next(&mut self) -> Option<Event> {
        let ahead = self.ahead.pop_front();
        ahead.or_else(|| self.events.try_recv().ok())
    }

    /// Takes what is asked of rollouts out of all that waits.
    pub(super) fn orders(&mut self) -> Vec<RolloutOrder> {
        self.take(|event| match event {
            Event::Rollout(order) => Ok(order),
            other => Err(other),
        })
    }

    /// Takes what is wanted of plugins' versions out of all that waits.
    pub(super) fn wishes(&mut self) -> Vec<PluginWish> {
        self.take(|event| match event {
            Event::Wish(wish) => Ok(wish),
            other => Err(other),
        })
    }

    /// Takes out what somebody picks, in order; all else stays.
    fn take<T>(&mut self, pick: impl Fn(Event) -> Result<T, Event>) -> Vec<T> {
        let mut waiting = std::mem::take(&mut self.ahead);
        waiting.extend(self.events.try_iter());
        let mut taken = Vec::new();
        for event in waiting {
            match pick(event) {
                Ok(picked) => taken.push(picked),
                Err(other) => self.ahead.push_back(other),
            }
        }
        taken
    }
}

/// What came of orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ordered {
    /// There were none, or none that fits.
    Nothing,
    /// A rollout is in another phase; none was aborted.
    Changed,
    /// A rollout was aborted.
    Aborted,
}

/// Does what is asked of rollouts, and answers.
pub(super) fn serve(
    orders: Vec<RolloutOrder>,
    rollouts: &mut Rollouts,
    gateway: &mut Gateway,
    board: &Board,
) -> Ordered {
    let mut ordered = Ordered::Nothing;
    for RolloutOrder {
        plugin,
        order,
        answer,
    } in orders
    {
        let done = rollouts.order(gateway, &plugin, order);
        ordered = match (&done, order, ordered) {
            (Ok(_), Order::Abort, _) | (_, _, Ordered::Aborted) => Ordered::Aborted,
            (Ok(_), _, _) => Ordered::Changed,
            (Err(_), _, before) => before,
        };
        rollouts.tell(board);
        // Who asked may have left.
        answer.send(done).ok();
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tidegate_core::rollout::machine::Order;
    use tokio::sync::oneshot;

    use super::Event;
    use super::Inbox;
    use super::PluginWish;
    use super::RolloutOrder;
    use crate::plugins::wishes::Wish;

    #[test]
    fn wishes_are_taken_out_too_and_orders_stay() {
        let (events, inbox) = mpsc::channel();
        let mut inbox = Inbox::new(inbox);
        let wish = |plugin: &str| {
            let (answer, _) = oneshot::channel();
            let plugin = plugin.to_owned();
            Event::Wish(PluginWish {
                plugin,
                wish: Wish::Resume,
                answer,
            })
        };
        for event in [Event::Changed, wish("a"), Event::Reload(None), wish("b")] {
            events.send(event).expect("open");
        }
        assert!(inbox.orders().is_empty());
        let taken = inbox.wishes();
        let names: Vec<&str> = taken.iter().map(|one| &*one.plugin).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(inbox.next(), Some(Event::Changed)));
        assert!(matches!(inbox.next(), Some(Event::Reload(None))));
        assert!(inbox.next().is_none());
    }

    #[test]
    fn orders_to_rollouts_are_taken_out_and_all_else_stays_in_order() {
        let (events, inbox) = mpsc::channel();
        let mut inbox = Inbox::new(inbox);
        let order = |order| {
            let (answer, _) = oneshot::channel();
            let plugin = "default/a".to_owned();
            let order = RolloutOrder {
                plugin,
                order,
                answer,
            };
            events.send(Event::Rollout(order)).expect("open");
        };
        let taken = |inbox: &mut Inbox| -> Vec<Order> {
            inbox.orders().iter().map(|one| one.order).collect()
        };
        order(Order::Hold);
        events.send(Event::Reload(None)).expect("open");
        order(Order::Abort);
        assert_eq!(taken(&mut inbox), [Order::Hold, Order::Abort]);
        events.send(Event::End).expect("open");
        assert_eq!(taken(&mut inbox), []);
        assert!(matches!(inbox.next(), Some(Event::Reload(None))));
        assert!(matches!(inbox.next(), Some(Event::End)));
        assert!(inbox.next().is_none());
    }
}

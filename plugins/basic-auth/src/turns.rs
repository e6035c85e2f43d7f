//! One slow computation at a time.
//!
//! Whoever wants to compute enters, and is refused if too much waits already. So a flood of passwords
//! takes a bounded share of a worker, and a bounded time to be refused. Turns go round clients: one of
//! them with many passwords to try does not keep the others waiting.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;

/// Rounds of bcrypt that may wait: some ten seconds of work, sixty-four passwords of cost 10.
const MOST_ROUNDS: u32 = 65_536;
/// Computations that may wait.
const MOST_WAITING: usize = 256;
/// Those of them that may be of one client.
const MOST_OF_CLIENT: usize = 32;

/// Who computes, and who waits.
#[derive(Debug, Default)]
pub(crate) struct Turns(RefCell<Inner>);

#[derive(Debug, Default)]
struct Inner {
    /// Whose turn it is.
    current: Option<Ticket>,
    waiting: VecDeque<(Ticket, Option<Waker>)>,
    /// Of all of them.
    rounds: u32,
    /// How many tickets there were.
    last: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticket {
    number: u64,
    client: Option<IpAddr>,
    rounds: u32,
}

/// A place in the queue, or at its head. Dropping it lets the next one compute.
#[derive(Debug)]
pub(crate) struct Turn {
    turns: Rc<Turns>,
    ticket: Ticket,
}

impl Turns {
    /// Takes a place for a computation of so many rounds. `None` if too much waits.
    pub(crate) fn enter(self: &Rc<Self>, client: Option<IpAddr>, rounds: u32) -> Option<Turn> {
        let mut inner = self.0.borrow_mut();
        let total = inner.rounds.saturating_add(rounds);
        let of_client = inner.waiting.iter().filter(|it| it.0.client == client);
        let has_room = total <= MOST_ROUNDS
            && inner.waiting.len() < MOST_WAITING
            && of_client.count() < MOST_OF_CLIENT;
        // One that is alone may be as long as it likes.
        if inner.current.is_some() && !has_room {
            return None;
        }
        inner.last += 1;
        let ticket = Ticket {
            number: inner.last,
            client,
            rounds,
        };
        inner.rounds = total;
        if inner.current.is_none() {
            inner.current = Some(ticket);
        } else {
            inner.waiting.push_back((ticket, None));
        }
        drop(inner);
        Some(Turn {
            turns: Rc::clone(self),
            ticket,
        })
    }
}

impl Inner {
    /// Gives the turn to the first that waits and is not of the client that had it; else to the first.
    fn go_on(&mut self) {
        let before = self.current.take().map(|it| it.client);
        let other = self
            .waiting
            .iter()
            .position(|it| Some(it.0.client) != before);
        if let Some((ticket, waker)) = self.waiting.remove(other.unwrap_or(0)) {
            self.current = Some(ticket);
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Turn {
    /// Waits for the turn.
    pub(crate) async fn come(&self) {
        poll_fn(|cx| {
            let mut inner = self.turns.0.borrow_mut();
            if inner.current == Some(self.ticket) {
                return Poll::Ready(());
            }
            let place = inner.waiting.iter_mut().find(|it| it.0 == self.ticket);
            if let Some((_, waker)) = place {
                *waker = Some(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inner = self.turns.0.borrow_mut();
        inner.rounds = inner.rounds.saturating_sub(self.ticket.rounds);
        if inner.current == Some(self.ticket) {
            inner.go_on();
        } else {
            inner.waiting.retain(|it| it.0 != self.ticket);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, number]))
    }

    fn has_come(turn: &Turn) -> bool {
        turn.turns.0.borrow().current == Some(turn.ticket)
    }

    #[test]
    fn turns_go_round_clients_and_in_order_for_each() {
        let turns: Rc<Turns> = Rc::default();
        let enter = |number| turns.enter(client(number), 16).unwrap();
        let mut waiting: Vec<(usize, Turn)> = [1, 1, 1, 2, 2, 3]
            .into_iter()
            .map(enter)
            .enumerate()
            .collect();
        let mut order = Vec::new();
        while let Some(at) = waiting.iter().position(|it| has_come(&it.1)) {
            order.push(waiting.remove(at).0);
        }
        assert_eq!(order, [0, 3, 1, 4, 2, 5]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn one_that_gives_up_makes_room_and_holds_nobody_up() {
        let turns: Rc<Turns> = Rc::default();
        let first = turns.enter(client(1), 16).unwrap();
        let second = turns.enter(client(2), 16).unwrap();
        let third = turns.enter(client(3), 16).unwrap();
        drop(second);
        drop(first);
        assert!(has_come(&third));
        drop(third);
        assert_eq!(turns.0.borrow().rounds, 0);
        assert!(turns.0.borrow().current.is_none());
    }

    #[test]
    fn what_waits_is_bounded_by_rounds_by_number_and_for_each_client() {
        let turns: Rc<Turns> = Rc::default();
        let long = turns.enter(client(1), MOST_ROUNDS * 2).unwrap();
        assert!(turns.enter(client(2), 16).is_none());
        drop(long);

        let half = MOST_ROUNDS / 2;
        let both = [turns.enter(client(1), half), turns.enter(client(2), half)];
        assert!(both.iter().all(Option::is_some));
        assert!(turns.enter(client(3), 16).is_none());
        drop(both);

        let of_one: Vec<_> = (0..100)
            .filter_map(|_| turns.enter(client(1), 16))
            .collect();
        assert_eq!(of_one.len(), MOST_OF_CLIENT + 1);
        let of_all: Vec<_> = (0..=255)
            .flat_map(|number| [number; 2])
            .filter_map(|number| turns.enter(client(number), 16))
            .collect();
        assert_eq!(of_one.len() + of_all.len(), MOST_WAITING + 1);
    }
}

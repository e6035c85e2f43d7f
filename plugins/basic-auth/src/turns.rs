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
    /// The number of the ticket whose turn it is.
    current: Option<Ticket>,
    waiting: VecDeque<(Ticket, Option<Waker>)>,
    /// Of all of them.
    rounds: u32,
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

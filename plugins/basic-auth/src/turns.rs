//! One slow computation at a time.
//!
//! Whoever wants to compute enters, and is refused if too much waits already. So a flood of passwords
//! takes a bounded share of a worker, and a bounded time to be refused. Turns go round clients, and one that
//! has nothing waiting may always wait: another with many passwords to try neither keeps it waiting nor
//! keeps it out.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;
use std::task::Waker;

use tidegate_policy::client_network;

/// Rounds of bcrypt that may wait: some ten seconds of work, sixty-four passwords of cost 10.
const MOST_ROUNDS: u32 = 65_536;
/// Those of them that may be of one client, if it has more than one waiting: four passwords of cost 12.
const MOST_ROUNDS_OF_CLIENT: u32 = MOST_ROUNDS / 4;
/// Computations that may wait, however short.
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
        let client = client.map(client_network);
        let mut inner = self.0.borrow_mut();
        // One that is alone may be as long as it likes.
        if inner.current.is_some() && !inner.has_room(client, rounds) {
            return None;
        }
        let total = inner.rounds.saturating_add(rounds);
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
    /// Whether a client may wait with so many rounds more.
    fn has_room(&self, client: Option<IpAddr>, rounds: u32) -> bool {
        if self.waiting.len() >= MOST_WAITING {
            return false;
        }
        let of_client = self.waiting.iter().filter(|it| it.0.client == client);
        let (count, before) = of_client.fold((0_usize, 0_u32), |(count, sum), (ticket, _)| {
            (count + 1, sum.saturating_add(ticket.rounds))
        });
        // The first one always, or others could keep it out.
        count == 0
            || count < MOST_OF_CLIENT
                && before.saturating_add(rounds) <= MOST_ROUNDS_OF_CLIENT
                && self.rounds.saturating_add(rounds) <= MOST_ROUNDS
    }

    /// Gives the turn to the first that waits. What else the client has that had it goes behind all others.
    fn go_on(&mut self) {
        if let Some(before) = self.current.take() {
            let waiting = self.waiting.make_contiguous();
            // Among themselves they keep their order.
            waiting.sort_by_key(|it| it.0.client == before.client);
        }
        if let Some((ticket, waker)) = self.waiting.pop_front() {
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
    use std::net::Ipv6Addr;

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
        assert_eq!(order, [0, 3, 5, 1, 4, 2]);
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
    fn what_waits_is_bounded_by_number_and_for_each_client() {
        let turns: Rc<Turns> = Rc::default();
        let enter = |number, rounds| turns.enter(client(number), rounds);
        let of_one: Vec<_> = (0..100).filter_map(|_| enter(1, 16)).collect();
        assert_eq!(of_one.len(), MOST_OF_CLIENT + 1);
        let of_all: Vec<_> = (0..=255)
            .flat_map(|number| [number; 2])
            .filter_map(|number| enter(number, 16))
            .collect();
        assert_eq!(of_one.len() + of_all.len(), MOST_WAITING + 1);
    }

    #[test]
    fn a_client_with_slow_hashes_has_few_waiting_and_keeps_nobody_out() {
        for cost in [10, 12, 14] {
            let turns: Rc<Turns> = Rc::default();
            let rounds = 1 << cost;
            let of_one: Vec<_> = (0..100)
                .filter_map(|_| turns.enter(client(1), rounds))
                .collect();
            let most = MOST_ROUNDS_OF_CLIENT / rounds;
            assert_eq!(of_one.len(), usize::try_from(most).unwrap() + 1);
            // Nor do many who have all that is theirs: each other one may still have one.
            let of_many: Vec<_> = (2..20)
                .flat_map(|number| [number; 20])
                .filter_map(|number| turns.enter(client(number), rounds))
                .collect();
            assert!(turns.0.borrow().rounds > MOST_ROUNDS);
            let other = turns.enter(client(99), rounds).unwrap();
            assert!(turns.enter(client(99), rounds).is_none());
            drop((of_one, of_many));
            assert!(has_come(&other));
        }
    }

    #[test]
    fn one_alone_may_be_long_and_one_may_wait_for_it() {
        let turns: Rc<Turns> = Rc::default();
        let long = turns.enter(client(1), MOST_ROUNDS * 2).unwrap();
        let second = turns.enter(client(1), MOST_ROUNDS * 2).unwrap();
        assert!(turns.enter(client(1), 16).is_none());
        drop(long);
        assert!(has_come(&second));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let network_of = |text: &str| client_network(text.parse().unwrap()).to_string();
        for (address, expected) in [
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
            ("2001:db8:1:2::", "2001:db8:1:2::"),
            ("2001:db8:1:3::1", "2001:db8:1:3::"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("192.0.2.7", "192.0.2.7"),
        ] {
            assert_eq!(network_of(address), expected);
        }
        let turns: Rc<Turns> = Rc::default();
        let of_one: Vec<_> = (0..100_u128)
            .map(|host| Ipv6Addr::from_bits(0x2001_0db8 << 96 | host))
            .filter_map(|it| turns.enter(Some(it.into()), 4096))
            .collect();
        assert_eq!(of_one.len(), 5);
    }
}

//! Shared queues: named lists of items that cross instances.
//!
//! Owns items, tokens and who is told of new items. A token is valid in the tenant of its queue
//! only, so that a guessed number reaches nobody else's.
//!
//! Invariant: tokens start at 1 and stay for the life of the process.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::ENTRY_COST;
use crate::context::ContextId;
use crate::instance::InstanceId;

/// Queues of one space.
const MAX_QUEUES: usize = 256;

/// Bytes of a queue's name.
const MAX_NAME: usize = 4096;

/// Names a queue.
pub(crate) type QueueToken = u32;

/// The root context that is told of new items: the last one that registered the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QueueOwner {
    pub(crate) instance: InstanceId,
    pub(crate) root: ContextId,
}

/// Why a queue operation is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// There is no such queue.
    Unknown,
    /// It has no item.
    Empty,
    /// There are too many queues.
    TooMany,
    /// The name is too long: names are kept for the life of the process.
    LongName,
}

#[derive(Debug)]
pub(crate) struct Queues {
    spaces: HashMap<Arc<str>, Space>,
    queues: Vec<Queue>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Space {
    tokens: HashMap<Bytes, QueueToken>,
    /// The cost of all items of its queues.
    bytes: usize,
}

#[derive(Debug)]
struct Queue {
    tenant: Arc<str>,
    space: Arc<str>,
    owner: QueueOwner,
    items: VecDeque<Bytes>,
    /// How often the owner is still to be told of an item.
    signals: usize,
}

impl Queues {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            spaces: HashMap::new(),
            queues: Vec::new(),
            limit,
        }
    }

    /// The token of the named queue, made if need be. The owner of one that there is stays.
    pub(crate) fn register(
        &mut self,
        tenant: &str,
        space: &Arc<str>,
        name: &[u8],
        owner: QueueOwner,
    ) -> Result<QueueToken, QueueError> {
        if name.len() > MAX_NAME {
            return Err(QueueError::LongName);
        }
        let tokens = &mut self.spaces.entry(Arc::clone(space)).or_default().tokens;
        if let Some(&token) = tokens.get(name) {
            return Ok(token);
        }
        if tokens.len() >= MAX_QUEUES {
            return Err(QueueError::TooMany);
        }
        let token = QueueToken::try_from(self.queues.len() + 1).map_err(|_| QueueError::TooMany)?;
        tokens.insert(Bytes::copy_from_slice(name), token);
        self.queues.push(Queue {
            tenant: tenant.into(),
            space: Arc::clone(space),
            owner,
            items: VecDeque::new(),
            signals: 0,
        });
        Ok(token)
    }

    /// Makes the caller the owner of a queue.
    pub(crate) fn claim(&mut self, token: QueueToken, owner: QueueOwner) {
        if let Some(queue) = index(token).and_then(|at| self.queues.get_mut(at)) {
            queue.owner = owner;
        }
    }

    /// The token of a queue that somebody registered.
    pub(crate) fn resolve(&self, space: &str, name: &[u8]) -> Result<QueueToken, QueueError> {
        let space = self.spaces.get(space).ok_or(QueueError::Unknown)?;
        space.tokens.get(name).copied().ok_or(QueueError::Unknown)
    }

    /// Appends an item and returns who is to be told. A queue loses its oldest items when its space
    /// is full: a guest that nobody reads for must not fail, and must not fill the host.
    pub(crate) fn enqueue(
        &mut self,
        tenant: &str,
        token: QueueToken,
        item: &[u8],
    ) -> Result<QueueOwner, QueueError> {
        let limit = self.limit;
        let (queue, space) = self.find(tenant, token).ok_or(QueueError::Unknown)?;
        space.bytes += cost(item);
        queue.items.push_back(Bytes::copy_from_slice(item));
        queue.signals = queue.signals.saturating_add(1);
        while space.bytes > limit {
            let Some(oldest) = queue.items.pop_front() else {
                break;
            };
            space.bytes -= cost(&oldest);
        }
        Ok(queue.owner)
    }

    /// Takes the oldest item.
    pub(crate) fn dequeue(&mut self, tenant: &str, token: QueueToken) -> Result<Bytes, QueueError> {
        let (queue, space) = self.find(tenant, token).ok_or(QueueError::Unknown)?;
        let item = queue.items.pop_front().ok_or(QueueError::Empty)?;
        space.bytes -= cost(&item);
        Ok(item)
    }

    /// Takes one signal of a new item: whether the owner is to be told once more. It is told once for
    /// each item, as in Envoy, but of items that are gone by then only once for all.
    pub(crate) fn take_signal(&mut self, token: QueueToken) -> bool {
        let Some(queue) = index(token).and_then(|at| self.queues.get_mut(at)) else {
            return false;
        };
        let due = queue.signals.min(queue.items.len().max(1));
        queue.signals = due.saturating_sub(1);
        due > 0
    }

    /// Drops all items of a space. Its queues keep their numbers.
    pub(super) fn clear_space(&mut self, space: &str) {
        if let Some(found) = self.spaces.get_mut(space) {
            found.bytes = 0;
            for queue in &mut self.queues {
                if &*queue.space == space {
                    queue.items = VecDeque::new();
                    queue.signals = 0;
                }
            }
        }
    }

    fn find(&mut self, tenant: &str, token: QueueToken) -> Option<(&mut Queue, &mut Space)> {
        let queue = self.queues.get_mut(index(token)?)?;
        if &*queue.tenant != tenant {
            return None;
        }
        let space = self.spaces.get_mut(&queue.space)?;
        Some((queue, space))
    }
}

fn index(token: QueueToken) -> Option<usize> {
    usize::try_from(token).ok()?.checked_sub(1)
}

fn cost(item: &[u8]) -> usize {
    item.len() + ENTRY_COST
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(instance: u64) -> QueueOwner {
        QueueOwner {
            instance: InstanceId::from_number(instance),
            root: ContextId::from_guest(1),
        }
    }

    #[test]
    fn registering_again_keeps_the_items_and_claiming_changes_the_owner() {
        let mut queues = Queues::new(1000);
        let space: Arc<str> = "s".into();
        let token = queues.register("t", &space, b"q", owner(1)).unwrap();
        assert_eq!(queues.enqueue("t", token, b"x"), Ok(owner(1)));
        assert_eq!(queues.register("t", &space, b"q", owner(2)), Ok(token));
        assert_eq!(queues.enqueue("t", token, b"z"), Ok(owner(1)));
        queues.claim(token, owner(2));
        assert_eq!(queues.enqueue("t", token, b"y"), Ok(owner(2)));
        assert_eq!(queues.dequeue("t", token), Ok(Bytes::from("x")));
        assert_eq!(queues.resolve(&space, b"q"), Ok(token));
        assert_eq!(queues.resolve("other", b"q"), Err(QueueError::Unknown));
    }

    #[test]
    fn a_token_is_worth_nothing_to_another_tenant() {
        let mut queues = Queues::new(1000);
        let token = queues.register("t", &"s".into(), b"q", owner(1)).unwrap();
        assert_eq!(
            queues.enqueue("other", token, b"x"),
            Err(QueueError::Unknown)
        );
        assert_eq!(queues.dequeue("t", 0), Err(QueueError::Unknown));
        assert_eq!(queues.dequeue("t", token), Err(QueueError::Empty));
    }

    #[test]
    fn a_space_has_no_more_than_so_many_queues() {
        let mut queues = Queues::new(1000);
        let space: Arc<str> = "s".into();
        for number in 0..MAX_QUEUES {
            queues
                .register("t", &space, &number.to_le_bytes(), owner(1))
                .unwrap();
        }
        let more = queues.register("t", &space, b"more", owner(1));
        assert_eq!(more, Err(QueueError::TooMany));
        assert!(
            queues
                .register("t", &"other".into(), b"more", owner(1))
                .is_ok()
        );
    }

    #[test]
    fn a_name_that_is_too_long_makes_no_queue() {
        let mut queues = Queues::new(1000);
        let space: Arc<str> = "s".into();
        let name = vec![b'a'; MAX_NAME + 1];
        let refused = queues.register("t", &space, &name, owner(1));
        assert_eq!(refused, Err(QueueError::LongName));
        assert!(queues.register("t", &space, &name[1..], owner(1)).is_ok());
    }

    #[test]
    fn a_cleared_space_has_its_queues_and_no_items() {
        let mut queues = Queues::new(1000);
        let space: Arc<str> = "s".into();
        let token = queues.register("t", &space, b"q", owner(1)).unwrap();
        queues.enqueue("t", token, b"x").unwrap();
        queues.clear_space("s");
        assert_eq!(queues.dequeue("t", token), Err(QueueError::Empty));
        assert_eq!(queues.register("t", &space, b"q", owner(2)), Ok(token));
        queues.enqueue("t", token, b"y").unwrap();
        assert_eq!(queues.dequeue("t", token), Ok(Bytes::from("y")));
    }

    #[test]
    fn an_owner_is_told_once_for_each_item_and_once_for_all_that_are_gone() {
        let mut queues = Queues::new(1000);
        let token = queues.register("t", &"s".into(), b"q", owner(1)).unwrap();
        let told = |queues: &mut Queues| (0..9).take_while(|_| queues.take_signal(token)).count();
        assert_eq!(told(&mut queues), 0);
        for _ in 0..3 {
            queues.enqueue("t", token, b"x").unwrap();
        }
        assert_eq!(told(&mut queues), 3);
        for _ in 0..3 {
            queues.enqueue("t", token, b"x").unwrap();
        }
        while queues.dequeue("t", token).is_ok() {}
        assert_eq!(told(&mut queues), 1);
        assert!(!queues.take_signal(token + 1), "there is no such queue");
    }

    #[test]
    fn a_full_queue_loses_its_oldest_items() {
        let mut queues = Queues::new(2 * (ENTRY_COST + 1));
        let token = queues.register("t", &"s".into(), b"q", owner(1)).unwrap();
        for item in [b"1", b"2", b"3"] {
            queues.enqueue("t", token, item).unwrap();
        }
        assert_eq!(queues.dequeue("t", token), Ok(Bytes::from("2")));
        assert_eq!(queues.dequeue("t", token), Ok(Bytes::from("3")));
        assert_eq!(queues.dequeue("t", token), Err(QueueError::Empty));
    }
}

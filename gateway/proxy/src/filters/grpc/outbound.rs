//! Messages of a filter on their way to a backend.
//!
//! Owns the queue between the guest, which never waits, and the connection, which may. The queue is
//! bounded: a filter that sends faster than the backend takes has its stream ended.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;

use bytes::BufMut as _;
use bytes::Bytes;
use bytes::BytesMut;
use h2::SendStream;
use tidegate_core::grpc;
use tokio::sync::Notify;

/// What each waiting message counts beside its bytes: empty ones are not free.
const MESSAGE_COST: usize = 64;

/// Messages that wait to be sent on one stream.
#[derive(Debug)]
pub(super) struct Outbox {
    limit: usize,
    waiting: RefCell<VecDeque<Bytes>>,
    cost: Cell<usize>,
    ended: Cell<bool>,
    overflow: Notify,
    changed: Notify,
}

/// How sending ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// The guest has ended its side, and all is sent.
    All,
    /// The backend takes no more; what it has to say about it comes on its side.
    Unwanted,
}

impl Outbox {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: RefCell::default(),
            cost: Cell::new(0),
            ended: Cell::new(false),
            overflow: Notify::new(),
            changed: Notify::new(),
        }
    }

    /// Adds a message.
    pub(super) fn push(&self, message: Bytes) {
        let cost = self.cost.get() + message.len() + MESSAGE_COST;
        // One message may be as large as it likes: the host has let it through.
        if cost > self.limit && !self.waiting.borrow().is_empty() {
            self.overflow.notify_one();
        } else {
            self.cost.set(cost);
            self.waiting.borrow_mut().push_back(message);
            self.changed.notify_one();
        }
    }

    /// There will be no more messages.
    pub(super) fn end(&self) {
        self.ended.set(true);
        self.changed.notify_one();
    }

    /// Resolves when the guest has sent faster than the backend takes.
    pub(super) async fn overflows(&self) {
        self.overflow.notified().await;
    }

    async fn next(&self) -> Option<Bytes> {
        loop {
            let next = self.waiting.borrow_mut().pop_front();
            if let Some(message) = next {
                let cost = message.len() + MESSAGE_COST;
                self.cost.set(self.cost.get().saturating_sub(cost));
                return Some(message);
            }
            if self.ended.get() {
                return None;
            }
            self.changed.notified().await;
        }
    }

    /// Sends what is there and what comes, until the guest ends its side.
    pub(super) async fn send_all(&self, body: &mut SendStream<Bytes>) -> Sent {
        loop {
            let sent = match self.next().await {
                Some(message) => send(body, &message, false).await,
                None => return end(body),
            };
            if sent == Sent::Unwanted {
                return sent;
            }
        }
    }
}

fn end(body: &mut SendStream<Bytes>) -> Sent {
    match body.send_data(Bytes::new(), true) {
        Ok(()) => Sent::All,
        Err(_) => Sent::Unwanted,
    }
}

/// Sends one message, as the backend takes it.
pub(super) async fn send(body: &mut SendStream<Bytes>, message: &[u8], last: bool) -> Sent {
    let Some(head) = grpc::frame_head(message) else {
        return Sent::Unwanted; // A guest's memory holds no such message.
    };
    let mut framed = BytesMut::with_capacity(head.len() + message.len());
    framed.put_slice(&head);
    framed.put_slice(message);
    let mut rest = framed.freeze();
    while !rest.is_empty() {
        body.reserve_capacity(rest.len());
        let Some(Ok(room)) = poll_fn(|cx| body.poll_capacity(cx)).await else {
            return Sent::Unwanted;
        };
        let piece = rest.split_to(room.min(rest.len()));
        let ends = last && rest.is_empty();
        if body.send_data(piece, ends).is_err() {
            return Sent::Unwanted;
        }
    }
    Sent::All
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use tokio::sync::futures::Notified;

    use super::MESSAGE_COST;
    use super::Outbox;

    /// Whether the guest was found to send too fast.
    fn overflows(outbox: &Outbox) -> bool {
        let mut notified: std::pin::Pin<Box<Notified<'_>>> = Box::pin(outbox.overflow.notified());
        // One that was told before is ready at once.
        notified.as_mut().enable()
    }

    #[test]
    fn one_message_may_be_large_and_the_next_is_too_much() {
        let outbox = Outbox::new(100);
        outbox.push(Bytes::from(vec![0; 1_000]));
        assert!(!overflows(&outbox), "the host has let it through");
        outbox.push(Bytes::new());
        assert!(overflows(&outbox));
    }

    #[test]
    fn messages_without_bytes_are_not_free() {
        let outbox = Outbox::new(10 * MESSAGE_COST);
        for _ in 0..10 {
            outbox.push(Bytes::new());
        }
        assert!(!overflows(&outbox));
        outbox.push(Bytes::new());
        assert!(overflows(&outbox));
        assert_eq!(
            outbox.waiting.borrow().len(),
            10,
            "what is too much is not kept"
        );
    }
}

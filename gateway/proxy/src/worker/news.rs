//! News of shared queues on their way to a worker.
//!
//! Owns that they stay few: one piece of news a queue, however many items came and however long the
//! worker takes to look. How often a queue's owner is told is counted with the queue.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::PoisonError;

use tidegate_host_abi::QueueEvent;

/// What one worker has not heard of yet.
#[derive(Debug, Default)]
pub(crate) struct QueueNews(Mutex<BTreeMap<u32, QueueEvent>>);

impl QueueNews {
    /// Adds news, and says whether the worker has to be told that there is any.
    pub(crate) fn add(&self, events: &[QueueEvent]) -> bool {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let was_empty = news.is_empty();
        for event in events {
            news.insert(event.queue, *event);
        }
        was_empty && !news.is_empty()
    }

    /// Takes all there is.
    pub(crate) fn take(&self) -> impl Iterator<Item = QueueEvent> {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *news).into_values()
    }
}

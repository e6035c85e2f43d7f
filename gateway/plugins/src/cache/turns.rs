//! One after the other: who wants an image that somebody in this process fetches already waits, and
//! then finds it in the cache.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::Weak;

use tokio::sync::Mutex as Lock;
use tokio::sync::OwnedMutexGuard;

/// Whose turn it is, by what is fetched. What nobody fetches is not in it.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Weak<Lock<()>>>>);

impl Turns {
    /// Waits for a turn, which lasts as long as what is returned.
    pub(super) async fn take(&self, of: String) -> OwnedMutexGuard<()> {
        self.lock_of(of).lock_owned().await
    }

    fn lock_of(&self, of: String) -> Arc<Lock<()>> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, lock| lock.strong_count() > 0);
        if let Some(lock) = turns.get(&of).and_then(Weak::upgrade) {
            return lock;
        }
        let lock = Arc::default();
        turns.insert(of, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::Turns;

    #[tokio::test]
    async fn turns_of_the_same_follow_each_other_and_leave_nothing() {
        let turns = Turns::default();
        let first = turns.take("a".to_owned()).await;
        let other = turns.take("b".to_owned()).await;
        let mut second = Box::pin(turns.take("a".to_owned()));
        tokio::select! {
            biased;
            _ = &mut second => unreachable!("the first has it"),
            () = tokio::task::yield_now() => {}
        }
        drop(first);
        let second = second.await;
        drop((second, other));
        drop(turns.take("c".to_owned()).await);
        assert_eq!(turns.0.lock().expect("no panic").len(), 1);
    }
}

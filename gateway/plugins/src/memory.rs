//! The memory that pulls have together for modules.
//!
//! Owns who gets how much of it: in the order in which it is asked for, so that a large module does not wait
//! for ever behind small ones. Files are written as bytes come; only what is read as a whole counts.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::Semaphore;

use crate::progress::Progress;
use crate::progress::Step;

/// Bytes for all pulls, unless somebody says otherwise: two of the largest modules.
pub const USUAL_BYTES: u64 = 2 * crate::MAX_MODULE_BYTES;

/// What is given out, in bytes.
const UNIT: u64 = 4 << 10;

/// See the module.
#[derive(Debug)]
pub struct Memory {
    units: Arc<Semaphore>,
    all: u32,
}

/// Memory that one pull has, until it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    /// `None` once pulls are over.
    _units: Option<OwnedSemaphorePermit>,
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(USUAL_BYTES)
    }
}

impl Memory {
    /// So many bytes for all, rounded up to 4 KiB.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT))
            .unwrap_or(u32::MAX)
            .max(1);
        Self {
            units: Arc::new(Semaphore::new(usize::try_from(all).unwrap_or(1))),
            all,
        }
    }

    /// Waits for so many bytes, at most for all there are, and says so if it has to wait. Whoever asked
    /// before comes first; nobody may ask while they have some.
    pub(crate) async fn take(&self, bytes: u64, progress: &dyn Progress) -> Share {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let units = units.clamp(1, self.all);
        let at_once = Arc::clone(&self.units).try_acquire_many_owned(units);
        let units = match at_once {
            Ok(units) => Some(units),
            Err(_) => {
                progress.on(Step::Waiting {
                    bytes,
                    of: u64::from(self.all) * UNIT,
                });
                let acquired = Arc::clone(&self.units).acquire_many_owned(units).await;
                acquired.ok()
            }
        };
        Share { _units: units }
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::sync::Mutex;

    use super::Memory;
    use crate::progress::Progress;
    use crate::progress::Silent;
    use crate::progress::Step;

    const MIB: u64 = 1 << 20;

    #[derive(Default)]
    struct Told(Mutex<Vec<Step>>);

    impl Progress for Told {
        fn on(&self, step: Step) {
            self.0.lock().expect("no panic").push(step);
        }
    }

    async fn waits(what: &mut (impl Future + Unpin)) {
        tokio::select! {
            biased;
            _ = what => unreachable!("there is not enough"),
            () = tokio::task::yield_now() => {}
        }
    }

    #[tokio::test]
    async fn who_finds_too_little_waits_in_order_and_says_so() {
        let memory = Memory::new(8 * MIB);
        let told = Told::default();
        let first = memory.take(6 * MIB, &told).await;
        assert!(told.0.lock().expect("no panic").is_empty());
        let mut large = Box::pin(memory.take(4 * MIB, &told));
        waits(&mut large).await;
        let expected = Step::Waiting {
            bytes: 4 * MIB,
            of: 8 * MIB,
        };
        assert_eq!(*told.0.lock().expect("no panic"), [expected]);
        // It would fit, and does not pass who waits already.
        let mut small = Box::pin(memory.take(MIB, &Silent));
        waits(&mut small).await;
        drop(first);
        let (large, small) = (large.await, small.await);
        drop((large, small));
        assert_eq!(memory.units.available_permits(), 2048, "all is given back");
    }

    #[tokio::test]
    async fn who_wants_more_than_there_is_gets_all_of_it() {
        let memory = Memory::new(MIB);
        let all = memory.take(1 << 40, &Silent).await;
        let mut other = Box::pin(memory.take(0, &Silent));
        waits(&mut other).await;
        drop(all);
        drop(other.await);
        drop(memory.take(MIB, &Silent).await);
    }
}

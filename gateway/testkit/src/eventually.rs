//! Waiting for a condition.

use std::time::Duration;
use std::time::Instant;

use crate::LIMIT;

/// Returns what `look` finds, looking again until it finds something.
///
/// # Panics
///
/// If nothing is found within [`LIMIT`].
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < LIMIT, "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

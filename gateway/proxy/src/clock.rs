//! The wall clock as numbers.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

/// Nanoseconds since the Unix epoch; 0 for times before it.
pub(crate) fn unix_nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
